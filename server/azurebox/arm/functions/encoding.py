"""base64 and data addresses."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import text
from azurebox.arm.functions.registry import pure


@pure("base64", 1)
def base64_(value: Any) -> str:
    """Return the base64 form of a string's UTF-8 bytes."""
    return base64.b64encode(text("base64", 1, value).encode()).decode()


@pure("base64ToString", 1)
def base64_to_string(value: Any) -> str:
    """Undo base64."""
    return _decode("base64ToString", text("base64ToString", 1, value))


@pure("base64ToJson", 1)
def base64_to_json(value: Any) -> Any:
    """Undo base64 and read the JSON."""
    decoded = _decode("base64ToJson", text("base64ToJson", 1, value))
    try:
        return json.loads(decoded)
    except json.JSONDecodeError as e:
        raise ExpressionError(
            f"The template language function 'base64ToJson' cannot read its parameter as JSON: {e}."
        ) from e


@pure("dataUri", 1)
def data_uri(value: Any) -> str:
    """Return a data: address of a string."""
    encoded = base64.b64encode(text("dataUri", 1, value).encode()).decode()
    return f"data:text/plain;charset=utf-8;base64,{encoded}"


@pure("dataUriToString", 1)
def data_uri_to_string(value: Any) -> str:
    """Return the text in a data: address."""
    _, found, data = text("dataUriToString", 1, value).partition(",")
    if not found:
        raise ExpressionError(
            "The template language function 'dataUriToString' expects a data URI."
        )
    return _decode("dataUriToString", data)


def _decode(function: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as e:
        raise ExpressionError(
            f"The template language function '{function}' expects its parameter to be a base64"
            f" string of UTF-8 text. Please see https://aka.ms/arm-function-{function.lower()}"
            " for usage details."
        ) from e
