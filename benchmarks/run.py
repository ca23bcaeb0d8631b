"""Run every benchmark of this folder, one after another, and print their tables as Markdown."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

BENCHMARKS = ("language_server", "dataset_check", "quality")


def main() -> None:
    """Print machine and date, then each benchmark's table."""
    print(f"{date.today()}, {platform.machine()}, Python {platform.python_version()}\n", flush=True)
    for name in BENCHMARKS:
        print(f"## {name}\n", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py")], check=True)
        print(flush=True)


if __name__ == "__main__":
    main()
