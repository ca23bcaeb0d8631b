"""Projects for tests on the local target; their jobs run `tiny_trainer.py` in a bare image."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import psutil
from tunesmith.ops.scaffolding import create_project

PYTHON_IMAGE = "docker.io/library/python:3.11-slim"
TRAINER = Path(__file__).with_name("tiny_trainer.py")
COMMANDS = ['cd "${AZUREBOX_MOUNT:-/mount}"', "python3 finetuning/tiny_trainer.py"]


def kill_azurebox(home, number=signal.SIGKILL):
    """Signal this session's own azurebox and wait until it is gone."""
    file = home / "azurebox" / "azurebox.json"
    if not file.is_file():
        return
    pid = json.loads(file.read_text())["pid"]
    try:
        process = psutil.Process(pid)
        process.send_signal(number)
        deadline = time.monotonic() + 15
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    except psutil.NoSuchProcess:
        pass


def make_project(folder, **values):
    """Create a project whose job runs in the Python image."""
    create_project(str(folder), model=None, dataset=None, values=values)
    for kind in ("finetuning", "inference"):
        edit_json(
            folder / f"infra/provision/{kind}.parameters.json",
            lambda c: c["parameters"]["image"].update(value=PYTHON_IMAGE),
        )
    shutil.copyfile(TRAINER, folder / "finetuning" / "tiny_trainer.py")
    return folder


def edit_json(file, change):
    content = json.loads(file.read_text("utf-8"))
    change(content)
    file.write_text(json.dumps(content, indent=2), "utf-8")


def set_commands(folder, commands):
    edit_json(folder / "infra/finetuning.config.json", lambda c: c.update(COMMANDS=commands))
