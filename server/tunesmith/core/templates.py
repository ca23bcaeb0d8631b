"""The lock beside the compiled templates: whether a Bicep file was edited since it was compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.infra_config import Kind
from tunesmith.core.json_values import mapping, words

LOCK_FILE = "infra/provision/templates.lock.json"
FOLDER = "infra/provision"


@dataclass(frozen=True, slots=True)
class LockCheck:
    """`edited`: Bicep files whose content is not the locked one; `json_edited`: the compiled one
    differs from its lock. Paths are relative to infra/provision."""

    edited: tuple[str, ...]
    json_edited: bool


def locked_files(lock: Mapping[str, Any]) -> dict[str, str]:
    """Return SHA-256 by path. The lock is {"v": 1, "sha256": {path: hash}}."""
    files = mapping(lock.get("sha256"))
    return {name: words(value) for name, value in files.items() if words(value)}


def check_lock(lock: Mapping[str, Any], contents: Mapping[str, bytes], kind: Kind) -> LockCheck:
    """Compare files with the lock. `contents`: each .bicep below infra/provision, the kind's JSON.

    The other kind's main file does not count; a module counts for both.
    """
    known = locked_files(lock)
    other = "inference" if kind == "finetuning" else "finetuning"
    edited = [
        name
        for name, content in sorted(contents.items())
        if name.endswith(".bicep")
        and name != f"{other}.bicep"
        and known.get(name) != digest(content)
    ]
    compiled = f"{kind}.json"
    json_edited = compiled in contents and known.get(compiled) != digest(contents[compiled])
    return LockCheck(tuple(edited), json_edited)


def digest(content: bytes) -> str:
    """Return the SHA-256 of a text file, CRLF read as LF: git may check out either."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
