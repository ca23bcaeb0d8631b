"""A process's output as lines for its log file. Standard library only."""

from __future__ import annotations

from datetime import UTC, datetime

MAX_LINE_BYTES = 32 * 1024
_PROGRESS_EVERY_S = 1.0


def now_iso() -> str:
    """Return the time in UTC, to the microsecond, as the log file holds it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LineSplitter:
    """Cuts a stream of bytes into lines of text.

    A newline ends a line. Text that a carriage return overwrites (a progress bar) is a line
    of its own at most once a second, so that a bar neither floods the log nor stands still.
    Lines longer than MAX_LINE_BYTES are cut; bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._bar_shown_at = -_PROGRESS_EVERY_S

    def feed(self, data: bytes, now_s: float) -> list[str]:
        """Take what was read; return the lines that are whole now. `now_s` is monotonic."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines: list[str] = []
        for line in whole:
            # What the last carriage return before the newline left on the screen.
            lines += _cut(line.removesuffix(b"\r").rpartition(b"\r")[2])
        # A carriage return at the very end may yet turn out to be half of a line end.
        undecided = b"\r" if self._rest.endswith(b"\r") else b""
        bar, returned, rest = self._rest.removesuffix(b"\r").rpartition(b"\r")
        if returned:
            shown = bar.rpartition(b"\r")[2]
            if shown and now_s - self._bar_shown_at >= _PROGRESS_EVERY_S:
                self._bar_shown_at = now_s
                lines += _cut(shown)
            self._rest = rest + undecided
        while len(self._rest) > MAX_LINE_BYTES:
            piece = _whole_characters(self._rest[:MAX_LINE_BYTES])
            lines.append(_text(piece))
            self._rest = self._rest[len(piece) :]
        return lines

    def end(self) -> list[str]:
        """Return the last line when no newline ended it."""
        rest, self._rest = self._rest.rstrip(b"\r").rpartition(b"\r")[2], b""
        return _cut(rest) if rest else []


def _cut(line: bytes) -> list[str]:
    lines: list[str] = []
    while len(line) > MAX_LINE_BYTES:
        piece = _whole_characters(line[:MAX_LINE_BYTES])
        lines.append(_text(piece))
        line = line[len(piece) :]
    return [*lines, _text(line)]


def _whole_characters(piece: bytes) -> bytes:
    """Shorten by up to 3 bytes so that no UTF-8 character is cut in two."""
    for back in range(1, 4):
        if piece[-back] & 0xC0 == 0xC0:  # the first byte of a longer character
            length = 2 if piece[-back] < 0xE0 else 3 if piece[-back] < 0xF0 else 4
            return piece[:-back] if back < length else piece
        if piece[-back] < 0x80:
            return piece
    return piece


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
