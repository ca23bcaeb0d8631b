"""The two consoles: results on stdout, progress and questions on stderr."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from rich.console import Console
from rich.theme import Theme

THEME = Theme(
    {
        "good": "green",
        "bad": "red",
        "warn": "yellow",
        "accent": "cyan",
        "hint": "dim",
        "progress.elapsed": "dim",
    }
)


@dataclass(frozen=True, slots=True)
class Terminal:
    """`is_interactive`: somebody sits there who sees a question and can answer it."""

    out: Console
    err: Console
    is_interactive: bool


def open_terminal() -> Terminal:
    """Look at the process's streams once. NO_COLOR and TERM=dumb are honoured by rich."""
    out = Console(theme=THEME, highlight=False, emoji=False, markup=False, soft_wrap=False)
    err = Console(
        theme=THEME, highlight=False, emoji=False, markup=False, soft_wrap=False, stderr=True
    )
    interactive = sys.stdin.isatty() and err.is_terminal and not os.environ.get("CI")
    return Terminal(out, err, interactive)


def has_unicode(console: Console) -> bool:
    """Whether the stream can carry ticks, arrows and blocks."""
    return console.encoding.lower().replace("-", "").startswith("utf")
