"""From a container template to what the runtime starts: checks, secrets, volumes, environment."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from azurebox.errors import ArmError
from azurebox.providers.common import JsonObject, items, section
from azurebox.providers.environments import EnvironmentStorages
from azurebox.runtime.base import ContainerSpec, Mount

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,58}[a-z0-9])?")
_SUFFIX_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Secrets:
    """An app's or job's secrets: `values` by name, and what GET may show of them."""

    values: dict[str, str]

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.values)})"

    @classmethod
    def read(cls, configuration: JsonObject, known: Mapping[str, str]) -> Secrets:
        """Take the secrets of a PUT or PATCH; an entry without a value keeps the known one.

        Raises: ArmError(400, "ContainerAppSecretInvalid") for an entry that has no value at all.
        """
        values: dict[str, str] = {}
        for entry in items(configuration, "secrets"):
            name = str(entry.get("name", ""))
            value = entry.get("value")
            if value is None:
                value = known.get(name)
            if not name or not isinstance(value, str):
                raise ArmError(
                    400,
                    "ContainerAppSecretInvalid",
                    f"Invalid Request: the secret '{name}' has no value.",
                )
            values[name] = value
        return cls(values)

    def shown(self) -> list[JsonObject] | None:
        """The names alone, null when there are none."""
        return [{"name": name} for name in self.values] or None

    def listed(self) -> JsonObject:
        """The answer to listSecrets."""
        return {"value": [{"name": n, "value": v} for n, v in self.values.items()]}


def check_name(kind: str, name: str) -> None:
    """Raises: ArmError(400) for a name the service would not take."""
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?", name) or "--" in name:
        raise ArmError(
            400,
            f"{kind}InvalidName",
            f"Invalid name '{name}'. A name must consist of lower case alphanumeric characters or"
            " '-', start with an alphabetic character, end with an alphanumeric character, cannot"
            " have '--', and be less than 32 characters.",
        )


def check_template(template: JsonObject, values: Mapping[str, str]) -> None:
    """Refuse a template that could never run.

    Raises: ArmError(400) naming the container and the field.
    """
    containers = items(template, "containers")
    if not containers:
        raise ArmError(
            400,
            "ContainerAppContainersRequired",
            "The template needs at least one container.",
        )
    volumes = {str(v.get("name")) for v in items(template, "volumes")}
    for container in [*containers, *items(template, "initContainers")]:
        name = str(container.get("name") or "")
        if not _NAME.fullmatch(name):
            raise _invalid(name, "name", f"'{name}' is no container name")
        if not container.get("image"):
            raise _invalid(name, "image", "it is missing")
        for entry in items(container, "env"):
            if not isinstance(entry.get("name"), str) or not entry["name"]:
                raise _invalid(name, "env", "an environment variable has no name")
            reference = entry.get("secretRef")
            if reference and str(reference) not in values:
                raise ArmError(
                    400,
                    "ContainerAppSecretRefNotFound",
                    f"SecretRef '{reference}' defined for container '{name}' not found.",
                )
        for mount in items(container, "volumeMounts"):
            if str(mount.get("volumeName")) not in volumes:
                raise _invalid(
                    name, "volumeMounts", f"volume '{mount.get('volumeName')}' is not defined"
                )
            if not str(mount.get("mountPath", "")).startswith("/"):
                raise _invalid(name, "volumeMounts", "mountPath must be an absolute path")


def normal_template(template: JsonObject) -> JsonObject:
    """The template as the service stores it: ephemeralStorage filled in, no null fields."""
    containers = [_normal_container(c) for c in items(template, "containers")]
    init = [_normal_container(c) for c in items(template, "initContainers")]
    return {
        **{k: v for k, v in template.items() if v is not None},
        "containers": containers,
        "initContainers": init or None,
        "volumes": items(template, "volumes") or None,
    }


def make_spec(
    container: JsonObject,
    *,
    name: str,
    template: JsonObject,
    environment_id: str,
    storages: EnvironmentStorages,
    secret_values: Mapping[str, str],
    extra_env: Mapping[str, str],
) -> ContainerSpec:
    """What the runtime starts for one container of the template.

    Raises: ArmError(400) when a volume cannot be mounted, in words for the container's status.
    """
    env: dict[str, str] = {}
    for entry in items(container, "env"):
        reference = entry.get("secretRef")
        value = secret_values.get(str(reference), "") if reference else entry.get("value")
        env[str(entry["name"])] = str(value or "")
    env |= extra_env
    volumes = {str(v["name"]): v for v in items(template, "volumes")}
    mounts: list[Mount] = []
    for mount in items(container, "volumeMounts"):
        volume = volumes[str(mount["volumeName"])]
        kind = str(volume.get("storageType", "EmptyDir"))
        if kind.lower() != "azurefile":
            continue  # an EmptyDir is a folder of the container's own, which it has anyway
        folder, _ = storages.folder(environment_id, str(volume.get("storageName", "")))
        sub_path = PurePosixPath(str(mount.get("subPath") or "."))
        if ".." in sub_path.parts or sub_path.is_absolute():
            raise ArmError(400, "VolumeMountFailure", f"The subPath '{sub_path}' leaves its share.")
        folder = folder / sub_path
        folder.mkdir(parents=True, exist_ok=True)
        mounts.append(Mount(folder, str(mount["mountPath"])))
    return ContainerSpec(
        name=name,
        image=str(container["image"]),
        command=_words(container, "command"),
        args=_words(container, "args"),
        env=env,
        mounts=mounts,
    )


def random_suffix(length: int) -> str:
    """Letters and digits as in the service's execution and revision names."""
    return "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(length))


def _words(container: JsonObject, key: str) -> list[str]:
    value = container.get(key)
    return [str(w) for w in cast(list[Any], value)] if isinstance(value, list) else []


def _normal_container(container: JsonObject) -> JsonObject:
    shown = {k: v for k, v in container.items() if v is not None}
    resources = dict(section(container, "resources"))
    cpu = float(resources.get("cpu") or 0.5)
    resources["cpu"] = cpu
    resources.setdefault("memory", f"{cpu * 2:g}Gi")
    # Source: recorded answers (1Gi at 0.25 cpu, 2Gi at 0.5) and the service's documentation.
    storage = "1Gi" if cpu <= 0.25 else "2Gi" if cpu <= 0.5 else "4Gi" if cpu <= 1 else "8Gi"
    if not resources.get("ephemeralStorage"):
        resources["ephemeralStorage"] = storage
    return {"imageType": "ContainerImage", **shown, "resources": resources}


def _invalid(container: str, field: str, why: str) -> ArmError:
    return ArmError(
        400,
        "InvalidParameterValueInContainerTemplate",
        "The following field(s) are either invalid or missing. Field"
        f" 'template.containers.{container}.{field}' is invalid with details: '{why}'.",
    )
