"""The run config, finetuning/olive-config.json: its problems, by the one table of keys beside it.

The table is olive-config.schema.json. Olive and the trainer read the same file in the container;
what is found here is what they would stumble over there, minutes and money later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, cast

from jsonschema import Draft202012Validator, exceptions
from jsonschema.exceptions import SchemaError, ValidationError

from tunesmith.core.json_positions import Document, JsonSyntaxError, parse
from tunesmith.core.json_values import at, is_object, items, mapping, words
from tunesmith.core.messages import text
from tunesmith.core.problems import Problem
from tunesmith.core.value_names import found, listed

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
    missing = dict(_outline(document))
    problems = list(missing.values())
    if schema is not None:
        # {} lacks "passes", and so passes.finetune.type: one omission, told once, by its full name.
        for key, problem in _by_schema(document, schema):
            if not any(name == key or name.startswith(f"{key}.") for name in missing):
                problems.append(problem)
    problems += _ineffective(document)
    unique = dict.fromkeys(sorted(problems, key=lambda p: (p.line, p.column, p.message)))
    return RunConfig(mapping(document.value), document, tuple(unique))


def _outline(document: Document) -> Iterable[tuple[str, Problem]]:
    for path in (("input_model", "model_path"), ("passes", "finetune", "type")):
        value = at(document.value, *path)
        if not isinstance(value, str) or not value.strip():
            place, key = document.position(path), ".".join(path)
            yield key, _problem(place.line, place.column, "config.missing", key=key)


def _ineffective(document: Document) -> Iterable[Problem]:
    """Name a value that is allowed and does nothing: the trainer takes only a limit above 0."""
    path = ("passes", "finetune", "training_args", "max_steps")
    value = at(document.value, *path)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
        place = document.position(path)
        problem = _problem(place.line, place.column, "config.noLimit", key=".".join(path))
        yield replace(problem, severity="warning")


def _by_schema(document: Document, schema: Mapping[str, Any]) -> Iterable[tuple[str, Problem]]:
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as e:
        yield "", _problem(0, 0, "config.schemaBroken", file=SCHEMA_FILE, reason=e.message)
        return
    validator = Draft202012Validator(dict(schema))
    for top in validator.iter_errors(document.value):  # type: ignore[reportUnknownMemberType]
        # The choices of an anyOf are told together, not the one that came nearest.
        is_choice = top.validator == "anyOf"
        best = top if is_choice else cast(Any, exceptions).best_match([top]) or top
        yield _from_error(document, best)


def _from_error(document: Document, error: ValidationError) -> tuple[str, Problem]:
    path = list(error.absolute_path)
    key = ".".join(str(part) for part in path)
    if error.validator == "additionalProperties" and is_object(error.instance):
        known = list(mapping(error.schema).get("properties", {}))
        dead = mapping(mapping(error.schema).get("x-dead"))
        for name in mapping(error.instance):
            if name not in known:
                place = document.position([*path, name])
                at_place = (place.line, place.column)
                if name in dead:
                    reason = dead[name]
                    return key, _problem(*at_place, "config.deadKey", key=name, reason=reason)
                near = get_close_matches(name, known, n=1)
                code = "config.unknownKeyNear" if near else "config.unknownKey"
                near_name = near[0] if near else ""
                return key, _problem(*at_place, code, key=name, near=near_name)
    place = document.position(path)
    if error.validator == "required":
        absent = [n for n in items(error.validator_value) if repr(n) in error.message]
        key = ".".join(str(part) for part in (*path, *absent[:1]))
        return key, _problem(place.line, place.column, "config.missing", key=key)
    values = {"key": key or "(top)", "found": found(error.instance), "allowed": _allowed(error)}
    return key, _problem(place.line, place.column, "config.value", **values)


_LIMITS = {
    "minimum": "atLeast",
    "maximum": "atMost",
    "exclusiveMinimum": "moreThan",
    "exclusiveMaximum": "lessThan",
}


def _allowed(error: ValidationError) -> str:
    """Say what the schema takes instead, in words rather than the validator's own."""
    rule, validator = cast(Any, error.validator_value), str(error.validator)
    schema = mapping(error.schema)
    if validator == "type":
        kinds = _kinds(rule)
        bounds = [
            text(f"problems.allowed.{said}", limit=schema[name])
            for name, said in _LIMITS.items()
            if name in schema
        ]
        return ", ".join([kinds, *bounds])
    if validator == "enum":
        return text("problems.allowed.oneOf", choices=listed(rule))
    if validator in _LIMITS:
        return text(f"problems.allowed.{_LIMITS[validator]}", limit=rule)
    if validator in ("minLength", "minItems"):
        return text("problems.allowed.filled")
    if validator == "anyOf":
        return text("problems.allowed.or").join(
            _kinds(mapping(choice).get("type")) for choice in rule
        )
    return text("problems.allowed.other")


def _kinds(names: object) -> str:
    each = [words(names)] if words(names) else [words(name) for name in items(names)]
    return text("problems.allowed.or").join(text(f"problems.kinds.{n}") for n in each if n)


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
