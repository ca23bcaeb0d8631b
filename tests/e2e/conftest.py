"""A user's machine in a folder: own state, the shared image cache, the command line as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Machine:
    """Runs `tunesmith` with its state in `home`; images come from the user's own cache."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tunesmith.cli", *arguments],
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"tunesmith {' '.join(arguments)} hangs\n{out[-3000:]}\n{err[-3000:]}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *arguments: str) -> dict[str, Any]:
        done = self.run(*arguments, "--json", "--yes")
        assert done.returncode == 0, (
            f"tunesmith {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        )
        return json.loads(done.stdout)

    def stop_azurebox(self) -> None:
        state = self.home / "azurebox" / "azurebox.json"
        if not state.exists():
            return
        try:
            process = psutil.Process(json.loads(state.read_text())["pid"])
        except psutil.NoSuchProcess:
            return
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    home = tmp_path_factory.mktemp("home")
    machine = Machine(home, {"TUNESMITH_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"})
    yield machine
    machine.stop_azurebox()


@pytest.fixture(scope="session")
def training_python(machine: Machine) -> str:
    images = machine.json("target", "status", "local")["images"]
    return next(i["path"] for i in images if i["name"] == "training") + "/bin/python"


@pytest.fixture(scope="session")
def tiny_model(training_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    dataset = REPOSITORY / "template" / "dataset" / "train.jsonl"
    maker = REPOSITORY / "tests" / "scripts" / "tiny_model.py"
    subprocess.run([training_python, maker, folder, "--dataset", dataset], check=True)
    return folder
