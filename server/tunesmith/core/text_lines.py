"""Bytes to lines: which encoding a file is in, and its lines however it is cut into chunks.

Nothing is read here; the caller hands the bytes in. Lines end at a line feed only, so that a
separator such as U+2028 inside a JSON string never tears a row apart.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Encoding = Literal["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"]

_BOMS: tuple[tuple[bytes, Encoding], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line feed. `number` counts from 1.

    `data` is UTF-8, whatever the file was in; None when the line is longer than the limit.
    `terminated` is False only for a last line without a line feed; `bad_column` is the column
    (from 1) of the first byte that is no text, 0 when all is well.
    """

    number: int
    data: bytes | None
    terminated: bool
    bad_column: int = 0


def detect_encoding(head: bytes) -> tuple[Encoding, int]:
    """Return the encoding that the first bytes tell, and how many of them are its mark."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding, len(bom)
    return "utf-8", 0


def split_lines(chunks: Iterable[bytes], encoding: Encoding, *, limit_bytes: int) -> Iterator[Line]:
    """Yield the lines of a file whose byte order mark is already taken off.

    A line above `limit_bytes` is passed over without being held in memory.
    """
    if encoding in ("utf-16-le", "utf-16-be"):
        yield from _split_utf16(chunks, encoding, limit_bytes)
    else:
        yield from _split_utf8(chunks, limit_bytes)


def _split_utf8(chunks: Iterable[bytes], limit_bytes: int) -> Iterator[Line]:
    number = 0
    rest: list[bytes] = []
    held = 0
    for chunk in chunks:
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            number += 1
            if rest:
                length = held + len(piece)
                data = None if length > limit_bytes else b"".join((*rest, piece))
                rest, held = [], 0
            else:
                data = None if len(piece) > limit_bytes else piece
            yield Line(number, data, True)
        if tail:
            held += len(tail)
            # Above the limit only the length counts; the bytes are let go.
            rest = [*rest, tail] if held <= limit_bytes else [b""]
    if held:
        yield Line(number + 1, None if held > limit_bytes else b"".join(rest), False)


def _split_utf16(chunks: Iterable[bytes], encoding: Encoding, limit_bytes: int) -> Iterator[Line]:
    """At the first bytes that are no text the file is given up, since what follows may be out of
    step by a byte."""
    number = 1
    pending: list[str] = []
    held = 0
    for decoded in _decoded_utf16(chunks, encoding):
        if decoded is None:
            yield Line(number, b"", True, bad_column=held + 1)
            return
        *whole, tail = decoded.split("\n")
        for piece in whole:
            too_long = held + len(piece) > limit_bytes
            data = None if too_long else "".join((*pending, piece)).encode("utf-8")
            yield Line(number, data, True)
            number += 1
            pending, held = [], 0
        if tail:
            held += len(tail)
            pending = [*pending, tail] if held <= limit_bytes else [""]
    if held:
        data = None if held > limit_bytes else "".join(pending).encode("utf-8")
        yield Line(number, data, False)


def _decoded_utf16(chunks: Iterable[bytes], encoding: Encoding) -> Iterator[str | None]:
    """Yield the text piece by piece; None last when bytes were met that are no text."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        yield error.object[: error.start].decode(encoding)
        yield None
