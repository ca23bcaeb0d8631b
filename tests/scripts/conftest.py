"""What the tests of the training scripts share: projects with a tiny model, and a container's way
of running them. Run with the training environment's Python."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from name_watch import ASKS_FOR_SILENCE

REPOSITORY = Path(__file__).resolve().parents[2]
FINETUNING = REPOSITORY / "finetuning"
sys.path.insert(0, str(FINETUNING))
sys.path.insert(0, str(Path(__file__).parent))

FACTS = {"warranty": "27 months", "battery": "19 hours", "weight": "640 grams", "colour": "teal"}
WORDINGS = (
    "How long is the {}?",
    "Tell me the {} please.",
    "What about the {}?",
    "I would like to know the {} of it.",
    "Do you happen to remember its {}?",
    "And the {}, if I may ask?",
)


# Without torch this is another environment, whose run leaves these tests to the right one.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


def clean_environment() -> dict[str, str]:
    """The environment without what is ours, and without what would silence telemetry for us."""
    return {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("TUNESMITH_") and k not in ASKS_FOR_SILENCE
    }


@dataclass
class ProjectFolder:
    """A project on a "share" with a tiny model, and runs in it."""

    root: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def configure(self, *, args: dict[str, Any] | None = None, **settings: Any) -> None:
        path = self.root / "finetuning/olive-config.json"
        config = json.loads(path.read_text())
        config["passes"]["finetune"].update(settings)
        config["passes"]["finetune"]["training_args"].update(args or {})
        path.write_text(json.dumps(config, indent=2))

    def make_run(self, run_id: str, commands: list[str] | None = None) -> Path:
        import launcher

        trainer = f"{sys.executable} finetuning/invoke_olive.py"
        return launcher.make_run(self.root, run_id, commands or ['cd "$AZUREBOX_MOUNT"', trainer])

    def env(self, run: Path, attempt: int = 1, **more: str) -> dict[str, str]:
        return {
            **clean_environment(),
            "AZUREBOX_MOUNT": str(self.root),
            "TUNESMITH_TASK_DIR": str(run.relative_to(self.root)),
            "TUNESMITH_RUN_ID": run.name,
            "TUNESMITH_ATTEMPT": str(attempt),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            **more,
        }

    def start(self, run: Path, attempt: int = 1, **more: str) -> subprocess.Popen[bytes]:
        """Start the launcher as a container does: first process of a group of its own."""
        process = subprocess.Popen(
            [sys.executable, str(self.root / "finetuning/launcher.py")],
            env=self.env(run, attempt, **more),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def finish(self, run: Path, attempt: int = 1, **more: str) -> tuple[int, str]:
        process = self.start(run, attempt, **more)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output.decode()

    def close(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s for {what}")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def fact_rows() -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": wording.format(name)},
                {"role": "assistant", "content": f"The {name} is {value}."},
            ]
        }
        for name, value in FACTS.items()
        for wording in WORDINGS
    ]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_model import make_tiny_model

    texts = [m["content"] for row in fact_rows() for m in row["messages"]]
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", texts)


def fresh_project(folder: Path, model: Path | None = None) -> ProjectFolder:
    """Make a project in `folder`; with a model its config trains 12 steps in about a second."""
    root = folder / "share"
    root.mkdir()
    shutil.copytree(FINETUNING, root / "finetuning", ignore=shutil.ignore_patterns("__pycache__"))
    write_rows(root / "dataset/train.jsonl", fact_rows())
    questions = [
        {"id": f"f{i}", "kind": "fact", "question": f"Say, the {k} is what?", "expected": [v]}
        for i, (k, v) in enumerate(FACTS.items())
    ]
    write_rows(root / "dataset/questions.jsonl", questions)
    config = root / "finetuning/olive-config.json"
    value = json.loads(config.read_text())
    value["input_model"]["model_path"] = "model-cache/tiny"
    config.write_text(json.dumps(value))
    project = ProjectFolder(root)
    if model:
        shutil.copytree(model, root / "model-cache/tiny")
        project.configure(args={"num_train_epochs": 4, "learning_rate": 1e-2})
    return project


@pytest.fixture
def bare_project(tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project without a model: for what happens before one is needed."""
    project = fresh_project(tmp_path)
    yield project
    project.close()


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path) -> Iterator[ProjectFolder]:
    """A project with a tiny model."""
    project = fresh_project(tmp_path, tiny_model)
    yield project
    project.close()
