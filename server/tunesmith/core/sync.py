"""Sync: the workspace on this machine against its copy on the file share.

The workspace is the truth and the share follows it, with three sides looked at: what is here, what
is there, and what was the same on both sides when they were last in step (the base). What somebody
else changed on the share since then is a conflict and is never written over without being told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tunesmith.core.manifest import Entry, RemoteEntry
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.share_names import fold
from tunesmith.core.size_text import size_text

MAX_DELETES = 10
"""So many files may always be deleted; more only when they are at most half of all."""


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


HaltKind = Literal["", "emptyWorkspace", "manyDeletes"]
ConflictKind = Literal["changedThere", "changedBoth", "unknownThere", "deletedHere", "inTheWay"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A file that is left alone on the share until somebody decides."""

    path: str
    kind: ConflictKind


@dataclass(frozen=True, slots=True)
class Upload:
    """`replaces`: the name that the file has on the share now, when it differs in case, else ""."""

    path: str
    size_bytes: int
    sha256: str
    is_new: bool
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What a push would do, in this order: `deletes`, `empty_folders` (deepest first), `uploads`.

    `foreign` files of the share are not ours and stay. `halt`: why nothing at all may be done
    unless the user insists.
    """

    uploads: tuple[Upload, ...] = ()
    deletes: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    foreign: tuple[str, ...] = ()
    halt: HaltKind = ""

    @property
    def size_bytes(self) -> int:
        """Bytes to send."""
        return sum(upload.size_bytes for upload in self.uploads)


def _keep_nothing(_: str) -> bool:
    return False


def plan_sync(
    local: Mapping[str, Entry],
    remote: Mapping[str, RemoteEntry],
    base: Mapping[str, Entry],
    *,
    pending: Mapping[str, frozenset[str]] | None = None,
    is_kept: Callable[[str], bool] = _keep_nothing,
    is_output: Callable[[str], bool] = _keep_nothing,
    force: bool = False,
) -> SyncPlan:
    """Compare the three sides. Paths of `local` are distinct without regard to case.

    `pending`: hashes that a push which never ended was about to write, by path; what it wrote is
    ours. `is_kept`: files of the share that are out of scope (ignored here) and stay. `is_output`:
    files that belong to runs: sent when they are missing, never replaced or deleted. `force`: what
    is here wins every conflict, and no number of deletions is too many.
    """
    there = {fold(path): entry for path, entry in remote.items()}
    here = {fold(path): (path, entry) for path, entry in local.items()}
    was = {fold(path): entry for path, entry in base.items()}
    begun = {fold(path): hashes for path, hashes in (pending or {}).items()}
    draft = _Draft()
    for key in sorted({*here, *there}):
        far, old = there.get(key), was.get(key)
        ours = {*begun.get(key, frozenset[str]()), *([old.sha256] if old else [])}
        if key in here:
            path, near = here[key]
            draft.add_local(path, near, far, old, ours, is_output(path), force)
        elif far is not None:
            is_ours = key in was or key in begun
            if is_output(far.path) or is_kept(far.path) or not is_ours:
                draft.foreign.append(far.path)
            elif force or far.sha256 in ours:
                draft.deletes.append(far.path)
            else:
                draft.conflicts.append(Conflict(far.path, "deletedHere"))
    draft.find_obstacles()
    at_risk = sum(1 for key, far in there.items() if key in was and not is_kept(far.path))
    return draft.finish("" if force else _halt(len(draft.deletes), at_risk, bool(local)))


def _halt(deletes: int, at_risk: int, has_files: bool) -> HaltKind:
    if deletes and not has_files:
        return "emptyWorkspace"
    return "manyDeletes" if deletes > MAX_DELETES and deletes * 2 > at_risk else ""


@dataclass(slots=True)
class _Draft:
    uploads: list[Upload] = field(default_factory=list[Upload])
    deletes: list[str] = field(default_factory=list[str])
    unchanged: list[str] = field(default_factory=list[str])
    conflicts: list[Conflict] = field(default_factory=list[Conflict])
    foreign: list[str] = field(default_factory=list[str])
    stays: list[str] = field(default_factory=list[str])

    def add_local(
        self,
        path: str,
        near: Entry,
        far: RemoteEntry | None,
        old: Entry | None,
        ours: set[str],
        is_output: bool,
        force: bool,
    ) -> None:
        if far is None:
            self.uploads.append(Upload(path, near.size_bytes, near.sha256, is_new=True))
        elif is_output or (far.sha256 == near.sha256 and far.path == path):
            self.unchanged.append(path)
        elif force or far.sha256 == near.sha256 or far.sha256 in ours:
            replaces = far.path if far.path != path else ""
            self.uploads.append(Upload(path, near.size_bytes, near.sha256, False, replaces))
        else:
            self.conflicts.append(Conflict(path, _kind(near, old)))
            self.stays.append(far.path)

    def find_obstacles(self) -> None:
        """A file cannot be made where a folder stays, nor below a file that stays."""
        staying = [*self.unchanged, *self.foreign, *self.stays]
        staying += [c.path for c in self.conflicts if c.kind == "deletedHere"]
        files = {fold(path) for path in staying}
        folders = {fold(folder) for path in staying for folder in _folders(path)}
        blocked = [
            upload
            for upload in self.uploads
            if fold(upload.path) in folders or any(fold(f) in files for f in _folders(upload.path))
        ]
        self.conflicts += [Conflict(upload.path, "inTheWay") for upload in blocked]
        self.uploads = [upload for upload in self.uploads if upload not in blocked]

    def finish(self, halt: HaltKind) -> SyncPlan:
        staying = [*self.unchanged, *self.foreign, *self.stays, *(u.path for u in self.uploads)]
        staying += [c.path for c in self.conflicts]
        needed = {fold(folder) for path in staying for folder in _folders(path)}
        emptied = {f for path in self.deletes for f in _folders(path) if fold(f) not in needed}
        return SyncPlan(
            uploads=tuple(self.uploads),
            deletes=tuple(self.deletes),
            empty_folders=tuple(sorted(emptied, key=lambda f: (-f.count("/"), f))),
            unchanged=tuple(self.unchanged),
            conflicts=tuple(sorted(self.conflicts, key=lambda c: c.path)),
            foreign=tuple(self.foreign),
            halt=halt,
        )


def _kind(near: Entry, old: Entry | None) -> ConflictKind:
    if old is None:
        return "unknownThere"
    return "changedThere" if near.sha256 == old.sha256 else "changedBoth"


def _folders(path: str) -> list[str]:
    """Return the folders above a path, outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def worth_reading(
    local: Mapping[str, Entry],
    remote: Mapping[str, RemoteEntry],
    base: Mapping[str, Entry],
    pending_sizes: Mapping[str, frozenset[int]] | None = None,
) -> tuple[str, ...]:
    """Return far files whose hash nobody recorded and that could be equal to one that we know.

    Only those need to be fetched to be compared; a file of another size is another file.
    """
    sizes: dict[str, set[int]] = {}
    for source in (local, base):
        for path, entry in source.items():
            sizes.setdefault(fold(path), set()).add(entry.size_bytes)
    for path, found in (pending_sizes or {}).items():
        sizes.setdefault(fold(path), set()).update(found)
    return tuple(
        sorted(
            entry.path
            for entry in remote.values()
            if entry.sha256 is None and entry.size_bytes in sizes.get(fold(entry.path), ())
        )
    )


def base_after(
    plan: SyncPlan, base: Mapping[str, Entry], now_there: Mapping[str, Entry]
) -> dict[str, Entry]:
    """Return the base once the plan was applied. `now_there`: what is sent or unchanged, by path.

    A conflict keeps what was known of it, so that it stays one until it is settled.
    """
    open_keys = {fold(conflict.path) for conflict in plan.conflicts}
    kept = {path: entry for path, entry in base.items() if fold(path) in open_keys}
    return {**kept, **now_there}


def push_plan(plan: SyncPlan, warnings: Iterable[str] = ()) -> Plan:
    """Say the plan in rows for the user."""
    rows = [
        PlanRow("create" if u.is_new else "update", u.path, size_text(u.size_bytes))
        for u in plan.uploads
    ]
    rows += [PlanRow("delete", path, text("share.plan.deletedHere")) for path in plan.deletes]
    rows += [PlanRow("check", c.path, text(f"share.conflict.{c.kind}")) for c in plan.conflicts]
    if plan.unchanged:
        rows.append(PlanRow("keep", text("share.plan.unchanged", files=len(plan.unchanged))))
    told = list(warnings)
    if plan.halt:
        told.append(text(f"share.halt.{plan.halt}", files=len(plan.deletes)))
    return Plan(text("share.plan.push"), tuple(rows), text("share.plan.cost"), tuple(told))
