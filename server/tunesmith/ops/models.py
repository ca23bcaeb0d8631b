"""The model catalogue as operations read it: data beside the code, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tunesmith.core.json_values import items, mapping, words


@cache
def catalogue() -> Mapping[str, Mapping[str, Any]]:
    """Return the catalogue's entries by name."""
    content = json.loads(files("tunesmith.catalog").joinpath("models.json").read_text("utf-8"))
    listed = items(content) or items(mapping(content).get("models"))
    return {words(mapping(m).get("name")): mapping(m) for m in listed}
