"""JSON with positions: where each value of a text stands, for problems with line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from json import decoder
from typing import Any, cast

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text. `positions` has each value's path, and for a member the place of its key."""

    value: Any
    positions: dict[Path, Position]

    def position(self, path: Sequence[str | int]) -> Position:
        """Return the place of the value at `path`, or of the nearest one above it that exists."""
        key: Path = tuple(path)
        while key and key not in self.positions:
            key = key[:-1]
        return self.positions.get(key, Position(1, 1))


class JsonSyntaxError(ValueError):
    """The text is no JSON; says why, and where it stopped making sense."""

    def __init__(self, reason: str, position: Position) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


def parse(text: str) -> Document:
    """Parse JSON; the last of two equal keys wins, as everywhere.

    Raises: JsonSyntaxError.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as e:
        raise JsonSyntaxError(e.msg, Position(e.lineno, e.colno)) from e
    except RecursionError as e:
        raise JsonSyntaxError("nested too deeply", Position(1, 1)) from e
    offsets: dict[Path, int] = {}
    _walk(text, _SPACE.match(text, 0).end(), (), offsets)  # type: ignore[union-attr]
    return Document(value, _positions(text, offsets))


def _walk(text: str, at: int, path: Path, offsets: dict[Path, int]) -> int:
    """Note where the value at offset `at` stands, and those inside it; return the offset behind it.

    The text is known to be valid JSON, so only what delimits values is looked at.
    """
    offsets.setdefault(path, at)
    match text[at]:
        case '"':
            return _string(text, at)[1]
        case "{" | "[" as opening:
            index = 0
            at = _skip(text, at + 1)
            while text[at] not in "}]":
                if opening == "{":
                    name, behind = _string(text, at)
                    inner: Path = (*path, name)
                    offsets[inner] = at
                    at = _skip(text, _skip(text, behind) + 1)
                else:
                    inner = (*path, index)
                    index += 1
                at = _skip(text, _walk(text, at, inner, offsets))
                if text[at] == ",":
                    at = _skip(text, at + 1)
            return at + 1
        case _:
            found = _SCALAR.match(text, at)
            return found.end() if found else at + 1


def _string(text: str, at: int) -> tuple[str, int]:
    scan = cast(Any, decoder).scanstring  # the decoder's own, as the standard library has it
    return cast("tuple[str, int]", scan(text, at + 1, True))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _positions(text: str, offsets: dict[Path, int]) -> dict[Path, Position]:
    """Turn offsets into lines and columns in one pass over the text."""
    places: dict[Path, Position] = {}
    line, start = 1, 0
    for path, offset in sorted(offsets.items(), key=lambda item: item[1]):
        while (newline := text.find("\n", start, offset)) >= 0:
            line, start = line + 1, newline + 1
        places[path] = Position(line, offset - start + 1)
    return places
