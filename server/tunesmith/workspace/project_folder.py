"""A project as it lies on the disk. Reading never fails: what is wrong becomes a problem."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core import infra_config, run_config
from tunesmith.core.errors import ProjectError
from tunesmith.core.infra_config import Kind, Provisioned
from tunesmith.core.json_positions import JsonSyntaxError, parse
from tunesmith.core.json_values import is_object, mapping, words
from tunesmith.core.messages import text
from tunesmith.core.problems import Problem
from tunesmith.core.project_name import project_name
from tunesmith.core.run_config import RunConfig
from tunesmith.workspace.atomic import write_atomically

STATE_FOLDER = ".tunesmith"
IDENTITY_FILE = f"{STATE_FOLDER}/project.json"
TARGET_FILE = f"{STATE_FOLDER}/target.json"


@dataclass(frozen=True, slots=True)
class ProjectFolder:
    """What was read. `root` is absolute; `identity` is .tunesmith/project.json."""

    root: Path
    name: str
    identity: Mapping[str, Any]
    target: Mapping[str, Any]
    config: RunConfig
    infra: Mapping[Kind, Mapping[str, Any]]
    problems: tuple[Problem, ...]

    def provisioned(self, kind: Kind) -> Provisioned | None:
        """Return the names that `kind` was provisioned under, None when it was not."""
        return infra_config.provisioned(kind, self.infra[kind])


def read_project(folder: str) -> ProjectFolder:
    """Read the project in `folder`.

    Raises: ProjectError("project.notFound") for a folder that is none, the one thing that fails.
    """
    root = Path(folder).expanduser().resolve()
    config_file = root / run_config.FILE
    if not config_file.is_file():
        raise ProjectError("project.notFound", folder=folder if folder != "." else root)
    problems: list[Problem] = []
    config = run_config.read_config(
        read_text(root, run_config.FILE, problems), _json(root, run_config.SCHEMA_FILE, problems)
    )
    infra: dict[Kind, Mapping[str, Any]] = {
        kind: _json(root, infra_config.config_file(kind), problems) or {}
        for kind in infra_config.KINDS
    }
    identity = _json(root, IDENTITY_FILE, problems, is_optional=True) or {}
    target = _json(root, TARGET_FILE, problems, is_optional=True) or {}
    return ProjectFolder(
        root=root,
        name=words(identity.get("name")) or project_name(root.name),
        identity=identity,
        target=target,
        config=config,
        infra=infra,
        problems=(*config.problems, *problems),
    )


def read_json(file: Path) -> Mapping[str, Any] | None:
    """Return a JSON object, None when the file is missing, unreadable or something else."""
    try:
        value = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return None
    return mapping(value) if is_object(value) else None


def write_identity(root: Path, identity: Mapping[str, Any]) -> None:
    """Write .tunesmith/project.json."""
    write_atomically(root / IDENTITY_FILE, infra_config.to_json(identity))


def _json(
    root: Path, name: str, problems: list[Problem], *, is_optional: bool = False
) -> Mapping[str, Any] | None:
    if is_optional and not (root / name).exists():
        return None
    content = read_text(root, name, problems)
    if not content:
        return None
    try:
        value = parse(content).value
    except JsonSyntaxError as e:
        problems.append(
            Problem(
                name,
                e.position.line,
                e.position.column,
                "error",
                "file.syntax",
                text("problems.file.syntax.message", reason=e.reason),
                text("problems.file.syntax.hint", file=name),
            )
        )
        return None
    return mapping(value)


def read_text(root: Path, name: str, problems: list[Problem]) -> str:
    """Return a file's text; "" after noting why it cannot be read."""
    try:
        return (root / name).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror or str(e) if isinstance(e, OSError) else text("problems.notUtf8")
        problems.append(
            Problem(
                name,
                0,
                0,
                "error",
                "file.unreadable",
                text("problems.file.unreadable.message", file=name, reason=reason),
                text("problems.file.unreadable.hint", file=name),
            )
        )
        return ""
