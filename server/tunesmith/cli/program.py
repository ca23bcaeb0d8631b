"""How the user's shell would start this program again."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def program_name() -> str:
    """`tunesmith` where the shell finds it, else the path it was started by, such as
    `.venv/bin/tunesmith`."""
    started = Path(sys.argv[0])
    if shutil.which("tunesmith") or started.stem != "tunesmith":
        return "tunesmith"
    path = started.absolute()
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
