"""Functions over arrays, and those that take a string or an object as well."""

from __future__ import annotations

from typing import Any, cast

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import array, integer, text, wrong_type
from azurebox.arm.functions.conversions import as_text
from azurebox.arm.functions.logic import are_equal
from azurebox.arm.functions.registry import pure


@pure("createArray", 0, None)
def create_array(*items: Any) -> list[Any]:
    """Return the arguments as an array."""
    return list(items)


@pure("concat", 0, None)
def concat(*values: Any) -> Any:
    """Join arrays, or else the texts of all values."""
    if values and isinstance(values[0], list):
        return [item for at, value in enumerate(values, 1) for item in array("concat", at, value)]
    for at, value in enumerate(values, 1):
        if isinstance(value, (list, dict)):
            raise wrong_type("concat", at, "String", cast("Any", value))
    return "".join(map(as_text, values))


@pure("length", 1)
def length(value: Any) -> int:
    """Return the number of characters (UTF-16 units), items or properties."""
    if isinstance(value, str):
        return len(value.encode("utf-16-le")) // 2
    if isinstance(value, (list, dict)):
        return len(cast("list[Any]", value))
    raise wrong_type("length", 1, "Array, Object or String", value)


@pure("empty", 1)
def empty(value: Any) -> bool:
    """Tell whether there is nothing in a string, array or object; null is empty."""
    if value is None:
        return True
    if isinstance(value, (str, list, dict)):
        return not value
    raise wrong_type("empty", 1, "Array, Object or String", value)


@pure("first", 1)
def first(value: Any) -> Any:
    """Return the first item or character; null, or "" of a string, when there is none."""
    return _end("first", value, 0)


@pure("last", 1)
def last(value: Any) -> Any:
    """Return the last item or character; null, or "" of a string, when there is none."""
    return _end("last", value, -1)


def _end(function: str, value: Any, at: int) -> Any:
    if isinstance(value, str):
        return value[at] if value else ""
    items = array(function, 1, value)
    return items[at] if items else None


@pure("take", 2)
def take(value: Any, count: Any) -> Any:
    """Return the first `count` items or characters."""
    count = max(0, integer("take", 2, count))
    return value[:count] if isinstance(value, str) else array("take", 1, value)[:count]


@pure("skip", 2)
def skip(value: Any, count: Any) -> Any:
    """Return all but the first `count` items or characters."""
    count = max(0, integer("skip", 2, count))
    return value[count:] if isinstance(value, str) else array("skip", 1, value)[count:]


@pure("contains", 2)
def contains(container: Any, wanted: Any) -> bool:
    """Tell whether an array has the item, an object the key (any case), a string the text."""
    if isinstance(container, dict):
        keys = cast("dict[str, Any]", container)
        return isinstance(wanted, str) and wanted.lower() in (key.lower() for key in keys)
    if isinstance(container, list):
        return any(are_equal(item, wanted) for item in cast("list[Any]", container))
    return text("contains", 2, wanted) in text("contains", 1, container)


@pure("indexOf", 2)
def index_of(container: Any, wanted: Any) -> int:
    """Return the first place of a text (any case) or an item, or -1."""
    if isinstance(container, list):
        items = cast("list[Any]", container)
        return next((at for at, item in enumerate(items) if are_equal(item, wanted)), -1)
    haystack = text("indexOf", 1, container).lower()
    return haystack.find(text("indexOf", 2, wanted).lower())


@pure("lastIndexOf", 2)
def last_index_of(container: Any, wanted: Any) -> int:
    """Return the last place of a text (any case) or an item, or -1."""
    if isinstance(container, list):
        items = cast("list[Any]", container)
        places = [at for at, item in enumerate(items) if are_equal(item, wanted)]
        return places[-1] if places else -1
    haystack = text("lastIndexOf", 1, container).lower()
    return haystack.rfind(text("lastIndexOf", 2, wanted).lower())


@pure("range", 2)
def range_(start: Any, count: Any) -> list[int]:
    """Return `count` whole numbers from `start` on."""
    start, count = integer("range", 1, start), integer("range", 2, count)
    if not 0 <= count <= 10_000 or start + count > 2**31 - 1:
        raise ExpressionError(
            "The template language function 'range' expects a start index and a count between 0"
            " and 10000 whose sum does not exceed 2147483647. Please see"
            " https://aka.ms/arm-functions#range for usage details."
        )
    return list(range(start, start + count))


@pure("min", 1, None)
def min_(*values: Any) -> int:
    """Return the smallest of the numbers, or of an array of them."""
    return min(_numbers("min", values))


@pure("max", 1, None)
def max_(*values: Any) -> int:
    """Return the largest of the numbers, or of an array of them."""
    return max(_numbers("max", values))


def _numbers(function: str, values: tuple[Any, ...]) -> list[int]:
    items: list[Any] = cast("list[Any]", values[0]) if isinstance(values[0], list) else list(values)
    if not items:
        raise ExpressionError(f"The template language function '{function}' expects numbers.")
    return [integer(function, at, item) for at, item in enumerate(items, 1)]


@pure("flatten", 1)
def flatten(value: Any) -> list[Any]:
    """Return the items of an array's arrays."""
    return [
        inner
        for at, item in enumerate(array("flatten", 1, value), 1)
        for inner in array("flatten", at, item)
    ]
