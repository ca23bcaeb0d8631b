"""An operation's params as flags: made from the fields of its dataclass, and read back into it."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, NoReturn

from tunesmith.cli.usage import UsageError
from tunesmith.ops.registry import Operation


@dataclass(frozen=True, slots=True)
class GlobalFlags:
    """What every command takes beside its own flags."""

    json: bool = False
    yes: bool = False
    verbose: bool = False


GLOBAL_FLAGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--json",), "print one JSON object and nothing else"),
    (("-y", "--yes"), "do not ask"),
    (("-v", "--verbose"), "print what happens underneath"),
    (("-h", "--help"), "show this help"),
)


@dataclass(frozen=True, slots=True)
class Flag:
    """One field as the command line sees it; the help is rendered from it as well."""

    field: str
    names: tuple[str, ...]
    positional: bool
    kind: type[Any]
    required: bool
    default: Any
    help: str
    choices: tuple[str, ...]
    metavar: str


def flags_of(operation: Operation) -> list[Flag]:
    """Return the flags of an operation: its own first, then those of every project command."""
    hints = typing.get_type_hints(operation.params)
    own = operation.params.__annotations__
    fields = sorted(dataclasses.fields(operation.params), key=lambda f: f.name not in own)
    return [_flag(field, hints[field.name]) for field in fields]


def _flag(field: dataclasses.Field[Any], hint: Any) -> Flag:
    meta = field.metadata
    positional = bool(meta.get("positional"))
    kind = _plain_type(hint)
    long = "--set" if kind is dict else "--" + field.name.replace("_", "-")
    short = (meta["short"],) if meta.get("short") else ()
    default = None if field.default is MISSING else field.default
    metavar = meta.get("metavar") or ("NAME=VALUE" if kind is dict else field.name.upper())
    return Flag(
        field=field.name,
        names=(field.name,) if positional else (*short, long),
        positional=positional,
        kind=kind,
        required=field.default is MISSING and field.default_factory is MISSING,
        default=default,
        help=meta.get("help", ""),
        choices=tuple(meta.get("choices", ())),
        metavar=metavar,
    )


def _plain_type(hint: Any) -> type[Any]:
    """`str | None` -> str, `dict[str, str]` -> dict."""
    if isinstance(hint, types.UnionType):
        hint = next(arg for arg in typing.get_args(hint) if arg is not types.NoneType)
    return typing.get_origin(hint) or hint


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process, and leaves the help to us."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message[:1].upper() + message[1:], self.prog)


def parse(operation: Operation, words: list[str]) -> tuple[dict[str, Any], GlobalFlags, bool]:
    """Read a command line: the values that were given by field, the global flags, and --help.

    Raises: UsageError.
    """
    prog = "tunesmith " + operation.name.replace("/", " ")
    parser = _Parser(prog=prog, add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag in flags_of(operation):
        _add(parser, flag)
    for names, _ in GLOBAL_FLAGS:
        parser.add_argument(*names, action="store_true", dest=names[-1].lstrip("-"))
    try:
        read = vars(parser.parse_args(words))
    except argparse.ArgumentError as error:
        raise UsageError(str(error), prog) from None
    shared = GlobalFlags(read.pop("json"), read.pop("yes"), read.pop("verbose"))
    wants_help = read.pop("help")
    given = {name: value for name, value in read.items() if value is not None}
    for flag in flags_of(operation):
        if flag.kind is dict and flag.field in given:
            given[flag.field] = _pairs(given[flag.field], prog)
    return given, shared, wants_help


def _add(parser: argparse.ArgumentParser, flag: Flag) -> None:
    if flag.positional:
        # A missing one is told by the caller, which may ask for it on a terminal.
        parser.add_argument(flag.field, nargs="?", choices=flag.choices or None)
    elif flag.kind is bool:
        parser.add_argument(
            *flag.names, dest=flag.field, action=argparse.BooleanOptionalAction, default=None
        )
    elif flag.kind is dict:
        parser.add_argument(*flag.names, dest=flag.field, action="append")
    else:
        kind = flag.kind if flag.kind in (int, float) else str
        parser.add_argument(*flag.names, dest=flag.field, type=kind, choices=flag.choices or None)


def _pairs(words: list[str], prog: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes NAME=VALUE, not {word!r}", prog)
        pairs[name] = value
    return pairs


def command_line(operation: Operation, given: Mapping[str, Any]) -> str:
    """Return the line a user would type for these params, without what is the default anyway."""
    words = ["tunesmith", *operation.name.split("/")]
    for flag in sorted(flags_of(operation), key=lambda flag: not flag.positional):
        value = given.get(flag.field)
        if value in (None, False) or value == flag.default or value == {}:
            continue
        if flag.field == "project" and Path(value).resolve() == Path.cwd():
            continue
        if flag.positional:
            words.append(str(value))
        elif value is True:
            words.append(flag.names[-1])
        elif isinstance(value, dict):
            for name, item in typing.cast("dict[str, str]", value).items():
                words += ["--set", f"{name}={item}"]
        else:
            words += [flag.names[0], str(value)]
    return shlex.join(words)
