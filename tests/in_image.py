"""Run pytest with an image's Python, as a container would: `in_image.py IMAGE ARGUMENTS...`.

The image holds no test tools; those come from `.test-tools` beside the repository's top folders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import platformdirs

REPOSITORY = Path(__file__).parents[1]


def image_python(short: str) -> str:
    """Return the path of the image's Python; the image must have been pulled."""
    cache = os.environ.get("TUNESMITH_CACHE") or platformdirs.user_cache_dir("tunesmith")
    listed = subprocess.run(
        [sys.executable, "-m", "azurebox", "images", "--cache", f"{cache}/azurebox", "--json"],
        check=True,
        stdout=subprocess.PIPE,
    )
    image = next(i for i in json.loads(listed.stdout) if i["short"] == short)
    if not image["ready"]:
        sys.exit(f"The image {short} is not there. Fetch it: .venv/bin/tunesmith target prepare")
    return image["python"]


def main(short: str, *arguments: str) -> None:
    """Become pytest in the image, without the network and without the server's packages."""
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY / ".test-tools"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "CI": "1",
    }
    python = image_python(short)
    os.execve(python, [python, "-m", "pytest", *arguments], environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
