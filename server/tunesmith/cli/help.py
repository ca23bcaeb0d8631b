"""The three levels of help, written by hand: rich is too slow to import here."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

from tunesmith import __version__
from tunesmith.cli.commands import commands
from tunesmith.cli.flags import GLOBAL_FLAGS, Flag, flags_of
from tunesmith.core.messages import text
from tunesmith.ops.registry import Operation

NOUNS = ("project", "infra", "share", "run", "endpoint", "target")
_COLUMN = 22


class _Ink:
    def __init__(self) -> None:
        tty = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._on = tty and not os.environ.get("NO_COLOR")

    def __call__(self, code: str, words: str) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self._on else words

    def head(self, words: str) -> str:
        return self("1", words)

    def name(self, words: str) -> str:
        return self("36", words)

    def dim(self, words: str) -> str:
        return self("2", words)


def top_help() -> str:
    """`tunesmith --help`."""
    ink = _Ink()
    lines = [
        f"{ink.head('tunesmith')} {ink.dim(__version__)}  {text('cli.help.tagline')}",
        "",
        f"{ink.head('Usage')}  tunesmith NOUN VERB [options]",
        "",
        ink.head(text("cli.help.start")),
        _row(ink, "demo", text("cli.help.demo")),
        _row(ink, "doctor", commands()["doctor"].summary),
    ]
    for noun in NOUNS:
        lines += ["", ink.head(text(f"cli.nouns.{noun}"))]
        lines += [_row(ink, op.name.replace("/", " "), op.summary) for op in _verbs(noun)]
    lines += [
        "",
        ink.head(text("cli.help.editor")),
        _row(ink, "lsp", text("cli.help.lsp")),
        "",
        *_everywhere(ink),
        _row(ink, "--version", text("cli.help.version")),
        "",
        ink.dim(text("cli.help.more")),
    ]
    return "\n".join(lines) + "\n"


def noun_help(noun: str) -> str:
    """`tunesmith run --help`."""
    ink = _Ink()
    lines = [
        f"{ink.head('Usage')}  tunesmith {noun} VERB [options]",
        "",
        ink.head(text(f"cli.nouns.{noun}")),
        *(_row(ink, op.name.partition("/")[2], op.summary) for op in _verbs(noun)),
        "",
        *_everywhere(ink),
    ]
    return "\n".join(lines) + "\n"


def operation_help(operation: Operation, form: Sequence[tuple[str, str]] = ()) -> str:
    """`tunesmith run start --help`; `form` lists names and labels for --set."""
    flags = flags_of(operation)
    rows = [flag for flag in flags if flag.positional]
    options = [flag for flag in flags if not flag.positional]
    name = operation.name.replace("/", " ")
    return command_help(name, operation.summary, rows, options, form)


def command_help(
    command: str,
    summary: str,
    rows: list[Flag],
    options: list[Flag],
    form: Sequence[tuple[str, str]] = (),
) -> str:
    """The help of one command; `rows` are its positional arguments."""
    ink = _Ink()
    words = [flag.field.upper() if flag.required else f"[{flag.field.upper()}]" for flag in rows]
    lines = [
        f"{ink.head('Usage')}  {' '.join(['tunesmith', command, *words, '[options]'])}",
        "",
        summary,
    ]
    if rows:
        lines += ["", ink.head(text("cli.help.arguments"))]
        lines += [_row(ink, flag.field.upper(), _about(flag)) for flag in rows]
    if options:
        lines += ["", ink.head(text("cli.help.options"))]
        lines += [_row(ink, _names(flag), _about(flag)) for flag in options]
    if form:
        lines += ["", ink.head(text("cli.form.fields"))]
        lines += [_row(ink, name, label) for name, label in form]
    lines += ["", *_everywhere(ink)]
    return "\n".join(lines) + "\n"


def _verbs(noun: str) -> list[Operation]:
    return [op for name, op in commands().items() if name.startswith(noun + "/")]


def _everywhere(ink: _Ink) -> list[str]:
    rows = [_row(ink, ", ".join(names), about) for names, about in GLOBAL_FLAGS]
    return [ink.head(text("cli.help.everywhere")), *rows]


def _names(flag: Flag) -> str:
    names = ", ".join(flag.names)
    return names if flag.kind is bool else f"{names} {flag.metavar}"


def _about(flag: Flag) -> str:
    about = flag.help
    if flag.choices:
        about += f" ({', '.join(flag.choices)})"
    if flag.default not in (None, False, ".") and "default" not in about:
        about += f" [{flag.default}]"
    return about


def _row(ink: _Ink, name: str, about: str) -> str:
    width = max(shutil.get_terminal_size().columns, 60)
    body = textwrap.wrap(about, width - _COLUMN - 4) or [""]
    gap = " " * max(_COLUMN - len(name), 2)
    if len(name) > _COLUMN - 2:
        gap = "\n" + " " * (_COLUMN + 2)
    rest = "".join("\n" + " " * (_COLUMN + 2) + line for line in body[1:])
    return f"  {ink.name(name)}{gap}{body[0]}{rest}"
