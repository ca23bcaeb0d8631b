"""One process at a time (POSIX)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(file: Path, on_wait: Callable[[], None]) -> Generator[int]:
    """Hold the lock on `file`, waiting for it; `on_wait` is called once when there is a wait.

    Yields the descriptor. A child that inherits it holds the lock too, to its own end: work
    that a killed process leaves behind still keeps others out.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
