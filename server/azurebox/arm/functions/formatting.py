"""Composite formats of .NET, as far as numbers and texts need them (invariant culture)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.conversions import as_text, compact_json

_HOLE = re.compile(r"\{\{|\}\}|\{\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?(?::([^{}]*))?\}|[{}]")


def format_composite(template: str, values: Sequence[Any]) -> str:
    """Fill the holes {index[,width][:format]}; {{ and }} stand for braces.

    Raises: ExpressionError for a lone brace or an index without a value.
    """

    def fill(hole: re.Match[str]) -> str:
        if hole[0] in ("{{", "}}"):
            return hole[0][0]
        if hole[1] is None or int(hole[1]) >= len(values):
            raise ExpressionError(
                "Unable to evaluate language function 'format': the format is"
                " invalid: 'Index (zero based) must be greater than or equal to zero and less than"
                " the size of the argument list.'. Please see"
                " https://aka.ms/arm-function-format for usage details."
            )
        shown = _show(values[int(hole[1])], hole[3] or "")
        width = int(hole[2] or 0)
        return shown.rjust(width) if width >= 0 else shown.ljust(-width)

    return _HOLE.sub(fill, template)


def _show(value: Any, style: str) -> str:
    if isinstance(value, (list, dict)):
        return compact_json(value).replace('"', "'")
    if style and isinstance(value, (int, float)) and not isinstance(value, bool):
        return format_number(value, style)
    return as_text(value)


def format_number(value: float, style: str) -> str:
    """Return a number in one of .NET's numeric formats (C D E F G N P X, or a picture of 0 and #).

    Source: learn.microsoft.com/dotnet/standard/base-types/standard-numeric-format-strings
    """
    standard = re.fullmatch(r"([A-Za-z])(\d{0,3})", style)
    if not standard:
        return _picture(value, style)
    letter, digits = standard[1].upper(), int(standard[2]) if standard[2] else None
    match letter:
        case "D" if isinstance(value, int):
            return ("-" if value < 0 else "") + str(abs(value)).rjust(digits or 0, "0")
        case "X" if isinstance(value, int):
            shown = f"{value & 0xFFFFFFFFFFFFFFFF:x}".rjust(digits or 0, "0")
            return shown.upper() if standard[1] == "X" else shown
        case "F":
            return _fixed(value, 2 if digits is None else digits)
        case "N":
            return _fixed(value, 2 if digits is None else digits, ",")
        case "P":
            percent = Decimal(str(value)) * 100
            return _fixed(percent, 2 if digits is None else digits, ",") + " %"
        case "C":
            shown = _fixed(abs(value), 2 if digits is None else digits, ",")
            return f"(¤{shown})" if value < 0 else f"¤{shown}"
        case "E":
            shown = f"{value:.{6 if digits is None else digits}e}"
            mantissa, _, exponent = shown.partition("e")
            power = f"{exponent[0]}{exponent[1:].rjust(3, '0')}"
            return f"{mantissa}{standard[1]}{power}"
        case "G" if not digits:
            return as_text(value)
        case _:
            raise ExpressionError(
                "Unable to evaluate language function 'format': the format is"
                " invalid: 'Format specifier was invalid.'. Please see"
                " https://aka.ms/arm-function-format for usage details."
            )


def _fixed(value: float | Decimal, digits: int, group: str = "") -> str:
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{exact:{group}.{digits}f}"


def _picture(value: float, picture: str) -> str:
    """Fill a picture such as 000, #,##0.00 or 0.#; other characters stand for themselves."""
    found = re.search(r"[0#,]*[0#](?:\.[0#]*)?", picture)
    if not found:
        return picture
    whole, _, fraction = found[0].partition(".")
    group = "," if "," in whole else ""
    shown = _fixed(abs(value), len(fraction))
    left, _, right = shown.partition(".")
    least = whole.replace(",", "").count("0") if "0" in whole else 0
    left = left.lstrip("0").rjust(least, "0")
    if group:
        padded = f"{int(left or 0):,}"
        left = padded if least or int(left or 0) else ""
    optional = len(fraction) - len(fraction.rstrip("#"))
    kept = right[: len(right) - optional] + right[len(right) - optional :].rstrip("0")
    number = left + (f".{kept}" if kept else "")
    sign = "-" if value < 0 else ""
    return sign + picture[: found.start()] + number + picture[found.end() :]
