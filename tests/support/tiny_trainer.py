"""Keeps a trainer's contract without training: run.json, events, checkpoints, SIGTERM, exit codes.

`settings` come from the environment of the command: STEPS (of 0.05 s each) and FAIL_AT.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / os.environ["TUNESMITH_TASK_DIR"]
ATTEMPT = int(os.environ["TUNESMITH_ATTEMPT"])
STEPS = int(os.environ.get("STEPS", "4"))
stopped = False


def stop(number, frame):
    global stopped
    stopped = True


def write(name, value):
    part = RUN / f".{name}.part"
    part.write_text(json.dumps(value))
    part.replace(RUN / name)


def tell(state, step, **more):
    write("run.json", {
        "v": 1, "run_id": os.environ["TUNESMITH_RUN_ID"], "state": state, "attempt": ATTEMPT,
        "pid": os.getpid(), "step": step, "steps": STEPS, "recipe": "chat", "method": "lora",
        "base_model": {"id": "tiny", "path": "model-cache/tiny", "license": "MIT"},
        "started_at": "2026-01-01T00:00:00Z", "metrics": {"loss": 1.0 / (step + 1)}, **more,
    })  # fmt: skip


def event(**body):
    print("::tunesmith:: " + json.dumps({"v": 1, **body}), flush=True)


signal.signal(signal.SIGTERM, stop)
done = [int(p.name.split("-")[1]) for p in RUN.glob("checkpoint-*")]
first = max(done, default=0)
print(f"training from step {first}: {(RUN / 'inputs/dataset/train.jsonl').stat().st_size} bytes é")
for step in range(first + 1, STEPS + 1):
    tell("running", step - 1)
    event(kind="progress", step=step, steps=STEPS, loss=1.0 / step, tokens_per_s=10, eta_s=1)
    print(f"step {step}", flush=True)
    time.sleep(0.05)
    if str(step) == os.environ.get("FAIL_AT"):
        tell("failed", step, error={"code": "x", "message": "it broke at a step", "hint": ""})
        sys.exit(1)
    if stopped:
        (RUN / f"checkpoint-{step}").mkdir()
        tell("stopped", step)
        sys.exit(75)
(RUN / "adapter").mkdir(exist_ok=True)
tell("succeeded", STEPS, artifact={"kind": "peft", "path": "adapter"})
