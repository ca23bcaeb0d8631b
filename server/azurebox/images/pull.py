"""Building an image's environment: what pulling is on this machine.

The folder is built in place, since virtual environments cannot be moved, and counts as pulled
once `.complete` is in it; an unfinished one is thrown away and built anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from azurebox.images.accelerator import Accelerator, detect_accelerator
from azurebox.images.downloads import plan_downloads, size_text
from azurebox.images.images import Environment, PullFailed
from azurebox.runtime.atomic import write_json
from azurebox.runtime.file_lock import exclusive

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_INDEX_TIMEOUT_S = 4.0
_SHOWN = ("Downloading ", "Installing collected", "Successfully installed", "Building wheel")

Say = Callable[[str], None]


def pull(environment: Environment, say: Say) -> None:
    """Build the environment unless it is complete; `say` gets a line for each step.

    Of several processes one builds and the others wait. Raises: PullFailed.
    """
    environment.path.parent.mkdir(parents=True, exist_ok=True)
    lock = environment.path.with_name(environment.path.name + ".lock")
    short = environment.image.short
    with exclusive(lock, lambda: say(f"{short}: another process is pulling it; waiting")) as held:
        if environment.is_ready:
            say(f"{short}: already there, {environment.path}")
            return
        if environment.path.exists():
            say(f"{short}: an earlier pull was interrupted; starting anew")
            shutil.rmtree(environment.path)
        _Build(environment, say, held).run()


class _Build:
    """One build, with the lock held. Every child inherits the lock's descriptor, so that a pip
    which outlives this process keeps others from building into the same folder."""

    def __init__(self, environment: Environment, say: Say, lock: int) -> None:
        self._environment = environment
        self._say = say
        self._lock = lock
        self._short = environment.image.short

    def run(self) -> None:
        started_s = time.monotonic()
        self._say(f"{self._short}: Python {sys.version.split()[0]} into {self._environment.path}")
        image = self._environment.image
        self._check_disk(image.disk_bytes)
        if image.download_bytes:
            total = size_text(image.download_bytes)
            self._say(f"{self._short}: about {total} to download, less what pip has cached")
        self._make_venv()
        if image.lock is not None:
            torch = [line for line in image.requirements() if line.startswith("torch==")]
            if torch:
                self._install("PyTorch", torch, _torch_options(detect_accelerator(), self._say))
            self._install("packages", ["-r", str(image.lock)], [])
            for requirement in image.without_dependencies:
                self._install(requirement.partition("=")[0], [requirement], ["--no-deps"])
        seconds = time.monotonic() - started_s
        size = _folder_bytes(self._environment.path)
        write_json(
            self._environment.complete_marker,
            {"v": 1, "hash": self._environment.hash, "seconds": round(seconds, 1), "bytes": size},
        )
        self._say(f"{self._short}: ready, {size_text(size)} on disk, {seconds:.0f} s")

    def _check_disk(self, needed_bytes: int | None) -> None:
        folder = self._environment.path.parent
        free_bytes = shutil.disk_usage(folder).free
        if needed_bytes and free_bytes < needed_bytes:
            raise PullFailed(
                f"{self._short}: it takes {size_text(needed_bytes)} on disk, and {folder} has "
                f"{size_text(free_bytes)} left. Make room, or choose another cache folder"
            )

    def _make_venv(self) -> None:
        # The interpreter below a virtual environment: one on top of another has its ways.
        base = getattr(sys, "_base_executable", sys.executable)
        code, last = self._run([base, "-m", "venv", str(self._environment.path)])
        if code != 0:
            raise PullFailed(
                f"{self._short}: cannot make a virtual environment with {base}: {last}. "
                "On Debian and Ubuntu: sudo apt install python3-venv"
            )

    def _install(self, what: str, requirements: Sequence[str], options: Sequence[str]) -> None:
        pip = [str(self._environment.python), "-m", "pip", "--no-input"]
        arguments = [*options, *requirements]
        plan = plan_downloads(pip, arguments, (self._lock,))
        if plan is not None and plan.count:
            self._say(f"{self._short}: {what}: {plan}")
            if plan.has_cuda and detect_accelerator() == "cpu":
                self._say(
                    f"{self._short}: this is PyTorch's build for NVIDIA cards, the only one that "
                    "pip finds here; give pip the CPU index to save most of it"
                )
        command = [*pip, "install", "--progress-bar", "off", *arguments]
        code, last = self._run(command)
        if code != 0:
            raise PullFailed(
                f"{self._short}: pip could not install {what}: {last}. "
                "Check the network and pip's settings, then pull again"
            )

    def _run(self, command: Sequence[str]) -> tuple[int, str]:
        """Run and pass on the lines worth seeing; return exit code and the last error line."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self._lock,),
            env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        last = ""
        with process:
            for line in process.stdout:
                text = line.strip()
                if text.startswith(_SHOWN):
                    self._say(f"{self._short}:   {_shortened(text)}")
                if text and (text.startswith("ERROR") or not last.startswith("ERROR")):
                    last = text
        return process.returncode, last


def _shortened(line: str) -> str:
    """Return pip's line without a wheel's tags: "Downloading torch-2.13.0 (191.8 MB)"."""
    line = re.sub(r"(Downloading )(?:\S*/)?([^/\s-]+-[^/\s-]+)\S*", r"\1\2", line)
    return line if len(line) <= 120 else line[:117] + "..."


def _torch_options(accelerator: Accelerator, say: Say) -> list[str]:
    """Return pip's options for the build of PyTorch that this machine can use."""
    if accelerator == "cuda" or sys.platform != "linux":
        return []
    index = os.environ.get("AZUREBOX_TORCH_CPU_INDEX", TORCH_CPU_INDEX)
    try:
        with urllib.request.urlopen(f"{index}/torch/", timeout=_INDEX_TIMEOUT_S):
            pass
    except OSError:
        say("PyTorch's CPU index is not reached; taking what pip is set up with")
        return []
    return ["--index-url", index]


def _folder_bytes(folder: Path) -> int:
    return sum(
        (Path(root) / name).lstat().st_size for root, _, names in os.walk(folder) for name in names
    )
