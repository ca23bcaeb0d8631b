"""Whole trainings of a tiny model: how they end, how they are stopped, killed and resumed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import ProjectFolder, fresh_project, read_json, wait_for

STEPS = 24
SLOW_FSYNC = """
import os, time
_fsync = os.fsync
def fsync(fd):
    time.sleep(0.05)
    _fsync(fd)
os.fsync = fsync
"""


@dataclass
class Baseline:
    """An uninterrupted run, and how long it took from its first checkpoint to its end."""

    project: ProjectFolder
    run: Path
    log: str
    seconds: float

    @property
    def adapter(self) -> bytes:
        return adapter_of(self.run)


def adapter_of(run: Path) -> bytes:
    return (run / "adapter/adapter_model.safetensors").read_bytes()


def sealed(run: Path) -> list[Path]:
    return sorted(run.glob("checkpoint-*/COMPLETE"))


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Baseline]:
    project = fresh_project(tmp_path_factory.mktemp("training"), tiny_model)
    # A wide batch, so that a step takes long enough to be interrupted between two.
    project.configure(
        args={"num_train_epochs": 8, "learning_rate": 1e-2, "per_device_train_batch_size": 8},
        save_minutes=0,
        lora_dropout=0.05,
    )
    run = project.make_run("baseline")
    process = project.start(run)
    wait_for(lambda: sealed(run) or process.poll() is not None, "the first checkpoint")
    began_s = time.monotonic()
    wait_for(lambda: (run / "adapter").exists() or process.poll() is not None, "the adapter")
    seconds = time.monotonic() - began_s
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output.decode()
    yield Baseline(project, run, output.decode(), seconds)
    project.close()


def test_a_run_leaves_what_others_read(baseline: Baseline) -> None:
    state = read_json(baseline.run / "run.json")
    assert state["state"] == "succeeded"
    assert (state["step"], state["steps"]) == (STEPS, STEPS)
    assert state["artifact"] == {"kind": "peft", "path": "adapter"}
    assert state["base_model"]["path"] == "model-cache/tiny"
    assert state["dataset"] | {"sha256": ""} == {
        "sha256": "",
        "rows": 24,
        "train_rows": 22,
        "eval_rows": 2,
    }
    metrics = state["metrics"]
    assert metrics["eval_loss"] < metrics["eval_loss_before"]
    assert metrics["tokens_trained"] > 1000
    assert state["method"] == "lora"
    assert "CPU" in state["method_reason"]
    lines = [read for read in map(_json, (baseline.run / "metrics.jsonl").open()) if read]
    assert [x["step"] for x in lines if "loss" in x] == list(range(1, STEPS + 1))
    assert [x["step"] for x in lines if "eval_loss" in x] == [0, STEPS]
    assert sorted(p.parent.name for p in sealed(baseline.run)) == ["checkpoint-23", "checkpoint-24"]
    assert not list(baseline.run.glob(".*.part"))


def test_the_log_shows_a_plan_and_then_progress(baseline: Baseline) -> None:
    log = baseline.log
    assert log.index("Plan\n") < log.index(f"step 24/{STEPS}")
    for text in ("22 rows to train on, 2 held out", "24 steps in batches of 8", "LoRA, rank 16"):
        assert text in log
    assert re.search(rf"step +\d+/{STEPS}  loss \d+\.\d{{3}} +\d+ tokens/s  \d+ s left", log)
    assert "Held-out loss:" in log
    assert "Traceback" not in log
    assert "Warning" not in log
    events = [line for line in log.splitlines() if line.startswith("::tunesmith:: ")]
    numbers = [_json(line.removeprefix("::tunesmith:: "))["seq"] for line in events]
    assert numbers == list(range(1, len(numbers) + 1))


def test_sigterm_writes_a_checkpoint_and_the_next_attempt_ends_the_same(
    baseline: Baseline,
) -> None:
    project = baseline.project
    run = project.make_run("stopped")
    process = project.start(run)
    wait_for(lambda: len(sealed(run)) >= 1, "a checkpoint")
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 75, output.decode()
    state = read_json(run / "run.json")
    assert (state["state"], state["artifact"]) == ("stopped", None)
    assert 0 < state["step"] < STEPS
    assert f"Stopped with a checkpoint at step {state['step']}" in output.decode()

    code, log = project.finish(run, 2)
    assert code == 0
    assert f"Found checkpoint-{state['step']} of an earlier attempt, whole" in log
    assert adapter_of(run) == baseline.adapter
    after, clean = read_json(run / "run.json"), read_json(baseline.run / "run.json")
    assert after["resumed_from"] == state["step"]
    total, before = after["metrics"]["tokens_trained"], state["metrics"]["tokens_trained"]
    assert f"Trained {total - before:,} tokens in " in log
    assert f"{total:,} with earlier attempts" in log
    for key in ("tokens_trained", "eval_loss", "eval_loss_before", "loss"):
        assert after["metrics"][key] == clean["metrics"][key], key
    lines = [x for x in map(_json, (run / "metrics.jsonl").open()) if "loss" in x]
    assert [x["step"] for x in lines] == list(range(1, STEPS + 1))


def test_a_stop_while_the_adapter_is_written_comes_before_the_passes_that_follow(
    baseline: Baseline, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_FSYNC)
    project = baseline.project
    run = project.make_run("late")
    config = read_json(run / "inputs/olive-config.json")
    config["passes"]["merge"] = {"type": "MergeAdapterWeights"}
    (run / "inputs/olive-config.json").write_text(json.dumps(config))
    # What an attempt leaves that is killed after its last step.
    shutil.copytree(baseline.run / "checkpoint-24", run / "checkpoint-24")
    process = project.start(run, 2, PYTHONPATH=str(tmp_path))
    wait_for(lambda: list(run.glob(".adapter.*")) or process.poll() is not None, "the adapter")
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output.decode()
    assert read_json(run / "run.json")["state"] == "stopped"
    assert not (run / "model").exists()
    assert "checkpoint-24 of an earlier attempt, whole" in output.decode()
    assert adapter_of(run) == baseline.adapter


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_training_ends_at_once(baseline: Baseline, number: signal.Signals) -> None:
    run = baseline.project.make_run(f"early-{number}")
    process = baseline.project.start(run)
    wait_for(lambda: (run / "run.json").exists(), "the trainer")
    if number == signal.SIGTERM:
        process.terminate()
    else:
        os.killpg(process.pid, number)  # as a terminal does
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 143, output.decode()
    assert read_json(run / "run.json")["state"] == "stopped"
    assert b"before the first checkpoint" in output
    assert b"Traceback" not in output


DRAW = random.Random(20260125)
MOMENTS = [round(DRAW.uniform(0.05, 0.85), 3) for _ in range(3)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_trainer_killed_at_any_moment_goes_on_to_the_same_adapter(
    baseline: Baseline, moment: float
) -> None:
    project = baseline.project
    run = project.make_run(f"killed-{str(moment).replace('.', '-')}")
    process = project.start(run)
    wait_for(lambda: sealed(run), "the first checkpoint")
    until = time.monotonic() + moment * baseline.seconds
    while time.monotonic() < until and read_json(run / "run.json")["step"] < STEPS - 3:
        time.sleep(0.005)
    os.kill(read_json(run / "run.json")["pid"], signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 137
    assert "failed with exit code 137" in output.decode()
    assert read_json(run / "run.json")["state"] == "running"  # it could not say a word

    code, log = project.finish(run, 2)
    assert code == 0
    assert re.search(r"Found checkpoint-\d+ of an earlier attempt, whole; going on after it", log)
    assert adapter_of(run) == baseline.adapter


def test_after_a_kill_inside_a_checkpoints_write_it_goes_on_from_the_newest_sound_one(
    baseline: Baseline, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_FSYNC)
    project = baseline.project
    run = project.make_run("half")
    process = project.start(run, PYTHONPATH=str(tmp_path))
    wait_for(lambda: len(sealed(run)) >= 2, "two checkpoints")

    def half() -> list[Path]:
        return [p for p in run.glob("checkpoint-*") if not (p / "COMPLETE").exists()]

    wait_for(lambda: half() and (half()[0] / "optimizer.pt").exists(), "a half checkpoint")
    os.kill(read_json(run / "run.json")["pid"], signal.SIGKILL)
    process.communicate(timeout=30)
    [left] = half()
    sound, cut = sorted((m.parent for m in sealed(run)), key=lambda p: int(p.name.split("-")[1]))
    size = (cut / "optimizer.pt").stat().st_size
    os.truncate(cut / "optimizer.pt", size // 2)

    code, log = project.finish(run, 2)
    assert code == 0
    assert f"Found {left.name}, which can't be used: it was not written to its end." in log
    assert f"Found {cut.name}, which can't be used: optimizer.pt has {size // 2} of {size}" in log
    assert f"Found {sound.name} of an earlier attempt, whole; going on after it" in log
    assert adapter_of(run) == baseline.adapter


def test_a_killed_launcher_ends_its_trainer_and_the_run_goes_on(baseline: Baseline) -> None:
    project = baseline.project
    run = project.make_run("orphan")
    process = project.start(run)
    wait_for(lambda: sealed(run), "the first checkpoint")
    trainer = read_json(run / "run.json")["pid"]
    process.kill()
    process.wait(timeout=10)
    wait_for(lambda: not _is_alive(trainer), "the end of the trainer", 20)
    assert not (run / "attempts/1.end.json").exists()
    assert read_json(run / "run.json")["state"] == "stopped"  # it had the time to save

    code, log = project.finish(run, 2)
    assert code == 0
    assert "of an earlier attempt, whole" in log
    assert adapter_of(run) == baseline.adapter


def _is_alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _json(line: str) -> dict[str, Any]:
    return json.loads(line)
