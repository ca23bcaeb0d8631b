"""What this machine remembers of its syncs with one target, below .tunesmith/targets/NAME."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.json_values import items, mapping
from tunesmith.core.manifest import Entry, Manifest, read_manifest, to_json
from tunesmith.core.sync import Upload
from tunesmith.workspace.atomic import write_atomically
from tunesmith.workspace.project_folder import STATE_FOLDER
from tunesmith.workspace.stat_cache import StatCache


@dataclass(frozen=True, slots=True)
class Begun:
    """What pushes that never ended were about to write: hashes and sizes by path."""

    hashes: Mapping[str, frozenset[str]]
    sizes: Mapping[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class SyncState:
    """The files of one target. Reading never fails: what is unreadable counts as not there."""

    root: Path
    target: str

    @property
    def folder(self) -> Path:
        """The target's folder."""
        return self.root / STATE_FOLDER / "targets" / self.target

    def base(self) -> Manifest:
        """Return what was in step at the end of the last push."""
        return read_manifest(_bytes(self.folder / "sync-base.json"))

    def save_part(self, base: Manifest) -> None:
        """Remember what arrived of a push that did not end."""
        write_atomically(self.folder / "sync-base.json", to_json(base))

    def save_base(self, base: Manifest) -> None:
        """Remember the end of a push; what it began is done with."""
        self.save_part(base)
        (self.folder / "push-begun.json").unlink(missing_ok=True)

    def begun(self) -> Begun:
        """Return what earlier pushes began and did not end."""
        try:
            value: Any = json.loads(_bytes(self.folder / "push-begun.json") or b"{}")
        except ValueError:
            value = {}
        hashes: dict[str, frozenset[str]] = {}
        sizes: dict[str, frozenset[int]] = {}
        for path, rows in mapping(mapping(value).get("files")).items():
            pairs = [tuple(items(row)) for row in items(rows)]
            hashes[path] = frozenset(p[0] for p in pairs if len(p) == 2 and isinstance(p[0], str))
            sizes[path] = frozenset(p[1] for p in pairs if len(p) == 2 and isinstance(p[1], int))
        return Begun(hashes, sizes)

    def begin(self, uploads: tuple[Upload, ...]) -> None:
        """Note what is about to be written, before it is: after a kill it is known as ours."""
        file = self.folder / "push-begun.json"
        try:
            value: Any = json.loads(_bytes(file) or b"{}")
        except ValueError:
            value = {}
        files = {path: items(rows) for path, rows in mapping(mapping(value).get("files")).items()}
        for upload in uploads:
            row: list[Any] = [upload.sha256, upload.size_bytes]
            rows = files.setdefault(upload.path, [])
            if row not in rows:
                rows.append(row)
        write_atomically(file, json.dumps({"v": 1, "files": files}).encode())

    def pulled(self) -> Mapping[str, Entry]:
        """Return what was brought here, with the ETag that it had on the share."""
        return read_manifest(_bytes(self.folder / "pulled.json")).files

    def save_pulled(self, files: Mapping[str, Entry]) -> None:
        """Remember what was brought here."""
        write_atomically(self.folder / "pulled.json", to_json(Manifest("", files)))

    def stat_cache(self, name: str = "stat-cache.json") -> StatCache:
        """Return the cache of hashes; the workspace's is shared by all targets."""
        return StatCache(self.root / STATE_FOLDER / name)


def _bytes(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
