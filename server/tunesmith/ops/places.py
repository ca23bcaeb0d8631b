"""Where Tunesmith keeps things on this machine, and the context that a front makes from it."""

from __future__ import annotations

import os
from pathlib import Path

from tunesmith.core.reporter import Reporter
from tunesmith.ops.context import Context


def user_home() -> Path:
    """State that must survive: TUNESMITH_HOME, else the system's place for state."""
    return _place("TUNESMITH_HOME", "user_state_path")


def user_cache() -> Path:
    """What can be made again: TUNESMITH_CACHE, else the system's place for caches."""
    return _place("TUNESMITH_CACHE", "user_cache_path")


def context_for(reporter: Reporter) -> Context:
    """Return the context of one call."""
    return Context(reporter, user_home(), user_cache())


def _place(variable: str, function: str) -> Path:
    if value := os.environ.get(variable):
        return Path(value).expanduser().resolve()
    import platformdirs

    path: Path = getattr(platformdirs, function)("tunesmith", appauthor=False)
    return path
