"""Every sentence a user reads has a key here; the texts lie beside this file, one TOML a language."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _catalogue(language: str) -> dict[str, Any]:
    return tomllib.loads(files(__name__).joinpath(f"{language}.toml").read_text("utf-8"))


def text(key: str, /, **values: object) -> str:
    """Return the sentence of `key` ("run.started", "errors.run.unknown.hint") with `values` filled in.

    Raises: KeyError for a key that no catalogue has, a bug of ours.
    """
    node: Any = _catalogue("en")
    for part in key.split("."):
        node = node[part]
    if not isinstance(node, str):
        raise KeyError(key)
    return node.format(**values)
