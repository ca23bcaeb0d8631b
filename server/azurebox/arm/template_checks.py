"""What can be said of a template's expressions before any of them has a value."""

from __future__ import annotations

from typing import Any, cast

from azurebox.arm.expressions import (
    Call,
    ExpressionError,
    Literal,
    is_expression,
    parse_expression,
    walk,
)
from azurebox.arm.functions import is_function
from azurebox.arm.refusals import validation_failed
from azurebox.arm.template import Template


def check_expressions(template: Template) -> None:
    """Check that every expression can be read and names only what there is.

    Raises: TemplateError at the first that does not.
    """
    for section in ("variables", "resources", "outputs", "functions"):
        _check(template, template.source.get(section), f"properties.template.{section}", section)


def _check(template: Template, value: Any, path: str, section: str) -> None:
    if isinstance(value, str):
        if is_expression(value):
            _check_expression(template, value, path, section)
    elif isinstance(value, list):
        for at, item in enumerate(cast("list[Any]", value)):
            _check(template, item, f"{path}[{at}]", section)
    elif isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        is_nested = _is_nested(members)
        for key, item in members.items():
            _check(template, key, path, section)
            if is_nested and key == "properties":
                # A nested template is checked on its own, with its own names.
                item = {k: v for k, v in item.items() if k != "template"}
            _check(template, item, f"{path}.{key}", section)


def _is_nested(resource: dict[str, Any]) -> bool:
    return str(
        resource.get("type", "")
    ).lower() == "microsoft.resources/deployments" and isinstance(resource.get("properties"), dict)


def _check_expression(template: Template, text: str, path: str, section: str) -> None:
    try:
        tree = parse_expression(text)
    except ExpressionError as e:
        raise validation_failed(str(e).rstrip("."), path) from e
    names = {
        "parameters": ({name.lower() for name in template.parameters}, "parameter"),
        "variables": (
            {name.lower() for name in template.variables}
            | {
                str(loop.get("name", "")).lower()
                for loop in cast("list[dict[str, Any]]", template.variables.get("copy") or [])
                if isinstance(template.variables.get("copy"), list)
            },
            "variable",
        ),
    }
    for node in walk(tree):
        if not isinstance(node, Call):
            continue
        name = node.name.lower()
        if name not in template.functions and not is_function(name):
            raise validation_failed(
                f"The template function '{node.name}' at '{path}' is not valid. Please see"
                " https://aka.ms/arm-functions for usage details",
                path,
            )
        if section in ("variables", "functions") and _is_live(name):
            raise validation_failed(
                f"The template function '{node.name}' is not expected at this location. Please see"
                " https://aka.ms/arm-functions for usage details",
                path,
            )
        known = names.get(name)
        if known and section != "functions" and node.arguments:
            argument = node.arguments[0]
            if (
                isinstance(argument, Literal)
                and isinstance(argument.value, str)
                and argument.value.lower() not in known[0]
            ):
                raise validation_failed(
                    f"The template {known[1]} '{argument.value}' is not found. Please see"
                    f" https://aka.ms/arm-syntax-{known[1]}s for usage details",
                    path,
                )


def _is_live(function: str) -> bool:
    return function in ("reference", "references") or function.startswith("list")
