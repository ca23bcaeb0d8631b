"""infra/*.config.json and *.parameters.json: what was provisioned, and what is asked for.

All keys of a config file are null before provisioning. The deployment's outputs fill them; COMMANDS
edited by hand are kept, as are keys of the user's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.json_values import at, items, mapping, words

Kind = Literal["finetuning", "inference"]
KINDS: tuple[Kind, ...] = ("finetuning", "inference")

_COMMON = ("SUBSCRIPTION_ID", "RESOURCE_GROUP_NAME", "STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME")
KEYS: Mapping[Kind, tuple[str, ...]] = {
    "finetuning": (*_COMMON, "ACA_JOB_NAME"),
    "inference": (*_COMMON, "ACA_APP_NAME", "ACA_APP_ENDPOINT"),
}
"""The keys that must be filled for a kind to count as provisioned."""


def config_file(kind: Kind) -> str:
    """Return a kind's config file, relative to the project."""
    return f"infra/{kind}.config.json"


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Names of what is provisioned, out of a filled config file; "" for what a kind lacks."""

    subscription: str
    group: str
    account: str
    share: str
    job: str
    app: str
    commands: tuple[str, ...]


def provisioned(kind: Kind, config: Mapping[str, Any]) -> Provisioned | None:
    """Read a config file's content; None while a key that the kind needs is null or no text."""
    if not all(words(config.get(key)) for key in KEYS[kind]):
        return None
    return Provisioned(
        subscription=config["SUBSCRIPTION_ID"],
        group=config["RESOURCE_GROUP_NAME"],
        account=config["STORAGE_ACCOUNT_NAME"],
        share=config["FILE_SHARE_NAME"],
        job=words(config.get("ACA_JOB_NAME")),
        app=words(config.get("ACA_APP_NAME")),
        commands=tuple(words(c) for c in items(config.get("COMMANDS")) if words(c)),
    )


def merge_outputs(
    config: Mapping[str, Any], outputs: Mapping[str, Any], previous: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the config file's new content.

    `previous`: the outputs that the last provisioning wrote. COMMANDS that differ from it were
    edited by hand and stay; without a previous one, filled COMMANDS count as edited.
    """
    merged = {**config, **outputs}
    edited = items(config.get("COMMANDS"))
    was = items((previous or {}).get("COMMANDS"))
    if edited and edited != was:
        merged["COMMANDS"] = edited
    return merged


def cleared(config: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """Return the content after everything was taken down: names null, COMMANDS as they are."""
    names = {*KEYS[kind], "LOG_ANALYTICS_NAME"}
    return {key: None if key in names else value for key, value in config.items()}


def deployment_parameters(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a parameters file without the null ones, which mean "the default".

    ARM refuses a null value ("The value of deployment parameter ... is null").
    """
    parameters = mapping(content.get("parameters"))
    values = {name: at(entry, "value") for name, entry in parameters.items()}
    return {name: value for name, value in values.items() if value is not None}


def known_parameters(
    values: Mapping[str, Any], template: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Split values into those that the template declares and the names of the others."""
    declared = {name.lower(): name for name in mapping(template.get("parameters"))}
    known = {declared[n.lower()]: v for n, v in values.items() if n.lower() in declared}
    return known, [name for name in values if name.lower() not in declared]


def upper_outputs(outputs: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """Give outputs the names of the template back: the service lowers the first letter."""
    declared = {name.lower(): name for name in mapping(template.get("outputs"))}
    return {declared.get(name.lower(), name): value for name, value in outputs.items()}


def to_json(value: Mapping[str, Any]) -> bytes:
    """Return a config file's bytes: two spaces, UTF-8, a line break at the end."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
