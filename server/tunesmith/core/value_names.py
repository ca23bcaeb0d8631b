"""How a value found in a JSON file is told to its author: as it stands there, cut when long."""

from __future__ import annotations

import json
from collections.abc import Iterable

SHOWN_CHARS = 60


def found(value: object) -> str:
    """Return a value as JSON, at most SHOWN_CHARS characters of it."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= SHOWN_CHARS else shown[: SHOWN_CHARS - 3] + "..."


def listed(values: Iterable[object]) -> str:
    """Return values as JSON with commas between them."""
    return ", ".join(json.dumps(v, ensure_ascii=False, default=str) for v in values)
