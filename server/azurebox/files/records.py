"""What the service keeps of a file and a file system cannot hold: metadata, content type, MD5.

It lies in one SQLite file outside every share, by account, share and path. The data on disk is the
truth: a record carries a stamp of the file it was written for, and counts for nothing once another
process has changed the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """`metadata`: names in lower case. `headers`: the stored HTTP headers, such as "content-md5".

    `created_at_ns`: nanoseconds since 1970, None when it is not known.
    """

    metadata: dict[str, str] = field(default_factory=dict[str, str])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    attributes: str = ""
    created_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """Names one file, folder (or, with an empty `path`, share); `path` is in folded case."""

    account: str
    share: str
    path: str


class Records:
    """The store. One process, one thread."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # A record lost with the power is one that a changed file would have lost as well.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS record (account TEXT, share TEXT, path TEXT,"
            " stamp TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (account, share, path))"
        )

    def get(self, key: Key, status: os.stat_result) -> Record:
        """Return the record, or an empty one when there is none for the file as it is now.

        A folder's record lasts: what is made inside changes the folder's own times.
        """
        row = self._db.execute(
            "SELECT stamp, body FROM record WHERE account = ? AND share = ? AND path = ?",
            (key.account, key.share, key.path),
        ).fetchone()
        if row is None or row[0] != _stamp(status):
            return Record()
        return Record(**json.loads(row[1]))

    def put(self, key: Key, status: os.stat_result, record: Record) -> None:
        """Remember `record` for the file whose status is `status`."""
        self._db.execute(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?)",
            (key.account, key.share, key.path, _stamp(status), json.dumps(asdict(record))),
        )

    def forget(self, key: Key) -> None:
        """Remove the record and those of everything below it."""
        where = "account = ? AND share = ?"
        values: tuple[str, ...] = (key.account, key.share)
        if key.path:  # two conditions, so that each is a search in the primary key
            self._db.execute(f"DELETE FROM record WHERE {where} AND path = ?", (*values, key.path))
            where += " AND path > ? AND path < ?"
            values += _below(key.path)
        self._db.execute(f"DELETE FROM record WHERE {where}", values)

    def move(self, old: Key, new: Key) -> None:
        """Carry the records of a renamed folder's contents over; its own needs a new stamp."""
        rows = self._db.execute(
            "SELECT path FROM record WHERE account = ? AND share = ? AND path > ? AND path < ?",
            (old.account, old.share, *_below(old.path)),
        ).fetchall()
        for (path,) in rows:
            self._db.execute(
                "UPDATE OR REPLACE record SET path = ?"
                " WHERE account = ? AND share = ? AND path = ?",
                (new.path + path[len(old.path) :], old.account, old.share, path),
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _below(path: str) -> tuple[str, str]:
    """Return the bounds, both excluded, of all paths below one: "0" follows "/"."""
    return f"{path}/", f"{path}0"


def _stamp(status: os.stat_result) -> str:
    if (status.st_mode & 0o170000) == 0o040000:
        return f"folder:{status.st_ino}"
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def with_created(record: Record, now_ns: int) -> Record:
    """Return the record with a time of creation, kept when it has one."""
    return record if record.created_at_ns else replace(record, created_at_ns=now_ns)
