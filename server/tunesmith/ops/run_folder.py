"""Run folders on the share, read: what `core.run_state` needs to say how a run is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tunesmith.core.errors import RunError
from tunesmith.core.json_values import mapping, words
from tunesmith.core.ports import Execution, Files
from tunesmith.core.run_request import RUN_ID
from tunesmith.core.run_state import Attempt, RunFiles, is_execution_of, run_of
from tunesmith.core.runs import Run
from tunesmith.ops.session import Session

_ATTEMPT_FILE = re.compile(r"(\d+)(\.end)?\.json")


async def read_json(files: Files, path: str) -> Mapping[str, Any] | None:
    """Return a JSON object from the share; None when it is missing or was cut by a crash."""
    content = await files.read(path)
    if content is None:
        return None
    try:
        return mapping(json.loads(content))
    except ValueError:
        return None


async def read_run_files(files: Files, run_id: str, task_dir: str = "") -> RunFiles:
    """Read the files of a task folder (default: the run's own)."""
    task_dir = task_dir or f"runs/{run_id}"
    request, run, listed = await asyncio.gather(
        read_json(files, f"{task_dir}/request.json"),
        read_json(files, f"{task_dir}/run.json"),
        files.tree(f"{task_dir}/attempts"),
    )
    found = [
        (f.path, m) for f in listed if (m := _ATTEMPT_FILE.fullmatch(f.path.rpartition("/")[2]))
    ]
    contents = await asyncio.gather(*(read_json(files, path) for path, _ in found))
    starts: dict[int, Mapping[str, Any]] = {}
    ends: dict[int, Mapping[str, Any]] = {}
    for (_, name), content in zip(found, contents, strict=True):
        (ends if name[2] else starts)[int(name[1])] = content or {}
    numbers = sorted({*starts, *ends})
    attempts = tuple(Attempt(n, starts.get(n, {}), ends.get(n)) for n in numbers)
    return RunFiles(run_id, request, run, attempts)


async def read_run(session: Session, run_id: str) -> Run:
    """Return one run as it is now.

    Raises: RunError("run.unknown").
    """
    files = await session.files()
    job = session.provisioned().job
    executions, run_files = await asyncio.gather(
        session.runner().executions(job), read_run_files(files, run_id)
    )
    if run_files.request is None and not run_files.attempts and not run_files.run:
        known = await run_ids(files)
        if run_id not in known:
            raise unknown_run(run_id, known)
    return run_of(run_files, executions, datetime.now(UTC))


async def read_runs(session: Session) -> tuple[Run, ...]:
    """Return every run, newest first."""
    files = await session.files()
    job = session.provisioned().job
    executions, ids = await asyncio.gather(session.runner().executions(job), run_ids(files))
    read = await asyncio.gather(*(read_run_files(files, i) for i in ids))
    return newest_first([run_of(f, executions, datetime.now(UTC)) for f in read])


def newest_first(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Order runs by creation; ids made from the date break ties."""
    return tuple(sorted(runs, key=lambda r: (r.created_at, r.id), reverse=True))


async def run_ids(files: Files) -> list[str]:
    """Return the names of the folders below runs/ that can be run ids."""
    return [name for name in await files.folders("runs") if RUN_ID.fullmatch(name)]


async def pick_run(session: Session, run_id: str | None) -> str:
    """Return `run_id`, or the newest run's.

    Raises: RunError("run.none" | "run.badId").
    """
    if run_id is not None:
        return checked_id(run_id)
    files = await session.files()
    ids = await run_ids(files)
    if not ids:
        raise RunError("run.none")
    requests = await asyncio.gather(*(read_json(files, f"runs/{i}/request.json") for i in ids))
    created = [words((r or {}).get("created_at")) for r in requests]
    return max(zip(created, ids, strict=True))[1]


def checked_id(run_id: str) -> str:
    """Return the id as it is.

    Raises: RunError("run.badId") for one that could not be a folder's name everywhere.
    """
    if not RUN_ID.fullmatch(run_id):
        raise RunError("run.badId", run=run_id)
    return run_id


def unknown_run(run_id: str, known: Sequence[str]) -> RunError:
    """Return the error that names the runs there are."""
    listed = ", ".join(sorted(known, reverse=True)[:5]) or "none"
    return RunError("run.unknown", run=run_id, known=listed)


def executions_of(executions: Sequence[Execution], run_id: str, task_dir: str) -> list[Execution]:
    """Return the executions that work in a task folder, newest attempt first."""
    mine = [e for e in executions if is_execution_of(e, run_id, task_dir)]
    return sorted(mine, key=lambda e: e.started_at, reverse=True)
