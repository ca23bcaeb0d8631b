"""How a run's results get here: each file whole, checked, under its name only when complete."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tunesmith.core.errors import ShareError
from tunesmith.core.manifest import Entry
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.ports import Files, RemoteFile
from tunesmith.core.reporter import Reporter, Step
from tunesmith.core.share_names import check_names
from tunesmith.core.size_text import size_text
from tunesmith.core.sync import SyncResult
from tunesmith.ops.together import together
from tunesmith.workspace.stat_cache import StatCache
from tunesmith.workspace.sync_state import SyncState

WORKERS = 8
_CHECKPOINT = re.compile(r"checkpoint-[^/]*/")


@dataclass(frozen=True, slots=True)
class PreparedPull:
    """A pull of one run, ready to go. `edited`: files changed here since they were pulled."""

    root: Path
    state: SyncState
    run_id: str
    wanted: tuple[RemoteFile, ...]
    edited: tuple[str, ...]
    pulled: Mapping[str, Entry]
    plan: Plan


async def plan_pull(
    files: Files, root: Path, run_id: str, *, target: str, checkpoints: bool = False
) -> PreparedPull:
    """Compare a run's folder on the share with the one here. Changes nothing.

    Checkpoints, many times the size of all else, are only brought on demand.
    Raises: ShareError("share.nothingToPull").
    """
    state = SyncState(root, target)
    prefix = f"runs/{run_id}/"
    listed = await files.tree(prefix)
    if not listed:
        raise ShareError("share.nothingToPull", run=run_id)
    inner = [f for f in listed if checkpoints or not _CHECKPOINT.match(f.path[len(prefix) :])]
    good, refused = check_names(file.path for file in inner)
    pulled = state.pulled()
    hashes = await asyncio.to_thread(_hashes, root, state.stat_cache("pull-cache.json"), good)
    wanted: list[RemoteFile] = []
    edited: list[str] = []
    unchanged = 0
    for file in inner:
        known, here = pulled.get(file.path), hashes.get(file.path)
        if file.path not in good:
            continue
        if here and known and here != known.sha256:
            edited.append(file.path)
        elif here and known and known.etag == file.etag:
            unchanged += 1
        else:
            wanted.append(file)
    rows = [PlanRow("download", f.path, size_text(f.size_bytes)) for f in wanted]
    rows += [PlanRow("check", path, text("share.plan.editedHere")) for path in edited]
    if unchanged:
        rows.append(PlanRow("keep", text("share.plan.unchanged", files=unchanged)))
    warnings = [text("share.staysThere", path=r.path, reason=r.reason) for r in refused]
    if len(inner) < len(listed):
        warnings.append(text("share.plan.checkpointsStay", files=len(listed) - len(inner)))
    title = text("share.plan.pull", run=run_id)
    plan = Plan(title, tuple(rows), text("share.plan.cost"), tuple(warnings))
    return PreparedPull(root, state, run_id, tuple(wanted), tuple(edited), pulled, plan)


async def apply_pull(files: Files, pull: PreparedPull, reporter: Reporter) -> SyncResult:
    """Bring what the plan says. Cut off anywhere, the next pull brings the rest.

    A file that a run still writes is brought as it was when its transfer began, or named in a
    warning when it never held still.
    """
    started = time.monotonic()
    queue = iter(pull.wanted)
    total = sum(file.size_bytes for file in pull.wanted)
    done, size_bytes = 0, 0
    got: dict[str, Entry] = {}

    def arrived(path: str, count: int) -> None:
        nonlocal done
        done += count
        reporter.step(Step(text("share.pulling", path=path), min(done, total), total))

    async def work() -> None:
        nonlocal size_bytes
        for file in queue:
            try:
                here = await files.download(
                    file.path, pull.root / file.path, partial(arrived, file.path)
                )
            except ShareError as e:
                if e.code != "share.changedWhileRead":
                    raise
                reporter.warn(text("share.stillWritten", path=file.path))
                continue
            if here is not None:  # else the run took it away meanwhile
                got[file.path] = Entry(here.sha256, here.size_bytes, here.etag)
                size_bytes += here.size_bytes

    try:
        await together(work() for _ in range(min(WORKERS, len(pull.wanted))))
    finally:
        if got:
            await asyncio.to_thread(pull.state.save_pulled, {**pull.pulled, **got})
    for path in pull.edited:
        reporter.warn(text("share.keptEdited", path=path))
    return SyncResult(
        plan=pull.plan,
        applied=True,
        files=len(got),
        size_bytes=size_bytes,
        deleted=0,
        conflicts=pull.edited,
        seconds=time.monotonic() - started,
    )


def shown_pull(pull: PreparedPull) -> SyncResult:
    """Return the plan as a result that changed nothing."""
    size = sum(file.size_bytes for file in pull.wanted)
    return SyncResult(pull.plan, False, len(pull.wanted), size, 0, pull.edited)


def _hashes(root: Path, cache: StatCache, paths: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        try:
            found[path] = cache.sha256_of(root / path, path)[0]
        except OSError:
            continue
    cache.save()
    return found
