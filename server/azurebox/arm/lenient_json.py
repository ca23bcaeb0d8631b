"""JSON as ARM accepts it: comments, unquoted or single-quoted names, strings over several lines.

Also tells at which line and column a value stands, for error answers.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_$][\w$-]*")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "undefined": None}


class JsonError(ValueError):
    """Text that is no JSON even so; the message says where."""


def read_json(text: str) -> Any:
    """Return the value a request's body stands for. Raises: JsonError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return _Reader(text).read()


def locate(text: str, path: str) -> tuple[int, int]:
    """Return line and column, from 1, where the value at "a.b[0].c" ends its name.

    The closest enclosing value answers for a path that is not there; (0, 0) for nothing at all.
    """
    reader = _Reader(text)
    try:
        reader.read()
    except JsonError:
        return 0, 0
    while path:
        if path in reader.places:
            at = reader.places[path]
            return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return 0, 0


class _Reader:
    """Recursive descent over the text; remembers where each value begins."""

    def __init__(self, text: str) -> None:
        self._text = text.lstrip("\ufeff")
        self._at = 0
        self.places: dict[str, int] = {}

    def read(self) -> Any:
        value = self._value("")
        self._skip()
        if self._at != len(self._text):
            raise self._error("the end of the text")
        return value

    def _error(self, expected: str) -> JsonError:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        return JsonError(f"expected {expected} at line {line}, position {column}")

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _peek(self) -> str:
        self._skip()
        return self._text[self._at : self._at + 1]

    def _value(self, path: str) -> Any:
        char = self._peek()
        if path:
            self.places.setdefault(path, self._at)
        if char == "{":
            return self._object(path)
        if char == "[":
            return self._array(path)
        if char and char in "\"'":
            return self._string()
        number = _NUMBER.match(self._text, self._at)
        if number:
            self._at = number.end()
            return float(number[0]) if number[1] or number[2] else int(number[0])
        word = _NAME.match(self._text, self._at)
        if word and word[0] in _WORDS:
            self._at = word.end()
            return _WORDS[word[0]]
        raise self._error("a value")

    def _object(self, path: str) -> dict[str, Any]:
        self._at += 1
        result: dict[str, Any] = {}
        while self._peek() != "}":
            name = self._key()
            inside = f"{path}.{name}" if path else name
            if self._peek() != ":":
                raise self._error("':'")
            self._at += 1
            self.places[inside] = self._at
            result[name] = self._value(inside)
            self._separator("}")
        self._at += 1
        return result

    def _key(self) -> str:
        if self._peek() and self._peek() in "\"'":
            return self._string()
        name = _NAME.match(self._text, self._at)
        if not name:
            raise self._error("a name")
        self._at = name.end()
        return name[0]

    def _array(self, path: str) -> list[Any]:
        self._at += 1
        result: list[Any] = []
        while self._peek() != "]":
            result.append(self._value(f"{path}[{len(result)}]"))
            self._separator("]")
        self._at += 1
        return result

    def _separator(self, end: str) -> None:
        char = self._peek()
        if char == ",":
            self._at += 1
        elif char != end:
            raise self._error(f"',' or '{end}'")

    def _string(self) -> str:
        quote = self._text[self._at]
        self._at += 1
        parts: list[str] = []
        while True:
            char = self._text[self._at : self._at + 1]
            if not char:
                raise self._error("the end of a string")
            self._at += 1
            if char == quote:
                # Surrogate pairs come as two escapes.
                return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if char != "\\":
                parts.append(char)
                continue
            escape = self._text[self._at : self._at + 1]
            self._at += 1
            if escape == "u":
                digits = self._text[self._at : self._at + 4]
                if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
                    raise self._error("four hexadecimal digits")
                parts.append(chr(int(digits, 16)))
                self._at += 4
            else:
                parts.append(_ESCAPES.get(escape, escape))
