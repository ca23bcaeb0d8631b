"""Runs the command line in this process against operations that a test puts in place."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from rich.console import Console
from tunesmith.cli.__main__ import main
from tunesmith.cli.terminal import Terminal
from tunesmith.ops import OPERATIONS


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class Bench:
    """`answer("run/list", f)` lets `f(ctx, params)` stand for the operation; `run` types a line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = monkeypatch
        self._capsys = capsys
        self.calls: list[tuple[str, Any]] = []

    def answer(self, name: str, function: Callable[[Any, Any], Any]) -> None:
        async def run(ctx: Any, params: Any) -> Any:
            self.calls.append((name, params))
            result = function(ctx, params)
            return await result if isinstance(result, Awaitable) else result

        self._patch.setitem(OPERATIONS, name, replace(OPERATIONS[name], run=run))

    def run(self, *words: str) -> Ended:
        self._capsys.readouterr()
        code = main(words)
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)


def text_terminal(width: int = 120) -> tuple[Terminal, io.StringIO, io.StringIO]:
    """A terminal that is none: plain text into buffers."""
    out, err = io.StringIO(), io.StringIO()
    from tunesmith.cli.terminal import THEME

    def console(file: io.StringIO) -> Console:
        return Console(file=file, theme=THEME, width=width, highlight=False, markup=False)

    return Terminal(console(out), console(err), False), out, err
