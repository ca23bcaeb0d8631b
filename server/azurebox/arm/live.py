"""Live resources for expressions: reference reads at once, list* is awaited and tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.records import DEPLOYMENT_TYPE, Deployments, Groups, show_deployment
from azurebox.arm.scope import Scope
from azurebox.providers.base import Providers
from azurebox.providers.common import not_found
from azurebox.resource_id import ResourceId

T = TypeVar("T")


class _Missing(Exception):
    """An answer that has to be awaited first."""

    def __init__(self, key: tuple[str, str, str, str]) -> None:
        super().__init__(key)
        self.key = key


class LiveResources:
    """The runtime of one evaluation: answers of list functions are asked for once.

    Expressions are evaluated without awaiting. Where one calls a list function, `evaluate` stops,
    awaits the answer and begins again; expressions have no effects, so this changes nothing.
    """

    def __init__(self, providers: Providers, deployments: Deployments, groups: Groups) -> None:
        self._providers = providers
        self._deployments = deployments
        self._groups = groups
        self._answers: dict[tuple[str, str, str, str], Any] = {}

    def attach(self, scope: Scope) -> Scope:
        """Return the scope with live resources in it."""
        return replace(scope, runtime=self)

    async def evaluate(self, compute: Callable[[], T]) -> T:
        """Return compute(), every list function in it answered. Raises: what compute raises."""
        while True:
            try:
                return compute()
            except _Missing as missing:
                id, action, version, body = missing.key
                resource = _parse(id)
                provider = self._providers.of(resource.type)
                self._answers[missing.key] = await provider.action(
                    resource, action, json.loads(body), version
                )

    def reference(self, id: str, api_version: str | None) -> dict[str, Any]:
        """Return a resource, a deployment or a group as GET shows it."""
        parts = id.strip("/").split("/")
        if len(parts) == 4 and parts[2].lower() == "resourcegroups":
            return self._groups.require(parts[1], parts[3])
        resource = _parse(id)
        if resource.type.lower() == DEPLOYMENT_TYPE.lower():
            return show_deployment(self._deployments.require(resource))
        found = self._providers.of(resource.type).get(resource, api_version or "")
        if found is None:
            raise not_found(resource)
        return found

    def call(self, id: str, action: str, api_version: str, body: Any) -> Any:
        """Return the answer of POST id/action, or stop the evaluation to await it."""
        key = (id, action, api_version, json.dumps(body, sort_keys=True))
        if key not in self._answers:
            raise _Missing(key)
        return self._answers[key]


def _parse(id: str) -> ResourceId:
    try:
        return ResourceId.parse(id)
    except ValueError as e:
        raise ExpressionError(f"The resource identifier '{id}' is malformed.") from e
