"""Types of parameters and outputs: built-in ones, and those a template defines.

Source: learn.microsoft.com/azure/azure-resource-manager/templates/definitions (languageVersion 2.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from azurebox.arm.functions.checks import type_name
from azurebox.arm.functions.conversions import as_text
from azurebox.arm.functions.logic import are_equal
from azurebox.arm.refusals import TemplateError, validation_failed

_EXPECTED = {
    "string": "String, Uri",
    "securestring": "String, Uri",
    "int": "Integer",
    "bool": "Boolean",
    "array": "Array",
    "object": "Object",
    "secureobject": "Object",
}
_DISPLAY = {
    "string": "String",
    "securestring": "SecureString",
    "int": "Int",
    "bool": "Bool",
    "array": "Array",
    "object": "Object",
    "secureobject": "SecureObject",
}
_PYTHON: dict[str, type] = {
    "string": str,
    "securestring": str,
    "int": int,
    "bool": bool,
    "array": list,
    "object": dict,
    "secureobject": dict,
}

Schema = dict[str, Any]


class TypeTable:
    """The types a template can name."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def resolve(self, schema: Schema) -> Schema:
        """Return a schema with its $ref followed; what stands beside the $ref wins.

        Raises: TemplateError for a name that is not defined, or that leads to itself.
        """
        result = dict(schema)
        seen: set[str] = set()
        while "$ref" in result:
            reference = str(result.pop("$ref"))
            name = reference.rpartition("/")[2]
            if reference != f"#/definitions/{name}" or name not in self._definitions:
                raise validation_failed(f"The type definition '{reference}' is not found")
            if name in seen:
                raise validation_failed(f"The type definition '{reference}' refers to itself")
            seen.add(name)
            result = {**self._definitions[name], **result}
        return result

    def display(self, schema: Schema) -> str:
        """Return the type as answers spell it: String, SecureString, Int, ..."""
        declared = str(self.resolve(schema).get("type", "object")).lower()
        return _DISPLAY.get(declared, declared.capitalize())

    def is_secure(self, schema: Schema) -> bool:
        """Tell whether values of the type must not be shown."""
        return str(self.resolve(schema).get("type", "")).lower() in ("securestring", "secureobject")

    def is_nullable(self, schema: Schema) -> bool:
        """Tell whether null, or nothing, is a value of the type."""
        return self.resolve(schema).get("nullable") is True

    def check(self, kind: str, name: str, schema: Schema, value: Any, path: str) -> None:
        """Check a value; `kind` is "parameter" or "output".

        Raises: TemplateError at the place inside the value that does not fit.
        """
        _Check(self, kind, name, path).value(schema, value, "")

    @property
    def names(self) -> list[str]:
        """Names of the definitions."""
        return list(self._definitions)


def check_type_name(schema: Schema, path: str) -> None:
    """Raises: TemplateError when a declaration's type is none that ARM knows."""
    declared = schema.get("type")
    if "$ref" in schema:
        return
    if not isinstance(declared, str) or declared.lower() not in _PYTHON:
        known = "Array,Bool,Int,Object,SecureObject,SecureString,String"
        raise validation_failed(
            f"The template parameter type '{declared}' is not valid. Expected one of '{known}'."
            " Please see https://aka.ms/arm-syntax-parameters for usage details",
            path,
        )


class _Check:
    """One value against one schema."""

    def __init__(self, types: TypeTable, kind: str, name: str, path: str) -> None:
        self._types = types
        self._kind = kind
        self._name = name
        self._path = path

    def value(self, schema: Schema, value: Any, where: str) -> None:
        schema = self._types.resolve(schema)
        if value is None:
            if schema.get("nullable") is True:
                return
            raise self._null(where)
        declared = str(schema.get("type", "")).lower()
        expected = _PYTHON.get(declared)
        if expected is None:
            return
        wrong_number = expected is int and type_name(value) == "Boolean"
        if not isinstance(value, expected) or wrong_number:
            raise self._wrong_type(declared, value, where)
        self._allowed(schema, value, where)
        self._limits(schema, declared, value, where)
        if expected is list:
            self._items(schema, cast("list[Any]", value), where)
        if expected is dict:
            self._members(schema, cast("dict[str, Any]", value), where)

    def _allowed(self, schema: Schema, value: Any, where: str) -> None:
        allowed = schema.get("allowedValues")
        if not isinstance(allowed, list):
            return
        choices = cast("list[Any]", allowed)
        if isinstance(value, list) and not any(isinstance(choice, list) for choice in choices):
            fits = all(_is_one_of(item, choices) for item in cast("list[Any]", value))
        else:
            fits = _is_one_of(value, choices)
        if not fits:
            listed = ",".join(map(as_text, choices))
            raise self._refuse(
                f"The value '{as_text(value)}' is not part of the allowed value(s): '{listed}'.",
                where,
            )

    def _limits(self, schema: Schema, declared: str, value: Any, where: str) -> None:
        if declared == "int":
            least, most = schema.get("minValue"), schema.get("maxValue")
            if isinstance(least, int) and value < least:
                raise self._refuse(
                    f"The value should be greater than or equal to '{least}'.", where
                )
            if isinstance(most, int) and value > most:
                raise self._refuse(f"The value should be less than or equal to '{most}'.", where)
        elif declared in ("string", "securestring", "array"):
            size = len(value)
            least, most = schema.get("minLength"), schema.get("maxLength")
            if isinstance(least, int) and size < least:
                raise self._refuse(
                    f"Length of the value should be greater than or equal to '{least}'.", where
                )
            if isinstance(most, int) and size > most:
                raise self._refuse(
                    f"Length of the value should be less than or equal to '{most}'.", where
                )

    def _items(self, schema: Schema, value: list[Any], where: str) -> None:
        first = cast("list[Schema]", schema.get("prefixItems") or [])
        if len(value) < len(first):
            raise self._refuse(f"It needs at least '{len(first)}' item(s).", where)
        rest = schema.get("items")
        for at, item in enumerate(value):
            inside = f"{where}[{at}]"
            if at < len(first):
                self.value(first[at], item, inside)
            elif rest is False:
                raise self._refuse(f"It has more than '{len(first)}' item(s).", inside)
            elif isinstance(rest, dict):
                self.value(cast("Schema", rest), item, inside)

    def _members(self, schema: Schema, value: dict[str, Any], where: str) -> None:
        schema = self._variant(schema, value, where)
        declared = cast("dict[str, Schema]", schema.get("properties") or {})
        for name, member in declared.items():
            if name in value:
                self.value(member, value[name], f"{where}.{name}")
            elif not self._types.is_nullable(member):
                raise self._refuse(
                    f"The property '{(where + '.' + name).lstrip('.')}' is required but was not"
                    " provided.",
                    where,
                )
        more = schema.get("additionalProperties")
        for name, item in value.items():
            if name in declared:
                continue
            inside = f"{where}.{name}"
            if more is False:
                raise self._refuse(f"The property '{inside.lstrip('.')}' is not allowed.", inside)
            if isinstance(more, dict):
                self.value(cast("Schema", more), item, inside)

    def _variant(self, schema: Schema, value: dict[str, Any], where: str) -> Schema:
        """Return the schema with the members that a discriminated union's value chooses."""
        choice = schema.get("discriminator")
        if not isinstance(choice, dict):
            return schema
        rule = cast("dict[str, Any]", choice)
        property = str(rule.get("propertyName"))
        mapping = cast("dict[str, Schema]", rule.get("mapping") or {})
        chosen = value.get(property)
        if not isinstance(chosen, str) or chosen not in mapping:
            raise self._refuse(
                f"The property '{property}' must be one of '{','.join(mapping)}'.", where
            )
        variant = self._types.resolve(mapping[chosen])
        members = {
            property: {"type": "string"},
            **cast("dict[str, Any]", schema.get("properties") or {}),
            **cast("dict[str, Any]", variant.get("properties") or {}),
        }
        return {
            "properties": members,
            "additionalProperties": variant.get(
                "additionalProperties", schema.get("additionalProperties")
            ),
        }

    def _refuse(self, reason: str, where: str) -> TemplateError:
        place = f" at '{where.lstrip('.')}'" if where else ""
        return validation_failed(
            f"The provided value for the template {self._kind} '{self._name}'{place} is not"
            f" valid. {reason}",
            self._path + where,
        )

    def _wrong_type(self, declared: str, value: Any, where: str) -> TemplateError:
        place = f" at '{where.lstrip('.')}'" if where else ""
        return validation_failed(
            f"Template {self._kind} JToken type is not valid for '{self._name}'{place}. Expected"
            f" '{_EXPECTED[declared]}'. Actual '{type_name(value)}'. Please see"
            " https://aka.ms/resource-manager-parameter-files for usage details",
            self._path + where,
        )

    def _null(self, where: str) -> TemplateError:
        if where:
            return self._refuse("The value must not be null.", where)
        if self._kind == "parameter":
            return TemplateError(
                f"The value of deployment parameter '{self._name}' is null. Please specify the"
                " value or use the parameter reference. See"
                " https://aka.ms/arm-create-parameter-file for details.",
                self._path,
                "InvalidTemplate",
            )
        return self._refuse("The value is null.", where)


def _is_one_of(value: Any, choices: list[Any]) -> bool:
    """Tell whether a value is among the choices; case counts."""
    return any(are_equal(value, choice) for choice in choices)
