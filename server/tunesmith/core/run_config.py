"""The run config, finetuning/olive-config.json: its problems, by the one table of keys beside it.

The table is olive-config.schema.json. Olive and the trainer read the same file in the container;
what is found here is what they would stumble over there, minutes and money later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from jsonschema import Draft202012Validator, exceptions
from jsonschema.exceptions import SchemaError, ValidationError

from tunesmith.core.json_positions import Document, JsonSyntaxError, parse
from tunesmith.core.json_values import is_object, mapping
from tunesmith.core.messages import text
from tunesmith.core.problems import Problem

FILE = "finetuning/olive-config.json"
SCHEMA_FILE = "finetuning/olive-config.schema.json"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The config as far as it could be read; {} when it could not, and then there is a problem."""

    values: Mapping[str, Any]
    document: Document | None
    problems: tuple[Problem, ...]

    @property
    def is_usable(self) -> bool:
        """Whether a run may be started with it."""
        return not any(p.severity == "error" for p in self.problems)


def read_config(content: str, schema: Mapping[str, Any] | None) -> RunConfig:
    """Parse and check a run config. Without a schema only its syntax and outline are checked."""
    try:
        document = parse(content)
    except JsonSyntaxError as e:
        problem = _problem(e.position.line, e.position.column, "config.syntax", reason=e.reason)
        return RunConfig({}, None, (problem,))
    if not is_object(document.value):
        return RunConfig({}, document, (_problem(1, 1, "config.noObject"),))
    problems = list(_outline(document))
    if schema is not None:
        problems += _by_schema(document, schema)
    unique = dict.fromkeys(sorted(problems, key=lambda p: (p.line, p.column, p.message)))
    return RunConfig(mapping(document.value), document, tuple(unique))


def _outline(document: Document) -> Iterable[Problem]:
    for path in (("input_model", "model_path"), ("passes", "finetune", "type")):
        value: Any = document.value
        for key in path:
            value = mapping(value).get(key)
        if not isinstance(value, str) or not value.strip():
            place = document.position(path)
            yield _problem(place.line, place.column, "config.missing", key=".".join(path))


def _by_schema(document: Document, schema: Mapping[str, Any]) -> Iterable[Problem]:
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as e:
        yield _problem(0, 0, "config.schemaBroken", file=SCHEMA_FILE, reason=e.message)
        return
    validator = Draft202012Validator(dict(schema))
    for top in validator.iter_errors(document.value):  # type: ignore[reportUnknownMemberType]
        yield _from_error(document, cast(Any, exceptions).best_match([top]) or top)


def _from_error(document: Document, error: ValidationError) -> Problem:
    path = list(error.absolute_path)
    if error.validator == "additionalProperties" and is_object(error.instance):
        known = list(mapping(error.schema).get("properties", {}))
        dead = mapping(mapping(error.schema).get("x-dead"))
        for key in mapping(error.instance):
            if key not in known:
                place = document.position([*path, key])
                if key in dead:
                    return _problem(
                        place.line, place.column, "config.deadKey", key=key, reason=dead[key]
                    )
                near = get_close_matches(key, known, n=1)
                code = "config.unknownKeyNear" if near else "config.unknownKey"
                near_name = near[0] if near else ""
                return _problem(place.line, place.column, code, key=key, near=near_name)
    place = document.position(path)
    if error.validator == "required":
        reason = error.message.replace(" is a required property", " is missing")
    else:
        reason = error.message if len(error.message) < 200 else error.message[:197] + "..."
    key = ".".join(str(part) for part in path) or "(top)"
    return _problem(place.line, place.column, "config.value", key=key, reason=reason)


def _problem(line: int, column: int, code: str, **values: object) -> Problem:
    return Problem(
        FILE,
        line,
        column,
        "error",
        code,
        text(f"problems.{code}.message", **values),
        text(f"problems.{code}.hint", **values),
    )
