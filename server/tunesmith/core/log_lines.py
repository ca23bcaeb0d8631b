"""A log that arrives in pieces of bytes, cut anywhere: whole lines and events out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tunesmith.core.reporter import Event

EVENT_PREFIX = "::tunesmith::"
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
# The last part turns the direction of writing, and so can show what is not there.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LONGEST_LINE_BYTES = 256 * 1024


def without_controls(said: str) -> str:
    """Return text that no terminal obeys: without escape codes and control characters.

    Line breaks and tabs stay.
    """
    return _CONTROLS.sub("", _ESCAPES.sub("", said))


def parse_event(line: str) -> Event | None:
    """Return the event that a line carries, None for an ordinary line or a broken event."""
    if not line.startswith(EVENT_PREFIX):
        return None
    try:
        data = json.loads(line[len(EVENT_PREFIX) :])
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):  # type: ignore[reportUnknownMemberType]
        return None
    return Event(data["kind"], data)  # type: ignore[reportUnknownArgumentType]


@dataclass(slots=True)
class LineCutter:
    """Turns bytes into lines without escape codes. A progress bar leaves its last state.

    `cursor`: the offset behind the last whole line given out, from where a reader can go on. A line
    is decoded once it is whole, so no character cut in the middle is spoilt; one longer than
    256 KiB is given out in pieces.
    """

    cursor: int = 0
    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, piece: bytes) -> Iterator[str]:
        """Add bytes; yield the lines that they complete."""
        self._rest += piece
        while (end := self._rest.find(b"\n")) >= 0 or len(self._rest) > _LONGEST_LINE_BYTES:
            length = end + 1 if end >= 0 else _LONGEST_LINE_BYTES
            line = bytes(self._rest[:length])
            del self._rest[:length]
            self.cursor += length
            yield _clean(line)

    def flush(self) -> Iterator[str]:
        """Yield what is left as a last line, for a log that has ended without a line break."""
        if self._rest:
            line = bytes(self._rest)
            self._rest.clear()
            self.cursor += len(line)
            yield _clean(line)


def _clean(line: bytes) -> str:
    text = _ESCAPES.sub("", line.decode("utf-8", "replace").rstrip("\r\n"))
    return without_controls(text.rpartition("\r")[2])
