"""The template's form in a terminal: its fields in the help, a few questions for a new project.

The fields and their texts come from template/manifest.json and from the schema of the run config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from tunesmith.cli.execute import Cancelled
from tunesmith.cli.terminal import Terminal
from tunesmith.core.errors import ProjectError
from tunesmith.core.form_values import field_schema, parse_value
from tunesmith.core.json_values import items, mapping, words
from tunesmith.core.messages import text
from tunesmith.core.run_config import SCHEMA_FILE
from tunesmith.workspace.assets import assets_folder
from tunesmith.workspace.project_folder import read_json
from tunesmith.workspace.scaffold import read_manifest


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. `limits` is a JSON schema; `is_asked`: worth a question when a project is made."""

    name: str
    label: str
    help: str
    default: Any
    limits: Mapping[str, Any]
    is_asked: bool


def form_fields() -> list[FormField]:
    """Return the fields in the order of the manifest."""
    schema = read_json(assets_folder() / SCHEMA_FILE) or {}
    fields: list[FormField] = []
    for raw in map(mapping, items(read_manifest().get("fields"))):
        limits = field_schema(raw, schema)
        label = words(raw.get("label")) or words(limits.get("title")) or words(raw.get("name"))
        about = words(raw.get("help")) or words(limits.get("description"))
        default = raw.get("default", limits.get("default"))
        fields.append(
            FormField(words(raw["name"]), label, about, default, limits, raw.get("ask") is True)
        )
    return fields


def ask_folder(terminal: Terminal) -> str:
    """Ask for what has no default. Raises: Cancelled."""
    while True:
        if typed := _read(terminal, text("cli.form.folder"), ""):
            return typed


def ask_fields(terminal: Terminal) -> dict[str, str]:
    """Ask the questions of a new project; what is left as it is does not come back.

    A value that does not fit is explained and asked for again. Raises: Cancelled.
    """
    answers: dict[str, str] = {}
    terminal.err.print(text("cli.form.intro"), style="hint")
    for field in form_fields():
        if not field.is_asked:
            continue
        terminal.err.print(Text(field.help, "dim"))
        while typed := _read(terminal, field.label, str(field.default)):
            try:
                parse_value(field.name, typed, field.limits)
            except ProjectError as error:
                terminal.err.print(Text(f"{error.message}. {error.hint}", "bad"))
                continue
            answers[field.name] = typed
            break
    return answers


def _read(terminal: Terminal, label: str, default: str) -> str:
    suffix = f" [{default}]" if default else ""
    terminal.err.print(Text.assemble((label, "bold"), (suffix, "dim"), ": "), end="")
    try:
        return input().strip()
    except (EOFError, KeyboardInterrupt):
        raise Cancelled("cli.cancelled.notStarted") from None
