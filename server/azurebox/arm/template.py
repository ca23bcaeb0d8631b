"""A template taken apart and bound to parameter values. No resource is looked at here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from azurebox.arm.evaluation import evaluate_json, evaluate_loop, in_loop, loop_count
from azurebox.arm.expressions import (
    ExpressionError,
    is_expression,
)
from azurebox.arm.refusals import TemplateError, validation_failed
from azurebox.arm.scope import DeploymentFacts, Names, RuntimeOnly, Scope, UserFunction
from azurebox.arm.types import Schema, TypeTable, check_type_name

_SCHEMA = re.compile(r"/(2014-04-01-preview|2015-01-01|2018-05-01|2019-04-01|2019-08-01)/")
_KNOWN_SECTIONS = {
    "$schema",
    "apiprofile",
    "asserts",
    "contentversion",
    "definitions",
    "extensions",
    "functions",
    "imports",
    "languageversion",
    "metadata",
    "outputs",
    "parameters",
    "resources",
    "variables",
}


class Template:
    """A template's sections, each checked to be of the right kind.

    Raises: TemplateError from the constructor.
    """

    def __init__(self, source: Any) -> None:
        if not isinstance(source, dict):
            raise TemplateError(
                "The request content was invalid: the template must be a JSON object.",
                "properties.template",
            )
        self.source = cast("dict[str, Any]", source)
        for section in self.source:
            if section.lower() not in _KNOWN_SECTIONS:
                raise validation_failed(
                    f"Could not find member '{section}' on object of type 'Template'."
                    f" Path 'properties.template.{section}'",
                    f"properties.template.{section}",
                )
        schema = self.source.get("$schema", "")
        if "$schema" in self.source and not _SCHEMA.search(str(schema)):
            raise validation_failed(
                f"Template schema '{schema}' is not supported. Supported versions are"
                " '2014-04-01-preview,2015-01-01,2018-05-01,2019-04-01,2019-08-01'. Please see"
                " https://aka.ms/arm-syntax for usage details",
                "properties.template.$schema",
            )
        if "$schema" not in self.source or "contentVersion" not in self.source:
            missing = "$schema" if "$schema" not in self.source else "contentVersion"
            raise validation_failed(
                f"Required property '{missing}' not found in JSON. Path 'properties.template'",
                "properties.template",
            )
        self.is_symbolic = isinstance(self.source.get("resources"), dict)
        self.parameters = self._section("parameters")
        self.variables = self._section("variables")
        self.outputs = self._section("outputs")
        self.types = TypeTable(cast("dict[str, Schema]", self._section("definitions")))
        self.functions = self._functions()
        self.resources = self._resources()
        if self._section("extensions") or self._section("imports"):
            raise validation_failed("Template extensions are not supported by this deployment")
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, dict):
                raise validation_failed(f"The template parameter '{name}' is not an object")
            check_type_name(
                cast("Schema", parameter), f"properties.template.parameters.{name}.type"
            )

    def _section(self, name: str) -> dict[str, Any]:
        value: Any = self.source.get(name) or {}
        if not isinstance(value, dict):
            raise validation_failed(
                f"The template section '{name}' must be an object", f"properties.template.{name}"
            )
        return cast("dict[str, Any]", value)

    def _resources(self) -> list[tuple[str, dict[str, Any], str]]:
        """Return (symbolic name or "", declaration, path) of every resource."""
        section: Any = self.source.get("resources") or []
        root = "properties.template.resources"
        if isinstance(section, dict):
            entries = [
                (name, item, f"{root}.{name}")
                for name, item in cast("dict[str, Any]", section).items()
            ]
        elif isinstance(section, list):
            entries = list(_flatten(cast("list[Any]", section), root, None))
        else:
            raise validation_failed("The template section 'resources' must be an array", root)
        for _, item, path in entries:
            if not isinstance(item, dict):
                raise validation_failed(f"The template resource at '{path}' is not an object", path)
            for key in ("type", "name", "apiVersion"):
                if key not in item:
                    raise validation_failed(
                        f"The template resource at '{path}' is missing the required property"
                        f" '{key}'",
                        path,
                    )
        return entries

    def _functions(self) -> dict[str, UserFunction]:
        result: dict[str, UserFunction] = {}
        for group in cast("list[dict[str, Any]]", self.source.get("functions") or []):
            for name, member in cast("dict[str, Any]", group.get("members") or {}).items():
                declared = cast("list[dict[str, Any]]", member.get("parameters") or [])
                parameters = tuple(str(parameter.get("name")) for parameter in declared)
                output = cast("dict[str, Any]", member.get("output") or {})
                function = UserFunction(parameters, output.get("value"))
                result[f"{group.get('namespace')}.{name}".lower()] = function
        return result


def _flatten(
    items: list[Any], root: str, parent: dict[str, Any] | None
) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield resources and their nested children, the children with full type and name.

    A child is there for each turn of its parent's loop.
    """
    for at, item in enumerate(items):
        path = f"{root}[{at}]"
        if not isinstance(item, dict):
            raise validation_failed(f"The template resource at '{path}' is not an object", path)
        resource = dict(cast("dict[str, Any]", item))
        if parent and "type" in resource and "name" in resource:
            resource["type"] = f"{parent.get('type')}/{resource['type']}"
            resource["name"] = _joined_name(str(parent.get("name")), str(resource["name"]))
            if "copy" in parent:
                resource.setdefault("copy", parent["copy"])
        is_deployment = str(resource.get("type", "")).lower() == "microsoft.resources/deployments"
        children: Any = None if is_deployment else resource.pop("resources", None)
        yield "", resource, path
        if children:
            yield from _flatten(cast("list[Any]", children), f"{path}.resources", resource)


def _joined_name(parent: str, child: str) -> str:
    def inner(name: str) -> str:
        return name[1:-1] if is_expression(name) else "'" + name.replace("'", "''") + "'"

    return f"[concat({inner(parent)}, '/', {inner(child)})]"


def bind(template: Template, given: Mapping[str, Any], facts: DeploymentFacts) -> Scope:
    """Return the scope of a template's expressions, every parameter checked against its type.

    `given`: parameter name -> {"value": ...}. Raises: TemplateError.
    """
    values = _given_values(template, given)
    scope = Scope(facts, functions=template.functions)

    def default_of(name: str, schema: Schema) -> Callable[[], Any]:
        def make() -> Any:
            value = evaluate_json(schema["defaultValue"], default_scope)
            template.types.check(
                "parameter", name, schema, value, f"properties.template.parameters.{name}"
            )
            return value

        return make

    makers: dict[str, Callable[[], Any]] = {}
    for name, schema in template.parameters.items():
        if name.lower() in values:
            value = values[name.lower()]
            makers[name] = lambda value=value: value
        elif "defaultValue" in schema:
            makers[name] = default_of(name, schema)
        else:
            makers[name] = lambda: None
    parameters = Names("parameter", makers)
    default_scope = replace(scope, parameters=parameters, in_default=True)
    scope = replace(scope, parameters=parameters)
    scope = replace(scope, variables=_variables(template, scope))
    for name in template.parameters:
        try:
            _ = parameters[name]
        except ExpressionError as e:
            raise validation_failed(
                f"The template parameter '{name}' is not valid: {e}",
                f"properties.template.parameters.{name}.defaultValue",
            ) from e
        except RuntimeOnly as e:
            raise _not_here(f"properties.template.parameters.{name}.defaultValue") from e
    return scope


def _given_values(template: Template, given: Mapping[str, Any]) -> dict[str, Any]:
    known = {name.lower(): name for name in template.parameters}
    unknown = [name for name in given if name.lower() not in known]
    if unknown:
        supported = ", ".join(template.parameters)
        raise validation_failed(
            f"The template parameters '{', '.join(unknown)}' in the parameters file are not valid;"
            " they are not present in the original template and can therefore not be provided at"
            f" deployment time. The only supported parameters for this template are '{supported}'."
            " Please see https://aka.ms/arm-pass-parameter-values for usage details"
        )
    values: dict[str, Any] = {}
    for name, entry in given.items():
        declared = known[name.lower()]
        schema = cast("Schema", template.parameters[declared])
        path = f"properties.parameters.{name}"
        if not isinstance(entry, dict) or "value" not in entry:
            raise TemplateError(
                f"The value of deployment parameter '{name}' is not given as an object with a"
                " 'value'. References to a key vault are not supported here. See"
                " https://aka.ms/arm-create-parameter-file for details.",
                path,
            )
        value = cast("dict[str, Any]", entry)["value"]
        template.types.check("parameter", declared, schema, value, path + ".value")
        values[name.lower()] = value
    for name, schema in template.parameters.items():
        if (
            name.lower() not in values
            and "defaultValue" not in schema
            and not template.types.is_nullable(schema)
        ):
            raise validation_failed(
                f"The value for the template parameter '{name}' at line '{{line}}' and column"
                " '{column}' is not provided. Please see"
                " https://aka.ms/arm-create-parameter-file for usage details",
                f"properties.template.parameters.{name}",
            )
    return values


def _variables(template: Template, scope: Scope) -> Names:
    makers: dict[str, Callable[[], Any]] = {}
    names: Names

    def plain(value: Any) -> Callable[[], Any]:
        return lambda: evaluate_json(value, replace(scope, variables=names))

    def loop(value: dict[str, Any]) -> Callable[[], Any]:
        return lambda: evaluate_loop(value, replace(scope, variables=names))

    for name, value in template.variables.items():
        if name == "copy" and isinstance(value, list):
            for entry in cast("list[dict[str, Any]]", value):
                makers[entry["name"]] = loop(entry)
        else:
            makers[name] = plain(value)
    names = Names("variable", makers)
    return names


def evaluate_outputs(template: Template, scope: Scope) -> dict[str, Any]:
    """Return the outputs as answers show them: {name: {"type", "value"}}.

    The first letter of a name is lowered, as the service does; an output whose condition is false
    is left out, and so is a secure one's value.
    Raises: TemplateError, whose path names the output.
    """
    result: dict[str, Any] = {}
    for name, declared in template.outputs.items():
        output = cast("dict[str, Any]", declared)
        path = f"properties.template.outputs.{name}"
        try:
            if evaluate_json(output.get("condition", True), scope) is False:
                continue
            if "copy" in output:
                loop = cast("dict[str, Any]", output["copy"])
                value: Any = [
                    evaluate_json(loop["input"], in_loop(scope, name, index))
                    for index in range(loop_count(loop, scope))
                ]
            else:
                value = evaluate_json(output.get("value"), scope)
        except ExpressionError as e:
            raise TemplateError(
                f"The template output '{name}' is not valid: {e}.",
                path,
                "DeploymentOutputEvaluationFailed",
            ) from e
        template.types.check("output", name, output, value, path)
        shown: dict[str, Any] = {"type": template.types.display(output)}
        if not template.types.is_secure(output):
            shown["value"] = value
        result[name[:1].lower() + name[1:]] = shown
    return result


def _not_here(path: str) -> TemplateError:
    return validation_failed(
        "The template function 'reference' is not expected at this location. Please see"
        " https://aka.ms/arm-functions for usage details",
        path,
    )
