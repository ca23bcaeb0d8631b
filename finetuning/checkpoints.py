"""Checkpoints that can be trusted: marked when whole, checked before they are used.

The marker `COMPLETE` is written last and lists each file with size and SHA-256. Training never
goes on from a folder without a valid one, whatever Hugging Face would pick.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run_state import write_json

MARKER = "COMPLETE"
NOTES = "tunesmith.json"
NEEDED = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")


@dataclass(frozen=True)
class Found:
    """A checkpoint folder; `fault` says why it can't be used and is empty when it can."""

    step: int
    folder: Path
    fault: str


def seal(folder: Path, notes: dict[str, Any]) -> None:
    """Mark a folder as whole, with our own `notes` beside the trainer's state. Raises: OSError."""
    write_json(folder / NOTES, notes)
    files = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MARKER):
        with open(file, "rb") as f:
            os.fsync(f.fileno())
        files[file.relative_to(folder).as_posix()] = [file.stat().st_size, _sha256(file)]
    write_json(folder / MARKER, {"v": 1, "files": files})


def find(run_folder: Path) -> list[Found]:
    """Return all checkpoints of a run, newest first, each checked file by file."""
    found = []
    for folder in run_folder.glob("checkpoint-*"):
        number = re.fullmatch(r"checkpoint-(\d+)", folder.name)
        if number and folder.is_dir():
            found.append(Found(int(number[1]), folder, _fault(folder)))
    return sorted(found, key=lambda c: -c.step)


def newest_valid(found: list[Found]) -> Found | None:
    """Return the newest checkpoint that is whole, None when there is none."""
    return next((c for c in found if not c.fault), None)


def read_notes(folder: Path) -> dict[str, Any]:
    """Return what `seal` was given."""
    return json.loads((folder / NOTES).read_text("utf-8"))


def keep_newest(run_folder: Path, count: int) -> None:
    """Delete all sealed checkpoints but the `count` newest, and unsealed ones older than those.

    The marker goes first, so that a deletion that is interrupted leaves nothing that looks whole.
    """
    folders = sorted(
        (p for p in run_folder.glob("checkpoint-*") if p.name.split("-")[-1].isdigit()),
        key=lambda p: -int(p.name.split("-")[-1]),
    )
    kept = 0
    for folder in folders:
        if (folder / MARKER).is_file():
            kept += 1
            if kept <= count:
                continue
        elif kept < count:
            continue
        (folder / MARKER).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _fault(folder: Path) -> str:
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
        files: dict[str, Any] = dict(marker["files"])
    except FileNotFoundError:
        return "it was not written to its end"
    except (OSError, ValueError, KeyError, TypeError):
        return "its marker cannot be read"
    for name in dict.fromkeys((*NEEDED, *files)):
        file = folder / name
        if name not in files or not file.is_file():
            return f"{name} is missing"
        size, digest = files[name]
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} of {size} bytes"
        try:
            if _sha256(file) != digest:
                return f"{name} is damaged"
        except OSError as e:
            return f"{name} cannot be read ({e.strerror})"
    return ""


def _sha256(file: Path) -> str:
    with open(file, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
