"""Ctrl+C in front of a run, and kill -9 of its trainer: nothing is lost, and the user is told."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psutil
import pytest

from .conftest import Machine


@pytest.fixture
def project(machine: Machine, tiny_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "long"
    assert machine.run("project", "create", str(folder), "--model", str(tiny_model)).returncode == 0
    config = folder / "finetuning" / "olive-config.json"
    settings = json.loads(config.read_text())
    settings["passes"]["finetune"]["save_minutes"] = 0.01
    settings["passes"]["finetune"]["training_args"]["max_steps"] = 400
    config.write_text(json.dumps(settings, indent=2))
    machine.json("infra", "apply", "-C", str(folder))
    return folder


def trainer_of(run_id: str) -> psutil.Process:
    """The process on this machine that trains the run."""
    for process in psutil.process_iter(["cmdline"]):
        if "finetuning/invoke_olive.py" in (process.info["cmdline"] or []):
            try:
                if process.environ().get("TUNESMITH_RUN_ID") == run_id:
                    return process
            except psutil.Error:
                continue
    raise AssertionError(f"nothing trains {run_id}")


def wait_for_checkpoint(machine: Machine, at: tuple[str, str], run_id: str) -> None:
    """Follow the log until the trainer is well past its first checkpoint, then leave by Ctrl+C."""
    follow = machine.start("run", "logs", "-f", run_id, *at)
    assert follow.stdout is not None
    began = time.monotonic()
    for line in follow.stdout:
        step = line.split("/")[0].removeprefix("step").strip()
        if line.startswith("step") and step.isdigit() and int(step) >= 60:
            break
        assert time.monotonic() - began < 240, "the run does not get on"
    follow.send_signal(signal.SIGINT)
    _, said = follow.communicate(timeout=30)
    assert follow.returncode == 130
    assert "The run goes on" in said


def test_a_run_outlives_ctrl_c_and_goes_on_after_kill_9(machine: Machine, project: Path) -> None:
    at = ("-C", str(project))
    run_id = machine.json("run", "start", *at)["run"]["id"]
    wait_for_checkpoint(machine, at, run_id)
    assert machine.json("run", "show", run_id, *at)["state"] == "running"

    trainer_of(run_id).send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while (found := machine.json("run", "show", run_id, *at))["state"] == "running":
        assert time.monotonic() < deadline, "the run says running for ever"
    assert found["state"] == "interrupted"
    assert found["canResume"]
    assert "checkpoint" in found["reason"] or "resume" in found["reason"]

    machine.json("run", "resume", run_id, *at)
    follow = machine.run("run", "logs", "-f", run_id, *at)
    assert follow.returncode == 0
    ended = machine.json("run", "show", run_id, *at)
    assert (ended["state"], ended["step"]) == ("succeeded", 400)
    assert len(ended["executions"]) == 2
    machine.json("share", "pull", run_id, *at)
    resumed_from = json.loads((project / "runs" / run_id / "run.json").read_text())["resumed_from"]
    assert resumed_from and resumed_from > 0
    machine.json("infra", "destroy", *at)
