"""How a workspace gets to the share: look at both sides, plan, send what differs, note it last."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tunesmith.core.errors import Fix, ShareError
from tunesmith.core.ignore import OUTPUTS, is_output
from tunesmith.core.manifest import (
    REMOTE_PATH,
    Entry,
    Manifest,
    RemoteEntry,
    read_manifest,
    recognise,
    to_json,
)
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.ports import Files
from tunesmith.core.reporter import Reporter, Step
from tunesmith.core.run_request import inputs_of
from tunesmith.core.share_names import Refused, fold
from tunesmith.core.size_text import size_text
from tunesmith.core.sync import (
    SyncPlan,
    SyncResult,
    base_after,
    plan_sync,
    push_plan,
    worth_reading,
)
from tunesmith.ops.session import Session
from tunesmith.ops.together import together
from tunesmith.workspace.project_folder import STATE_FOLDER
from tunesmith.workspace.scan import Scan, scan_workspace
from tunesmith.workspace.sync_state import SyncState

WORKERS = 16
"""Files in flight; the port bounds the requests."""
STEP_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class PreparedPush:
    """A push, ready to go. `there`: the share's files in scope as they were listed."""

    root: Path
    state: SyncState
    scan: Scan
    there: Mapping[str, RemoteEntry]
    manifest: Manifest
    base: Mapping[str, Entry]
    sync: SyncPlan
    plan: Plan
    force: bool


async def prepare_push(session: Session, *, force: bool = False) -> PreparedPush:
    """Plan the push of a session's project to its target."""
    return await plan_push(
        await session.files(),
        session.project.root,
        target=session.target.name,
        named=inputs_of(session.project.config.values).files,
        force=force,
        reporter=session.ctx.reporter,
    )


async def plan_push(
    files: Files,
    root: Path,
    *,
    target: str,
    named: Iterable[str] = (),
    force: bool = False,
    reporter: Reporter,
) -> PreparedPush:
    """Compare the workspace with the share. Changes nothing on either side.

    `target`: whose sync base to use. `named`: paths that the run config names. `force`: what is
    here wins. Raises: ShareError, also "share.cannotSend" for a named file that no share can hold.
    """
    reporter.step(Step(text("share.comparing")))
    named = tuple(name for name in named if not is_output(name))
    state = SyncState(root, target)
    scan, listed, content = await asyncio.gather(
        asyncio.to_thread(scan_workspace, root, named, state.stat_cache()),
        _list_scope(files),
        files.read(REMOTE_PATH),
    )
    _check_named(scan.refused, named)
    manifest, last = read_manifest(content), state.base()
    # What was in step with another share, or one that was made anew, says nothing about this one.
    base = last.files if last.id and last.id == manifest.id else Manifest().files
    there = recognise(listed, manifest.files, base)
    begun = state.begun()
    unknown = worth_reading(scan.files, there, base, begun.sizes)
    there = {**there, **{e.path: e async for e in _read_hashes(files, there, unknown)}}
    refused = {fold(refusal.path) for refusal in scan.refused}
    sync = plan_sync(
        scan.files,
        there,
        base,
        pending=begun.hashes,
        is_kept=lambda path: fold(path) in refused or scan.rules.leaves_out(path),
        is_output=is_output,
        force=force,
    )
    warnings = [
        text("share.staysHome", path=refusal.path, reason=refusal.reason)
        for refusal in scan.refused
    ]
    return PreparedPush(
        root, state, scan, there, manifest, base, sync, push_plan(sync, warnings), force
    )


async def apply_push(files: Files, push: PreparedPush, reporter: Reporter) -> SyncResult:
    """Send what the plan says, and note it last: cut off anywhere, the next push goes on.

    Raises: ShareError("share.halted") and ShareError("share.conflict"), then nothing was changed.
    """
    started = time.monotonic()
    sync = push.sync
    if sync.halt:
        raise ShareError("share.halted", why=push.plan.warnings[-1], fix=_force(push))
    if sync.conflicts:
        first = sync.conflicts[0]
        raise ShareError(
            "share.conflict",
            path=first.path,
            files=len(sync.conflicts),
            why=text(f"share.conflict.{first.kind}"),
            fix=_force(push),
        )
    for warning in push.plan.warnings:
        reporter.warn(warning)
    sent: dict[str, Entry] = {}
    if sync.uploads or sync.deletes:
        await asyncio.to_thread(push.state.begin, sync.uploads)
        try:
            await files.clear_uploads()
            await _delete(files, sync)
            await _upload(files, push, sent, reporter)
        finally:
            # After a failure, too: what arrived need not be sent or looked at again.
            if sent and len(sent) < len(sync.uploads):
                await _note_part(push, sent)
    await _note(files, push, sent)
    return SyncResult(
        plan=push.plan,
        applied=True,
        files=len(sent),
        size_bytes=sum(entry.size_bytes for entry in sent.values()),
        deleted=len(sync.deletes),
        conflicts=(),
        seconds=time.monotonic() - started,
    )


def push_row(push: SyncResult) -> PlanRow:
    """Return a push as one row of a larger plan."""
    if not push.files and not push.deleted:
        return PlanRow("keep", text("run.plan.share"), text("run.plan.shareSame"))
    detail = text("run.plan.push", files=push.files, size=size_text(push.size_bytes))
    return PlanRow("upload", text("run.plan.share"), detail)


def shown(push: PreparedPush) -> SyncResult:
    """Return the plan as a result that changed nothing."""
    sync = push.sync
    return SyncResult(
        plan=push.plan,
        applied=False,
        files=len(sync.uploads),
        size_bytes=sync.size_bytes,
        deleted=len(sync.deletes),
        conflicts=tuple(conflict.path for conflict in sync.conflicts),
    )


async def _list_scope(files: Files) -> list[tuple[str, int, str]]:
    """List the share without our own state and what runs make: that grows without end."""
    found = await files.tree("", skip=(STATE_FOLDER, *OUTPUTS))
    return [(file.path, file.size_bytes, file.etag) for file in found]


async def _read_hashes(
    files: Files, there: Mapping[str, RemoteEntry], paths: Iterable[str]
) -> AsyncIterator[RemoteEntry]:
    """Fetch files whose hash nobody recorded, to compare them by content."""
    for path in paths:
        entry = there[path]
        digest, position = hashlib.sha256(), 0
        while position < entry.size_bytes:
            block = await files.read(path, position, 16 * 1024 * 1024)
            if not block:
                break
            digest.update(block)
            position += len(block)
        if position == entry.size_bytes:
            yield replace(entry, sha256=digest.hexdigest())


def _check_named(refused: Iterable[Refused], named: tuple[str, ...]) -> None:
    for refusal in refused:
        if refusal.path in named:
            raise ShareError("share.cannotSend", path=refusal.path, reason=refusal.reason)


async def _delete(files: Files, sync: SyncPlan) -> None:
    await asyncio.gather(*(files.delete(path) for path in sync.deletes))
    for folder in sync.empty_folders:
        await files.delete_folder(folder)


async def _upload(
    files: Files, push: PreparedPush, sent: dict[str, Entry], reporter: Reporter
) -> None:
    queue = iter(push.sync.uploads)
    total, done, said_at = push.sync.size_bytes, 0, 0.0

    def arrived(path: str, count: int) -> None:
        nonlocal done, said_at
        done += count
        if time.monotonic() - said_at > STEP_EVERY_S:
            said_at = time.monotonic()
            reporter.step(Step(text("share.pushing", path=path), done, total))

    async def work() -> None:
        for upload in queue:
            if upload.replaces:  # one file to the share, which keeps the case of a name it has
                await files.delete(upload.replaces)
            file = push.root / upload.path
            written = await files.write(upload.path, file, partial(arrived, upload.path))
            sent[upload.path] = Entry(written.sha256, written.size_bytes, written.etag)

    await together(work() for _ in range(min(WORKERS, len(push.sync.uploads))))
    if push.sync.uploads:
        reporter.step(Step(text("share.pushed", files=len(sent)), total, total))


async def _note(files: Files, push: PreparedPush, sent: Mapping[str, Entry]) -> None:
    """Write the share's manifest, then this machine's base; neither when nothing changed in it."""
    ours = _now_there(push, sent)
    # What others recorded of files that are still as they were stays recorded.
    foreign = {
        path: Entry(entry.sha256, entry.size_bytes, entry.etag)
        for path in push.sync.foreign
        if (entry := push.there.get(path)) and entry.sha256 and path in push.manifest.files
    }
    manifest_id = push.manifest.id or secrets.token_hex(8)
    manifest = Manifest(manifest_id, {**foreign, **ours})
    if manifest != push.manifest:
        await files.write(REMOTE_PATH, to_json(manifest))
    base = Manifest(manifest_id, base_after(push.sync, push.base, ours))
    if base != push.state.base() or push.state.begun().hashes:
        await asyncio.to_thread(push.state.save_base, base)


async def _note_part(push: PreparedPush, sent: Mapping[str, Entry]) -> None:
    if push.manifest.id:
        base = Manifest(push.manifest.id, {**push.base, **sent})
        await asyncio.to_thread(push.state.save_part, base)


def _now_there(push: PreparedPush, sent: Mapping[str, Entry]) -> dict[str, Entry]:
    by_key = {fold(path): entry for path, entry in push.there.items()}
    unchanged = {
        path: Entry(found.sha256 or "", found.size_bytes, found.etag)
        for path in push.sync.unchanged
        if (found := by_key.get(fold(path))) and not is_output(path)
    }
    return {**unchanged, **{p: e for p, e in sent.items() if not is_output(p)}}


def _force(push: PreparedPush) -> Fix:
    return Fix(text("fixes.forcePush"), "share/push", {"project": str(push.root), "force": True})
