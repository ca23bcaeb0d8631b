"""What azurebox remembers: every ARM resource, in one SQLite file that survives kill -9."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from azurebox.resource_id import ResourceId


@dataclass(frozen=True, slots=True)
class Resource:
    """One stored resource.

    `body`: what the client may see (location, tags, sku, identity, properties, ...), without
    id, name and type. `private`: what it may not (keys, secret values, process ids).
    """

    id: ResourceId
    body: dict[str, Any]
    private: dict[str, Any] = field(default_factory=dict[str, Any])


class ResourceStore:
    """Resources by id. A write is durable when the call returns. One process, one thread."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS resource"
            " (key TEXT PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL,"
            "  body TEXT NOT NULL, private TEXT NOT NULL)"
        )

    def get(self, id: ResourceId) -> Resource | None:
        """Return the resource, ids compared without regard to case."""
        row = self._db.execute(
            "SELECT id, body, private FROM resource WHERE key = ?", (id.key,)
        ).fetchone()
        return _from_row(row) if row else None

    def put(self, resource: Resource) -> Resource:
        """Create or replace. The id keeps the spelling of its creation."""
        known = self.get(resource.id)
        if known:
            resource = replace(resource, id=known.id)
        self._db.execute(
            "INSERT INTO resource (key, id, type, body, private) VALUES (?, ?, ?, ?, ?)"
            # An update keeps the row's place: lists are by creation.
            " ON CONFLICT (key) DO UPDATE SET body = excluded.body, private = excluded.private",
            (
                resource.id.key,
                str(resource.id),
                resource.id.type.lower(),
                json.dumps(resource.body),
                json.dumps(resource.private),
            ),
        )
        return resource

    def delete(self, id: ResourceId) -> None:
        """Remove the resource and its children; nothing happens when it is not there."""
        self._db.execute(
            "DELETE FROM resource WHERE key = ? OR substr(key, 1, ?) = ?",
            (id.key, len(id.key) + 1, id.key + "/"),
        )

    def list(self, *, prefix: str = "", type: str = "") -> Iterator[Resource]:
        """Yield resources whose id starts with `prefix` and whose type is `type`, by creation."""
        rows = self._db.execute(
            "SELECT id, body, private FROM resource"
            " WHERE substr(key, 1, ?) = ? AND (? = '' OR type = ?) ORDER BY rowid",
            (len(prefix), prefix.lower(), type.lower(), type.lower()),
        ).fetchall()
        return map(_from_row, rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _from_row(row: tuple[str, str, str]) -> Resource:
    return Resource(ResourceId.parse(row[0]), json.loads(row[1]), json.loads(row[2]))
