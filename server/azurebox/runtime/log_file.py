"""Reading a container's log file: lines of "TIME TEXT", while it grows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

_POLL_S = 0.05
_BLOCK_BYTES = 65536


async def read_log(
    file: Path, *, follow: bool, tail: int | None, has_ended: Callable[[], bool]
) -> AsyncIterator[tuple[str, str]]:
    """Yield (ISO time, line), whole lines alone; `tail` starts that many lines before the end.

    With `follow` it goes on until `has_ended()` and everything is read.
    """
    while not file.exists():
        if not follow or has_ended():
            return
        await asyncio.sleep(_POLL_S)
    with open(file, "rb") as stream:  # noqa: ASYNC230
        if tail is not None:
            stream.seek(_start_of_tail(stream, tail))
        rest = b""
        while True:
            # Asked before reading: what was written before the end is then never missed.
            ended = has_ended()
            data = stream.read(_BLOCK_BYTES)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                time_iso, _, text = line.decode("utf-8", "replace").partition(" ")
                yield time_iso, text
            if data:
                continue
            if ended or not follow:
                return
            await asyncio.sleep(_POLL_S)


def _start_of_tail(stream: BinaryIO, lines: int) -> int:
    """Return the offset at which the last `lines` lines begin."""
    end = stream.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    position, missing = end, lines + 1
    while position > 0:
        start = max(0, position - _BLOCK_BYTES)
        stream.seek(start)
        block = stream.read(position - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            missing -= 1
            if missing == 0:
                return start + at + 1
        position = start
    return 0
