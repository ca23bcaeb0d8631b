"""What a tree of files holds, by path: the share's manifest, and what this machine last synced."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.json_values import mapping, words

REMOTE_PATH = ".tunesmith/manifest.json"
"""Where the share's manifest lies, relative to its root; written last by a push."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `etag`: the far file's when these bytes were known to be in it, else ""."""

    sha256: str
    size_bytes: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`id` is made once for a share's manifest: what was synced with another share says nothing."""

    id: str = ""
    files: Mapping[str, Entry] = field(default_factory=dict[str, Entry])


def to_json(manifest: Manifest) -> bytes:
    """Return the file's content, sorted by path so that two of them can be compared by eye."""
    files = {
        path: {"sha256": e.sha256, "size": e.size_bytes, "etag": e.etag}
        for path, e in sorted(manifest.files.items())
    }
    return json.dumps({"v": 1, "id": manifest.id, "files": files}, indent=0).encode()


def read_manifest(content: bytes | None) -> Manifest:
    """Return what the file says. What cannot be read counts for nothing: the files themselves are
    looked at then, which takes longer and loses nothing."""
    try:
        value: Any = json.loads(content or b"{}")
    except ValueError:
        return Manifest()
    outer = mapping(value)
    if outer.get("v") != 1:
        return Manifest()
    files: dict[str, Entry] = {}
    for path, fields in mapping(outer.get("files")).items():
        entry = mapping(fields)
        size: Any = entry.get("size")
        if isinstance(size, int) and words(entry.get("sha256")):
            files[path] = Entry(entry["sha256"], size, words(entry.get("etag")))
    return Manifest(words(outer.get("id")), files)


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One file of the share. `sha256` is None when nobody recorded it for this ETag."""

    path: str
    size_bytes: int
    etag: str
    sha256: str | None


def recognise(
    listed: Iterable[tuple[str, int, str]], *recorded: Mapping[str, Entry]
) -> dict[str, RemoteEntry]:
    """Give listed files (path, size, ETag) the hash that was recorded for exactly this ETag."""
    found: dict[str, RemoteEntry] = {}
    for path, size, etag in listed:
        sha = next(
            (
                known.sha256
                for source in recorded
                if (known := source.get(path)) and etag and known.etag == etag
                if known.size_bytes == size
            ),
            None,
        )
        found[path] = RemoteEntry(path, size, etag, sha)
    return found
