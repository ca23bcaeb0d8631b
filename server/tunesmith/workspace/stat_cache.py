"""Hashes of files that were hashed before and have not changed since."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from tunesmith.core.json_values import items, mapping
from tunesmith.workspace.atomic import write_atomically

_TRUSTED_AFTER_NS = 2_000_000_000
"""A file this young may change again without its times moving: coarse clocks, two writes a tick."""

Stamp = tuple[int, int, int, int]


class StatCache:
    """Remembers size, times and inode with each hash; edits that keep size and mtime show in ctime.

    One scan at a time. `save` is cheap to lose: what is missing is hashed again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, tuple[Stamp, str]] = _read(file)
        self._seen: dict[str, tuple[Stamp, str]] = {}
        self.hashed_bytes = 0

    def sha256_of(self, file: Path, path: str) -> tuple[str, int]:
        """Return hash and size of `file`, known by `path`. Raises: OSError."""
        status = file.stat()
        stamp = _stamp(status)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            self._seen[path] = known
            return known[1], status.st_size
        stamp, digest = self._hash(file)
        if _stamp(file.stat()) != stamp:  # somebody wrote while it was read
            stamp, digest = self._hash(file)
        if time.time_ns() - max(stamp[1], stamp[2]) > _TRUSTED_AFTER_NS:
            self._seen[path] = (stamp, digest)
        return digest, stamp[0]

    def _hash(self, file: Path) -> tuple[Stamp, str]:
        with file.open("rb") as stream:
            stamp = _stamp(os.fstat(stream.fileno()))
            self.hashed_bytes += stamp[0]
            return stamp, hashlib.file_digest(stream, "sha256").hexdigest()

    def save(self) -> None:
        """Write what was seen in this scan; the rest is forgotten."""
        if self._seen == self._known:
            return
        files = {path: [*stamp, digest] for path, (stamp, digest) in self._seen.items()}
        write_atomically(self._file, json.dumps({"v": 1, "files": files}).encode())


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _read(file: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        value: Any = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    found: dict[str, tuple[Stamp, str]] = {}
    for path, row in mapping(mapping(value).get("files")).items():
        match items(row):
            case [int(size), int(mtime), int(ctime), int(inode), str(digest)]:
                found[path] = ((size, mtime, ctime, inode), digest)
            case _:
                continue
    return found
