"""What a run is asked to do: its id, its request.json and the inputs that are frozen with it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tunesmith.core.json_values import at, mapping, words

RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]|[a-z0-9]")
"""A run id is a folder name on the share, part of URLs, and alike on systems that ignore case."""

TRAINER = "invoke_olive.py"
COMPARE_COMMAND = "python3 finetuning/compare.py"


def new_run_id(now: datetime) -> str:
    """Return an id that sorts by time, such as "20261125-074119-k3f9"."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return f"{now:%Y%m%d-%H%M%S}-" + "".join(secrets.choice(alphabet) for _ in range(4))


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files that a run reads: run config and data, by path relative to inputs/."""

    config: Mapping[str, Any]
    files: tuple[str, ...]
    dataset: str
    model: str


def inputs_of(config: Mapping[str, Any]) -> Inputs:
    """Find the files that a run config names. Paths stay relative, as the trainer resolves them."""
    finetune = mapping(at(config, "passes", "finetune"))
    named = [finetune.get(k) for k in ("dataset_path", "eval_dataset_path", "questions_path")]
    files = [path for path in map(words, named) if path]
    return Inputs(
        config=config,
        files=tuple(dict.fromkeys(files)),
        dataset=words(finetune.get("dataset_path")) or "dataset/train.jsonl",
        model=model_of(config),
    )


def model_of(config: Mapping[str, Any]) -> str:
    """Return the base model that a run config names, "" for none."""
    return words(at(config, "input_model", "model_path"))


def request_json(
    *,
    run_id: str,
    task: str,
    created_at: str,
    project: str,
    commands: Sequence[str],
    model: str,
    dataset: str,
    dataset_sha256: str,
    dataset_rows: int,
    version: str,
    settings: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the content of request.json. Written once, read by the launcher and by every client.

    `dataset`: relative to inputs/.
    """
    body = {
        "v": 1,
        "run_id": run_id,
        "task": task,
        "created_at": created_at,
        "project": project,
        "commands": list(commands),
        "config": "inputs/olive-config.json",
        "model": model,
        "dataset": {
            "path": dataset,
            "sha256": dataset_sha256,
            "rows": dataset_rows,
        },
        "versions": {"tunesmith": version},
        "settings": dict(settings or {}),
    }
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def compare_commands(commands: Sequence[str]) -> list[str]:
    """Return the set-up of the run's commands and the comparison in place of the training.

    What follows the training is left out. Where no command is the trainer's, the last one is it.
    """
    training = (n for n, command in enumerate(commands) if TRAINER in command)
    return [*commands[: next(training, len(commands) - 1)], COMPARE_COMMAND]


def execution_env(run_id: str, task_dir: str, attempt: int) -> dict[str, str]:
    """Return what an execution is told about its task."""
    return {
        "TUNESMITH_RUN_ID": run_id,
        "TUNESMITH_TASK_DIR": task_dir,
        "TUNESMITH_ATTEMPT": str(attempt),
    }
