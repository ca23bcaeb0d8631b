"""What PyTorch can run on here, as far as its build must know."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

Accelerator = Literal["cuda", "cpu"]


def detect_accelerator() -> Accelerator:
    """Return "cuda" where NVIDIA's driver is loaded and sees a card."""
    if sys.platform == "linux" and any(Path("/proc/driver/nvidia/gpus").glob("*")):
        return "cuda"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "cpu"
    try:
        listed = subprocess.run(
            [tool, "--list-gpus"], capture_output=True, timeout=10, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if listed.returncode == 0 and "GPU" in listed.stdout else "cpu"
