"""Functions over arrays, and those that take a string or an object as well."""

from __future__ import annotations

from typing import Any, cast

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import array, integer, text, type_name, wrong_type
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
    if values and all(isinstance(value, list) for value in values):
        return [item for value in values for item in cast("list[Any]", value)]
    if any(value is None or isinstance(value, (list, dict, float)) for value in values):
        raise ExpressionError(
            "The provided parameters for language function 'concat' are invalid. Either all or"
            " none of the parameters must be an array. Please see"
            " https://aka.ms/arm-function-concat for usage details."
        )
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
    if not isinstance(value, list):
        raise ExpressionError(
            f"The template language function '{function}' expects its parameter be an array or a"
            f" string. The provided value is of type '{type_name(value)}'. Please see"
            f" https://aka.ms/arm-function-{function} for usage details."
        )
    items = cast("list[Any]", value)
    return items[at] if items else None


@pure("indexFromEnd", 2)
def index_from_end(value: Any, place: Any) -> Any:
    """Return the item at a place counted from the end, 1 being the last."""
    items, at = array("indexFromEnd", 1, value), integer("indexFromEnd", 2, place)
    if not 1 <= at <= len(items):
        raise ExpressionError(
            f"The language expression property array index '{at}' from the end is out of bounds."
        )
    return items[-at]


@pure("tryIndexFromEnd", 2)
def try_index_from_end(value: Any, place: Any) -> Any:
    """Return the item at a place counted from the end, or null."""
    if value is None:
        return None
    items, at = array("tryIndexFromEnd", 1, value), integer("tryIndexFromEnd", 2, place)
    return items[-at] if 1 <= at <= len(items) else None


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
    needle = text("lastIndexOf", 2, wanted).lower()
    # Nothing is found at the last character, not behind it: so does the service.
    return haystack.rfind(needle) if needle else max(0, len(haystack) - 1)


@pure("range", 2)
def range_(start: Any, count: Any) -> list[int]:
    """Return `count` whole numbers from `start` on."""
    start, count = integer("range", 1, start), integer("range", 2, count)
    if not 0 <= count <= 10_000 or start + count > 2**31 - 1:
        raise ExpressionError(
            "The template language function 'range' parameters are out of range: 'count' must be a"
            " positive integer no larger than 10000 and the sum of 'start index' and 'count' must"
            " be no larger than 2147483647. Please see"
            " https://aka.ms/arm-function-range for usage details."
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
    if not items or (isinstance(values[0], list) and len(values) > 1):
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
