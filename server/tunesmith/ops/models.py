"""The model catalogue as operations read it: data beside the code, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tunesmith.core.json_values import items, mapping, words

BUNDLED = "smollm2-135m-instruct"
"""The model that comes as a package and needs no hub."""


@cache
def catalogue() -> Mapping[str, Mapping[str, Any]]:
    """Return the catalogue's entries by name."""
    file = files("tunesmith.catalog").joinpath("models.json")
    if not file.is_file():
        return {BUNDLED: {"name": BUNDLED, "source": "wheel"}}
    content = json.loads(file.read_text("utf-8"))
    listed = items(content) or items(mapping(content).get("models"))
    return {words(mapping(m).get("name")): mapping(m) for m in listed}
