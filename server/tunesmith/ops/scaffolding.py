"""How a project is created: choices checked first, then the folder made at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.core.errors import ProjectError
from tunesmith.core.form_values import field_schema, parse_value
from tunesmith.core.json_values import at, items, mapping, words
from tunesmith.core.messages import text
from tunesmith.core.project import CreatedProject
from tunesmith.core.project_name import project_name
from tunesmith.core.run_config import FILE, SCHEMA_FILE
from tunesmith.core.run_request import model_of
from tunesmith.ops.base_model import check_model
from tunesmith.ops.dataset_file import check_dataset
from tunesmith.ops.refusals import refuse_dataset
from tunesmith.workspace.assets import assets_folder
from tunesmith.workspace.project_folder import read_json
from tunesmith.workspace.scaffold import Edit, check_vacant, make_project, read_manifest


def create_project(
    folder: str, *, model: str | None, dataset: str | None, values: Mapping[str, str]
) -> CreatedProject:
    """Make the project.

    Raises: ProjectError, DatasetError; then no folder was made.
    """
    root = Path(folder).expanduser().resolve()
    check_vacant(root)
    values = dict(values)
    model = model or values.pop("model", None)
    dataset = dataset or values.pop("dataset", None)
    edits = _form_edits(values)
    if model:
        edits.append(Edit(FILE, "input_model.model_path", _model(model)))
    data = _dataset(dataset) if dataset else None
    manifest = read_manifest()
    name = project_name(root.name)
    identity = {
        "v": 1,
        "id": uuid.uuid4().hex[:12],
        "name": name,
        "template_version": words(manifest.get("version")),
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    count = make_project(root, identity=identity, edits=edits, dataset=data)
    config = json.loads((root / FILE).read_text("utf-8"))
    return CreatedProject(str(root), name, model_of(config), count)


def _form_edits(values: Mapping[str, str]) -> list[Edit]:
    fields = {
        words(mapping(f).get("name")): mapping(f) for f in items(read_manifest().get("fields"))
    }
    schema = read_json(assets_folder() / SCHEMA_FILE) or {}
    edits: list[Edit] = []
    for name, typed in values.items():
        if name not in fields:
            raise ProjectError("project.unknownField", field=name, known=", ".join(fields))
        limits = field_schema(fields[name], schema)
        writes = mapping(fields[name].get("writes"))
        value = parse_value(name, typed, limits)
        edits.append(Edit(words(at(writes, "file")), words(at(writes, "key")), value))
    return edits


def _model(model: str) -> str:
    """Return the model as the config names it: a folder by its full path, checked to be a model."""
    try:
        local = check_model(Path.cwd(), model)
    except ProjectError as e:
        # There is no config file to mend yet.
        key = {"project.modelMissing": "chosenModelMissing"}.get(e.code, "chosenModelUnknown")
        e.hint = text(f"errors.project.{key}.hint", **e.context)
        raise
    return str(local.folder) if local else model


def _dataset(dataset: str) -> Path:
    file = Path(dataset).expanduser().resolve()
    refuse_dataset(check_dataset(file, shown_as=dataset).problems)
    return file
