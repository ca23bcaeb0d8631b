"""Sync: the workspace on this machine against its copy on the file share."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.plan import Plan


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What `share status|push|pull` answer; bytes and files count what was (or would be) moved."""

    plan: Plan
    applied: bool
    files: int
    size_bytes: int
    deleted: int
    conflicts: tuple[str, ...]
    seconds: float = 0.0
