"""ARM's expression language: from the text of "[...]" to a tree. Nothing is evaluated here.

Source: learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache


class ExpressionError(Exception):
    """An expression that cannot be read or evaluated; the text is ARM's sentence about it."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string or number written down."""

    value: str | int | float


@dataclass(frozen=True, slots=True)
class Call:
    """name(arguments). A user-defined function's name has its namespace and a dot in front."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """target.key or target[key]."""

    target: Node
    key: Node


Node = Literal | Call | Access


def is_expression(text: str) -> bool:
    """Tell whether a template's string is an expression and not a plain value."""
    return len(text) >= 2 and text[0] == "[" and text[1] != "[" and text[-1] == "]"


def unescape(text: str) -> str:
    """Return the plain value a string that is no expression stands for: "[[x]" means "[x]"."""
    return text[1:] if text.startswith("[[") and text.endswith("]") else text


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> Node:
    """Parse the text of an expression with its outer brackets.

    Raises: ExpressionError with ARM's sentence when it is no well-formed expression.
    """
    return _Parser(text[1:-1]).parse()


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it."""
    yield node
    match node:
        case Call():
            for argument in node.arguments:
                yield from walk(argument)
        case Access():
            yield from walk(node.target)
            yield from walk(node.key)
        case Literal():
            pass


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<Literal>'(?:[^']|'')*')
    | (?P<Float>-?\d+\.\d+(?:[eE][+-]?\d+)?)
    | (?P<Integer>-?\d+)
    | (?P<Identifier>[A-Za-z_$][\w$]*)
    | (?P<LeftParenthesis>\()
    | (?P<RightParenthesis>\))
    | (?P<LeftSquareBracket>\[)
    | (?P<RightSquareBracket>\])
    | (?P<Comma>,)
    | (?P<Dot>\.)
    | (?P<EndOfData>\Z)
    )""",
    re.VERBOSE,
)


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._kind = ""
        self._word = ""
        self._advance()

    def parse(self) -> Node:
        node = self._expression()
        self._expect("EndOfData")
        return node

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if not found or found.lastgroup is None:
            raise ExpressionError(
                f"The language expression '{self._text}' is not valid: the string character"
                f" '{self._text[self._at : self._at + 1]}' at position '{self._at + 1}'"
                " is not expected."
            )
        self._kind, self._word = found.lastgroup, found[found.lastgroup]
        self._at = found.end()

    def _take(self, kind: str) -> str:
        self._expect(kind)
        word = self._word
        if kind != "EndOfData":
            self._advance()
        return word

    def _expect(self, kind: str) -> None:
        if self._kind != kind:
            raise ExpressionError(
                f"Unable to parse language expression '{self._text}': expected token '{kind}'"
                f" and actual '{self._kind}'."
            )

    def _expression(self) -> Node:
        node = self._primary()
        while self._kind in ("Dot", "LeftSquareBracket"):
            if self._kind == "Dot":
                self._advance()
                node = Access(node, Literal(self._take("Identifier")))
            else:
                self._advance()
                node = Access(node, self._expression())
                self._take("RightSquareBracket")
        return node

    def _primary(self) -> Node:
        word = self._word
        match self._kind:
            case "Literal":
                self._advance()
                return Literal(word[1:-1].replace("''", "'"))
            case "Integer":
                self._advance()
                return Literal(int(word))
            case "Float":
                self._advance()
                return Literal(float(word))
            case _:
                return self._call()

    def _at_end_of_call(self) -> bool:
        return self._kind == "RightParenthesis"

    def _call(self) -> Node:
        name = self._take("Identifier")
        while self._kind == "Dot":
            self._advance()
            name += "." + self._take("Identifier")
        self._take("LeftParenthesis")
        arguments: list[Node] = []
        while self._kind != "RightParenthesis":
            arguments.append(self._expression())
            if self._kind != "Comma":
                break
            self._advance()
            if self._at_end_of_call():
                raise ExpressionError(
                    f"Unable to parse language expression '{self._text}': expected an argument"
                    " after the comma."
                )
        self._take("RightParenthesis")
        return Call(name, tuple(arguments))
