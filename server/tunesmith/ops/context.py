"""What an operation gets beside its params. A front builds one per call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.reporter import Reporter


@dataclass(frozen=True, slots=True)
class Context:
    """`home`: the user's state folder (TUNESMITH_HOME), `cache`: what can be made again
    (TUNESMITH_CACHE)."""

    reporter: Reporter
    home: Path
    cache: Path
