"""Small JSON files that are whole or not there, after kill -9 and after a power cut."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Replace the file in one step. Two writers at once: one of them wins."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the file's object; None when there is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
