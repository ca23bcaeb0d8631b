"""Functions over strings."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote, unquote_plus, urljoin

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import array, integer, text, wrong_type
from azurebox.arm.functions.conversions import as_text
from azurebox.arm.functions.formatting import format_composite
from azurebox.arm.functions.registry import pure


@pure("format", 1, None)
def format_(template: Any, *values: Any) -> str:
    """Fill {0}, {1,-8}, {2:N2} ... of a .NET composite format."""
    return format_composite(text("format", 1, template), values)


@pure("join", 2)
def join(items: Any, separator: Any) -> str:
    """Return the items' texts with the separator between them."""
    texts = array("join", 1, items)
    for item in texts:
        if item is None or isinstance(item, (list, dict, float)):
            raise wrong_type("join", 1, "Array of String, Integer or Boolean", cast("Any", item))
    return text("join", 2, separator).join(map(as_text, texts))


@pure("split", 2)
def split(value: Any, separators: Any) -> list[str]:
    """Cut a string at a separator, or at any of an array of them."""
    rest = text("split", 1, value)
    marks = cast("list[Any]", separators) if isinstance(separators, list) else [separators]
    wanted = [mark for at, item in enumerate(marks) if (mark := text("split", at + 2, item))]
    parts = [""]
    while rest:
        # .NET takes the first separator of the list that matches at a place.
        mark = next((mark for mark in wanted if rest.startswith(mark)), None)
        if mark is None:
            parts[-1] += rest[0]
            rest = rest[1:]
        else:
            parts.append("")
            rest = rest[len(mark) :]
    return parts


@pure("replace", 3)
def replace(value: Any, old: Any, new: Any) -> str:
    """Replace every occurrence."""
    old = text("replace", 2, old)
    if not old:
        raise ExpressionError(
            "The template language function 'replace' expects a non-empty second parameter."
        )
    return text("replace", 1, value).replace(old, text("replace", 3, new))


def _simple_case(value: str, convert: str) -> str:
    """Change letters one for one, as .NET's invariant culture does: ß, ı and İ stay."""
    changed = ((char, getattr(char, convert)()) for char in value)
    return "".join(new if len(new) == 1 and char not in "ıİ" else char for char, new in changed)


@pure("toLower", 1)
def to_lower(value: Any) -> str:
    """Return the string in lower case."""
    return _simple_case(text("toLower", 1, value), "lower")


@pure("toUpper", 1)
def to_upper(value: Any) -> str:
    """Return the string in upper case."""
    return _simple_case(text("toUpper", 1, value), "upper")


@pure("substring", 2, 3)
def substring(value: Any, start: Any, *lengths: Any) -> str:
    """Return `length` characters from `start` on; all that follow when no length is given."""
    value, start = text("substring", 1, value), integer("substring", 2, start)
    count = integer("substring", 3, lengths[0]) if lengths else len(value) - start
    if start < 0 or count < 0 or start + count > len(value):
        raise ExpressionError(
            "Unable to evaluate the template language function 'substring'. The index and length"
            " parameters must refer to a location within the string. The index parameter:"
            f" '{start}', the length parameter: '{count}', the length of the string parameter:"
            f" '{len(value)}'. Please see https://aka.ms/arm-function-substring for usage details."
        )
    return value[start : start + count]


@pure("startsWith", 2)
def starts_with(value: Any, prefix: Any) -> bool:
    """Tell whether a string begins with another, in any case."""
    value, prefix = text("startsWith", 1, value), text("startsWith", 2, prefix)
    return value.lower().startswith(prefix.lower())


@pure("endsWith", 2)
def ends_with(value: Any, suffix: Any) -> bool:
    """Tell whether a string ends with another, in any case."""
    value, suffix = text("endsWith", 1, value), text("endsWith", 2, suffix)
    return value.lower().endswith(suffix.lower())


@pure("trim", 1)
def trim(value: Any) -> str:
    """Remove white space at both ends."""
    return text("trim", 1, value).strip()


@pure("padLeft", 2, 3)
def pad_left(value: Any, width: Any, *fills: Any) -> str:
    """Fill up at the left to `width` characters."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise wrong_type("padLeft", 1, "String or Integer", value)
    fill = text("padLeft", 3, fills[0]) if fills else " "
    width = integer("padLeft", 2, width)
    if len(fill) != 1 or not 1 <= width <= 4096:
        raise ExpressionError(
            "The template language function 'padLeft' expects a width from 1 to 4096 and a single"
            " character to fill with. Please see https://aka.ms/arm-function-padleft for usage"
            " details."
        )
    return as_text(value).rjust(width, fill)


@pure("uri", 2)
def uri(base: Any, relative: Any) -> str:
    """Resolve a relative address against a base."""
    joined = urljoin(text("uri", 1, base), text("uri", 2, relative))
    return quote(joined, safe="!#$%&'()*+,/:;=?@[]~")


@pure("uriComponent", 1)
def uri_component(value: Any) -> str:
    """Escape all but letters, digits and -_.~ ."""
    return quote(text("uriComponent", 1, value), safe="-_.~")


@pure("uriComponentToString", 1)
def uri_component_to_string(value: Any) -> str:
    """Undo uriComponent."""
    return unquote_plus(text("uriComponentToString", 1, value))
