"""The base model that a run config names: known, fetched by the job, or a folder to bring along."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tunesmith.catalog import closest_names, find_model, models
from tunesmith.core.errors import ProjectError
from tunesmith.core.messages import text
from tunesmith.core.ports import Files
from tunesmith.core.reporter import Reporter, Step

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_COMPLETE = ".complete"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model in a folder on this machine. `share_path`: where the job finds it.

    `is_outside` the project: then no sync brings it to the share, and the run does.
    """

    folder: Path
    share_path: str
    is_outside: bool


def check_model(root: Path, model: str) -> LocalModel | None:
    """Return the local folder that `model` names; None for one that the job fetches itself.

    Raises: ProjectError("project.modelMissing" | "project.modelUnknown").
    """
    if any(model == listed.name for listed in models()):
        return None
    looks_local = model.startswith(("/", "./", "../", "~", "model-cache/")) or "\\" in model
    folder = (root / Path(model).expanduser()).resolve()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ProjectError("project.modelMissing", model=model, folder=folder)
        if folder.is_relative_to(root):
            return LocalModel(folder, folder.relative_to(root).as_posix(), False)
        return LocalModel(folder, f"model-cache/{folder.name}", True)
    if looks_local and not model.startswith("model-cache/"):
        raise ProjectError("project.modelMissing", model=model, folder=folder)
    if looks_local or _HUB_ID.fullmatch(model):
        return None
    same = find_model(model)  # right but for its case, which the job does not forgive
    near = [same.name] if same else closest_names(model) or [m.name for m in models()[:3]]
    raise ProjectError("project.modelUnknown", model=model, near=", ".join(near))


def is_unverified(root: Path, model: str) -> bool:
    """Return whether only the Hugging Face hub can say that `model` exists.

    For a model that check_model takes: one of the catalogue is known, a fetched one is here.
    """
    if not _HUB_ID.fullmatch(model) or any(model == listed.name for listed in models()):
        return False
    cached = root / "model-cache" / model.replace("/", "--") / _COMPLETE
    return not (root / model).is_dir() and not cached.is_file()


async def push_model(files: Files, model: LocalModel, reporter: Reporter) -> None:
    """Bring a model folder from outside the project to the share; one inside comes with the sync.

    A marker written last says that it is whole and of which files: a folder that changed since is
    sent again.
    """
    if not model.is_outside:
        return
    found = [f for f in sorted(model.folder.rglob("*")) if f.is_file() and f.name != _COMPLETE]
    wanted = _fingerprint(model.folder, found)
    marker = f"{model.share_path}/{_COMPLETE}"
    if await files.read(marker) == wanted:
        return
    await files.delete(marker)
    total, done = sum(f.stat().st_size for f in found), 0
    for file in found:
        reporter.step(Step(text("run.pushingModel", name=model.folder.name), done, total))
        await files.write(f"{model.share_path}/{file.relative_to(model.folder).as_posix()}", file)
        done += file.stat().st_size
    await files.write(marker, wanted)


def _fingerprint(folder: Path, found: list[Path]) -> bytes:
    """Return what tells one state of the folder from another without reading gigabytes."""
    listed = {
        f.relative_to(folder).as_posix(): [f.stat().st_size, f.stat().st_mtime_ns] for f in found
    }
    return (json.dumps({"v": 1, "files": listed}) + "\n").encode()
