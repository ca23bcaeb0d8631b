"""Reads the run config: an Olive workflow whose pass "finetune" is ours.

`olive-config.schema.json` is the one table of keys; this module adds defaults from it and turns
what it finds into sentences. Olive itself only warns about an unknown key and goes on.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from problem import Finding, TrainingFailed

SCHEMA_PATH = Path(__file__).with_name("olive-config.schema.json")
OURS = "finetune"


@dataclass(frozen=True)
class RunConfig:
    """A checked config. `workflow` is the whole of it, with the defaults filled in."""

    workflow: dict[str, Any]

    @property
    def model_path(self) -> str:
        """What to train: catalogue name, hub id or folder."""
        return self.workflow["input_model"]["model_path"]

    @property
    def finetune(self) -> dict[str, Any]:
        """The settings of our pass."""
        return self.workflow["passes"][OURS]

    @property
    def training_args(self) -> dict[str, Any]:
        """The settings of the Hugging Face trainer."""
        return self.finetune["training_args"]

    @property
    def later_passes(self) -> dict[str, dict[str, Any]]:
        """Olive's own passes, in the order they run after ours."""
        return {k: v for k, v in self.workflow["passes"].items() if k != OURS}


def load(path: Path) -> RunConfig:
    """Read and check a config file. Raises: TrainingFailed("config.*") naming every wrong key."""
    shown = f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text("utf-8-sig")
    except OSError as e:
        raise TrainingFailed(
            "config.unreadable", f"The config {shown} cannot be read: {e.strerror}."
        ) from e
    except UnicodeDecodeError as e:
        raise TrainingFailed("config.unreadable", f"The config {shown} is not UTF-8: {e}.") from e
    try:
        workflow = json.loads(text)
    except ValueError as e:
        raise TrainingFailed(
            "config.notJson",
            f"The config {shown} is not valid JSON: {e}.",
            "Correct that line in finetuning/olive-config.json and start again.",
        ) from e
    findings = check(workflow)
    if findings:
        raise TrainingFailed(
            "config.invalid",
            f"The config {shown} cannot be used: " + " ".join(f.message for f in findings),
            "Correct it in finetuning/olive-config.json and start again.",
        )
    return RunConfig(with_defaults(workflow))


def check(workflow: Any) -> list[Finding]:
    """Return everything that is wrong with a config, one sentence each; empty when nothing is."""
    schema = json.loads(SCHEMA_PATH.read_text("utf-8"))
    errors = sorted(
        Draft202012Validator(schema).iter_errors(workflow), key=lambda e: list(map(str, e.path))
    )
    sentences = [s for error in errors for s in _sentences(error)]
    if isinstance(workflow, dict) and isinstance(workflow.get("passes"), dict):
        passes = workflow["passes"]
        if OURS in passes and next(iter(passes)) != OURS:
            sentences.append(f'passes: "{OURS}" has to come first; the other passes build on it.')
        for name, settings in passes.items():
            own = isinstance(settings, dict) and str(settings.get("type")).startswith("Tunesmith")
            if name != OURS and own:
                sentences.append(f'passes.{name}: only the pass "{OURS}" may train.')
    return [Finding("config.invalid", s, file="olive-config.json") for s in sentences]


def with_defaults(workflow: dict[str, Any]) -> dict[str, Any]:
    """Return a copy in which every key of our pass that was left out has the schema's default."""
    schema = json.loads(SCHEMA_PATH.read_text("utf-8"))
    filled = copy.deepcopy(workflow)
    filled["input_model"].setdefault("type", "HfModel")
    ours = schema["properties"]["passes"]["properties"][OURS]
    settings = filled["passes"][OURS]
    for place, table in (
        (settings.setdefault("training_args", {}), ours["properties"]["training_args"]),
        (settings, ours),
    ):
        for key, rule in table["properties"].items():
            if "default" in rule:
                place.setdefault(key, rule["default"])
    return filled


def _sentences(error: ValidationError) -> Iterator[str]:
    where = ".".join(map(str, error.absolute_path)) or "the file"
    value = error.instance
    if error.validator == "additionalProperties" and isinstance(value, dict):
        known = list(error.schema["properties"])
        dead: dict[str, str] = error.schema.get("x-dead", {})
        for key in sorted(set(value) - set(known)):
            full = key if where == "the file" else f"{where}.{key}"
            if key in dead:
                yield f'"{full}" is not used: {dead[key]}.'
            else:
                near = difflib.get_close_matches(key, known, 1, 0.5)
                yield f'"{full}" is no key that exists' + (
                    f'; did you mean "{near[0]}"?' if near else "."
                )
    elif error.validator == "required" and isinstance(value, dict):
        for key in error.validator_value:
            if key not in value:
                yield f'{where} lacks "{key}".'
                return
    elif error.validator == "enum":
        allowed = ", ".join(json.dumps(v) for v in error.validator_value)
        yield f"{where} is {_short(value)}; it has to be one of {allowed}."
    elif error.validator == "type":
        wanted = error.validator_value
        names = " or ".join(wanted) if isinstance(wanted, list) else wanted
        yield f"{where} is {_short(value)}; it has to be of type {names}."
    elif error.validator in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        relation = {
            "minimum": "at least",
            "exclusiveMinimum": "above",
            "maximum": "at most",
            "exclusiveMaximum": "below",
        }[error.validator]
        yield f"{where} is {_short(value)}; it has to be {relation} {error.validator_value}."
    else:
        yield f"{where}: {error.message}."


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
