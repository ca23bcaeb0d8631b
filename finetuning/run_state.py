"""`run.json`: how a run stands, written by the trainer alone and always whole."""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_parts = itertools.count()


class RunState:
    """The content of `run.json`. Every change is written at once: tmp file, fsync, rename."""

    def __init__(self, folder: Path, run_id: str, attempt: int) -> None:
        self._path = folder / "run.json"
        earlier = read(folder) or {}
        self.value: dict[str, Any] = {
            "v": 1,
            "run_id": run_id,
            "state": "running",
            "attempt": attempt,
            "pid": os.getpid(),
            "step": earlier.get("step", 0),
            "steps": earlier.get("steps", 0),
            "started_at": earlier.get("started_at") or now(),
            "updated_at": now(),
            "ended_at": None,
            "recipe": "chat",
            "method": earlier.get("method", ""),
            "method_reason": earlier.get("method_reason", ""),
            "base_model": earlier.get("base_model"),
            "artifact": None,
            "metrics": earlier.get("metrics") or {},
            "resumed_from": None,
            "dataset": earlier.get("dataset"),
            "chat_template_sha256": earlier.get("chat_template_sha256", ""),
            "dtype": earlier.get("dtype", ""),
            "seed": earlier.get("seed"),
            "versions": earlier.get("versions") or {},
            "error": None,
        }

    def update(self, **changes: Any) -> None:
        """Change fields and write. `metrics` are merged into the earlier ones. Raises: OSError."""
        metrics = {**self.value["metrics"], **changes.pop("metrics", {})}
        self.value = {**self.value, **changes, "metrics": metrics, "updated_at": now()}
        write_json(self._path, self.value)

    def end(self, state: str, error: dict[str, str] | None = None) -> None:
        """Write the final state: succeeded, failed or stopped. Raises: OSError."""
        self.update(state=state, ended_at=now(), error=error)


def read(folder: Path) -> dict[str, Any] | None:
    """Return the content of `run.json`, None when there is none that can be read."""
    try:
        value = json.loads((folder / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is there whole or not at all. Raises: OSError.

    May be interrupted by a signal handler that calls it again: each write has a part file of
    its own.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{next(_parts)}.part")
    try:
        with open(part, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def now() -> str:
    """Return the time in UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
