"""A new project folder from the parts it is made of: whole or not at all, nothing overwritten."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ProjectError
from tunesmith.core.form_values import set_at
from tunesmith.core.infra_config import to_json
from tunesmith.core.json_values import items, mapping, words
from tunesmith.workspace.assets import assets_folder
from tunesmith.workspace.project_folder import IDENTITY_FILE, read_json

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache", ".DS_Store", "tests")
_CODE = ("finetuning", "inference", "infra")


@dataclass(frozen=True, slots=True)
class Edit:
    """One value to write: `key` is a dotted path in a JSON `file` of the project."""

    file: str
    key: str
    value: Any


def read_manifest() -> Mapping[str, Any]:
    """Return template/manifest.json: version, what is copied, form fields."""
    return read_json(assets_folder() / "template" / "manifest.json") or {}


def check_vacant(folder: Path) -> None:
    """Make sure that a project may be made at `folder`.

    Raises: ProjectError("project.notEmpty" | "project.notAFolder" | "project.notWritable").
    """
    if folder.exists() and not folder.is_dir():
        raise ProjectError("project.notAFolder", folder=folder)
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise ProjectError("project.notEmpty", folder=folder)
    except OSError as e:
        raise ProjectError("project.notWritable", folder=folder, reason=e.strerror) from e
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ProjectError("project.notWritable", folder=folder, reason=f"{parent} is not writable")


def make_project(
    folder: Path,
    *,
    identity: Mapping[str, Any],
    edits: list[Edit],
    dataset: Path | None,
) -> int:
    """Build the project beside `folder` and rename it into place; return how many files it has.

    An empty folder that is there stays the one it is, a shell may stand in it: it is filled.

    `dataset` replaces the sample; the sample's questions about its own facts then go, the general
    ones stay. Interrupted, it leaves nothing behind. Raises: ProjectError.
    """
    check_vacant(folder)
    assets, manifest = assets_folder(), read_manifest()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = folder if folder.is_dir() else folder.parent
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=place))
    except OSError as e:
        raise ProjectError("project.notWritable", folder=folder, reason=e.strerror) from e
    try:
        for name in map(words, items(manifest.get("copies"))):
            _copy(assets / "template" / name, building / name)
        for part in _CODE:
            _copy(assets / part, building / part)
        if dataset is not None:
            _own_data(building, dataset)
        for file in sorted({e.file for e in edits}):
            _edit(building / file, [e for e in edits if e.file == file])
        identity_file = building / IDENTITY_FILE
        identity_file.parent.mkdir(parents=True, exist_ok=True)
        identity_file.write_bytes(to_json(identity))
        count = sum(1 for f in building.rglob("*") if f.is_file())
        if place == folder:
            _move_up(building)
        else:
            building.chmod(0o755)
            building.rename(folder)
        return count
    except OSError as e:
        raise ProjectError("project.notWritable", folder=folder, reason=e.strerror or e) from e
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _move_up(building: Path) -> None:
    """Move all of `building` into its parent, or nothing when interrupted."""
    moved: list[Path] = []
    try:
        # Last what makes a folder a project.
        for part in sorted(building.iterdir(), key=lambda p: p.name == "finetuning"):
            target = building.parent / part.name
            if target.exists():
                raise ProjectError("project.notEmpty", folder=building.parent)
            part.rename(target)
            moved.append(target)
    except BaseException:
        for target in moved:
            target.rename(building / target.name)
        raise


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_LEFT_OUT)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _own_data(building: Path, dataset: Path) -> None:
    shutil.copyfile(dataset, building / "dataset" / "train.jsonl")
    questions = building / "dataset" / "questions.jsonl"
    if questions.is_file():
        lines = questions.read_text("utf-8").splitlines()
        general = [line for line in lines if mapping(json.loads(line)).get("kind") == "general"]
        questions.write_text("".join(f"{line}\n" for line in general), "utf-8")


def _edit(file: Path, edits: list[Edit]) -> None:
    content: Any = dict(read_json(file) or {})
    for edit in edits:
        set_at(content, edit.key.split("."), edit.value)
    file.write_bytes(to_json(content))
