"""Which process a pid means: pids are used again, so one is kept with its start time.

Standard library only on Linux, since the supervisor imports this.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path


def identity(pid: int) -> str | None:
    """Return a word that is this process's alone, over reboots too; None when it is not alive.

    A zombie is not alive.
    """
    if sys.platform != "linux":
        import psutil

        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return f"{process.create_time():.2f}"
        except psutil.NoSuchProcess:
            return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name stands in brackets and may hold anything, brackets too.
    fields = stat.rpartition(")")[2].split()
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{_boot_id()}/{start_ticks}"


def is_alive(pid: int, known: str) -> bool:
    """Return whether the process that `identity` named `known` still runs."""
    return identity(pid) == known


def children(pid: int) -> list[int]:
    """Return the pids of the direct children, zombies too. Linux alone; [] elsewhere."""
    found: list[int] = []
    if sys.platform != "linux":
        return found
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry))
    return found


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
