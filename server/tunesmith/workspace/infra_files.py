"""The files below infra/: parameters, compiled templates with their lock, written results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core import infra_config, templates
from tunesmith.core.errors import InfraError, ProjectError, ToolMissing
from tunesmith.core.infra_config import Kind
from tunesmith.core.messages import text
from tunesmith.core.parameter_files import check_parameters
from tunesmith.core.problems import Problem
from tunesmith.workspace.atomic import write_atomically
from tunesmith.workspace.project_folder import STATE_FOLDER, read_json, read_text

COMPILE_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class TemplateFiles:
    """A template ready to deploy with the values of its parameters file."""

    template: Mapping[str, Any]
    parameters: dict[str, Any]
    warnings: tuple[str, ...]


def load_template(root: Path, kind: Kind) -> TemplateFiles:
    """Read the compiled template and its parameters; compile first when the Bicep was edited.

    Raises: InfraError("infra.templateMissing" | "infra.parametersInvalid" | "infra.bicepInvalid"),
    ToolMissing("tool.bicepMissing") when it was edited and no compiler is here.
    """
    folder = root / templates.FOLDER
    compiled = folder / f"{kind}.json"
    warnings: list[str] = []
    contents = {
        str(f.relative_to(folder).as_posix()): f.read_bytes() for f in folder.rglob("*.bicep")
    }
    if compiled.is_file():
        contents[f"{kind}.json"] = compiled.read_bytes()
    check = templates.check_lock(read_json(root / templates.LOCK_FILE) or {}, contents, kind)
    if check.edited and f"{kind}.bicep" in contents:
        template = _compile(folder / f"{kind}.bicep", ", ".join(check.edited))
        warnings.append(text("infra.compiled", files=", ".join(check.edited)))
    else:
        found = read_json(compiled)
        if found is None:
            raise InfraError("infra.templateMissing", file=f"{templates.FOLDER}/{kind}.json")
        template = found
        if check.json_edited:
            warnings.append(text("infra.jsonEdited", file=f"{templates.FOLDER}/{kind}.json"))
    name = f"{templates.FOLDER}/{kind}.parameters.json"
    for problem in _parameter_problems(root, name, template):
        raise InfraError(
            "infra.parametersInvalid",
            file=name,
            line=problem.line,
            problem=problem.message,
            what_to_do=problem.hint,
        )
    values, _ = infra_config.known_parameters(
        infra_config.deployment_parameters(read_json(root / name) or {}), template
    )
    return TemplateFiles(template, values, tuple(warnings))


def parameter_problems(root: Path) -> tuple[Problem, ...]:
    """Return what is wrong with the parameters files, by the compiled templates beside them.

    Nothing is compiled: an edited Bicep file is asked again when it is planned.
    """
    found: list[Problem] = []
    folder = root / templates.FOLDER
    lock = read_json(root / templates.LOCK_FILE) or {}
    bicep = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*.bicep")}
    for kind in infra_config.KINDS:
        name = f"{templates.FOLDER}/{kind}.parameters.json"
        # What was compiled before an edit may not know a parameter that the edit brought.
        is_edited = bool(templates.check_lock(lock, bicep, kind).edited)
        template = None if is_edited else read_json(folder / f"{kind}.json")
        found += _parameter_problems(root, name, template or {})
    return tuple(found)


def _parameter_problems(root: Path, name: str, template: Mapping[str, Any]) -> tuple[Problem, ...]:
    if not (root / name).exists():
        return ()  # then all is as the template has it
    unreadable: list[Problem] = []
    content = read_text(root, name, unreadable)
    return tuple(unreadable) or check_parameters(name, content, template)


def find_bicep() -> Path | None:
    """Return a Bicep compiler: BICEP, the PATH, the Azure CLI's, then one beside a checkout."""
    named = os.environ.get("BICEP")
    on_path = shutil.which("bicep")
    program = "bicep.exe" if sys.platform == "win32" else "bicep"
    checkout = Path(__file__).resolve().parents[3]
    candidates = [
        Path(named) if named else None,
        Path(on_path) if on_path else None,
        Path.home() / ".azure" / "bin" / program,
        checkout.parent / "shared" / "tools" / program,
    ]
    return next((c for c in candidates if c and c.is_file() and os.access(c, os.X_OK)), None)


def _compile(file: Path, edited: str) -> Mapping[str, Any]:
    """Compile to a temporary file; the committed JSON and its lock are the author's to renew."""
    bicep = find_bicep()
    if bicep is None:
        raise ToolMissing("tool.bicepMissing", files=edited)
    folder = file.parent.parent.parent / STATE_FOLDER / "compiled"
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{file.stem}.json"
    try:
        done = subprocess.run(
            [str(bicep), "build", str(file), "--outfile", str(out)],
            capture_output=True,
            text=True,
            timeout=COMPILE_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise InfraError("infra.bicepInvalid", file=file.name, reason=str(e)) from e
    template = read_json(out) if done.returncode == 0 else None
    if template is None:
        lines = [line for line in done.stderr.splitlines() if "Error" in line]
        reason = (lines or done.stderr.splitlines() or ["no output"])[0].strip()
        raise InfraError("infra.bicepInvalid", file=file.name, reason=reason)
    return template


def check_writable(root: Path) -> None:
    """Make sure, before anything is deployed, that its names can be written.

    Raises: ProjectError("project.readOnly").
    """
    for folder in (root / "infra", root / STATE_FOLDER):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise ProjectError("project.readOnly", folder=folder)


def write_outputs(root: Path, kind: Kind, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Write a deployment's outputs to infra/<kind>.config.json; return the file's new content."""
    file = root / infra_config.config_file(kind)
    memory = _outputs_file(root, kind)
    merged = infra_config.merge_outputs(read_json(file) or {}, outputs, read_json(memory))
    write_atomically(file, infra_config.to_json(merged))
    write_atomically(memory, infra_config.to_json(outputs))
    return merged


def clear_outputs(root: Path, kind: Kind) -> None:
    """Set the names in infra/<kind>.config.json to null again; a missing file stays missing."""
    file = root / infra_config.config_file(kind)
    content = read_json(file)
    if content is not None:
        write_atomically(file, infra_config.to_json(infra_config.cleared(content, kind)))
    _outputs_file(root, kind).unlink(missing_ok=True)


def has_outputs(root: Path, kind: Kind) -> bool:
    """Whether this project itself deployed `kind`: a copied config file brings no record of it."""
    return _outputs_file(root, kind).is_file()


def _outputs_file(root: Path, kind: Kind) -> Path:
    return root / STATE_FOLDER / f"{kind}.outputs.json"
