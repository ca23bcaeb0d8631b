"""Every sentence a user reads has a key here; the texts lie beside this file, TOML by language."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, cast


@cache
def _catalogue(language: str) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    for name in (f"{language}.toml", f"{language}.fronts.toml"):
        _merge(texts, tomllib.loads(files(__name__).joinpath(name).read_text("utf-8")))
    return texts


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and key in into:
            _merge(into[key], cast("dict[str, Any]", value))
        else:
            into[key] = value


def text(key: str, /, **values: object) -> str:
    """Return the sentence of `key`, such as "errors.run.unknown.hint", with `values` filled in.

    Raises: KeyError for a key that no catalogue has, a bug of ours.
    """
    node: Any = _catalogue("en")
    for part in key.split("."):
        node = node[part]
    if not isinstance(node, str):
        raise KeyError(key)
    return node.format(**values)
