"""infra/provision/*.parameters.json: every value held against what the template declares.

The service would name one mistake at a time, after a sign-in, and would leave a misspelt name out.
ARM's own rules hold: names match whatever their case, null means the template's default, and a
value may be a reference to a key vault, which only the service can look up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from tunesmith.core.json_positions import Document, JsonSyntaxError, parse
from tunesmith.core.json_values import is_object, items, mapping, number, words
from tunesmith.core.messages import text
from tunesmith.core.problems import Problem
from tunesmith.core.value_names import found, listed

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "int": int,
    "bool": bool,
    "string": str,
    "securestring": str,
    "array": list,
    "object": dict,
    "secureobject": dict,
}


def check_parameters(file: str, content: str, template: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return the problems of a parameters file. `template` {}: only its syntax and outline."""
    try:
        document = parse(content)
    except JsonSyntaxError as e:
        values = {"reason": e.reason, "file": file}
        return (_problem(file, "file.syntax", (e.position.line, e.position.column), values),)
    if not is_object(document.value) or not is_object(document.value.get("parameters")):
        return (_problem(file, "parameters.noObject", (1, 1), {"file": file}),)
    return tuple(_entries(file, document, template))


def _entries(file: str, document: Document, template: Mapping[str, Any]) -> Iterator[Problem]:
    declared = mapping(template.get("parameters"))
    names = {name.lower(): name for name in declared}
    for name, entry in mapping(document.value["parameters"]).items():
        place = document.position(("parameters", name))
        at = (place.line, place.column)
        if declared and name.lower() not in names:
            near = get_close_matches(name.lower(), list(names), n=1)
            values = {"key": name, "near": names[near[0]] if near else ""}
            code = "parameters.unknownNear" if near else "parameters.unknown"
            yield _problem(file, code, at, values)
        elif not is_object(entry) or not ({"value", "reference"} & set(entry)):
            yield _problem(file, "parameters.noValue", at, {"key": name})
        elif declared and entry.get("value") is not None:
            rule = mapping(declared[names[name.lower()]])
            allowed = _refused(entry["value"], rule, mapping(template.get("definitions")))
            if allowed:
                inner = document.position(("parameters", name, "value"))
                values = {"key": name, "found": found(entry["value"]), "allowed": allowed}
                yield _problem(file, "parameters.value", (inner.line, inner.column), values)


def _refused(value: object, rule: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return what is allowed instead, "" for a value that is."""
    reference = words(rule.get("$ref")).rpartition("/")[2]
    if reference:
        rule = {**mapping(definitions.get(reference)), **rule}
    kind = words(rule.get("type")).lower()
    wanted = _TYPES.get(kind)
    if wanted and (not isinstance(value, wanted) or (kind == "int" and isinstance(value, bool))):
        return text(f"problems.kinds.{kind.removeprefix('secure')}")
    choices = items(rule.get("allowedValues"))
    if choices and value not in choices:
        return text("problems.allowed.oneOf", choices=listed(choices))
    if isinstance(value, int) and not isinstance(value, bool):
        return _outside(value, rule, "Value", "")
    if isinstance(value, str):
        return _outside(len(value), rule, "Length", "characters")
    for item in items(value):
        inside = _refused(item, mapping(rule.get("items")), definitions)
        if inside:
            return text("problems.allowed.items", allowed=inside)
    return ""


def _outside(measure: int, rule: Mapping[str, Any], name: str, unit: str) -> str:
    least, most = number(rule.get(f"min{name}")), number(rule.get(f"max{name}"))
    suffix = f" {unit}" if unit else ""
    if least is not None and measure < least:
        return text("problems.allowed.atLeast", limit=f"{least:g}{suffix}")
    if most is not None and measure > most:
        return text("problems.allowed.atMost", limit=f"{most:g}{suffix}")
    return ""


def _problem(file: str, code: str, at: Sequence[int], values: Mapping[str, object]) -> Problem:
    return Problem(
        file,
        at[0],
        at[1],
        "error",
        code,
        text(f"problems.{code}.message", **values),
        text(f"problems.{code}.hint", **values),
    )
