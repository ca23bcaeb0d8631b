"""One resource of a template, bound to its place: its id, its scope, what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azurebox.arm.evaluation import evaluate_json
from azurebox.arm.expressions import ExpressionError
from azurebox.arm.refusals import TemplateError
from azurebox.arm.scope import Scope

DEPLOYMENT_TYPE = "microsoft.resources/deployments"
GROUP_TYPE = "microsoft.resources/resourcegroups"

NOT_BODY = {
    "apiversion",
    "comments",
    "condition",
    "copy",
    "dependson",
    "existing",
    "metadata",
    "name",
    "resourcegroup",
    "scope",
    "subscriptionid",
    "type",
}


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """One resource of a template, a loop's turn being one.

    `key`: its symbolic name (with [index] in a loop), or in an array template its id; lower case.
    `waits_for`: keys of resources that must be there first.
    """

    key: str
    id: str
    type: str
    name: str
    api_version: str
    declaration: dict[str, Any]
    scope: Scope
    path: str
    waits_for: frozenset[str] = frozenset()
    is_existing: bool = False
    is_wanted: bool = True

    @property
    def is_deployment(self) -> bool:
        """Whether it is a nested deployment."""
        return self.type.lower() == DEPLOYMENT_TYPE

    @property
    def is_group(self) -> bool:
        """Whether it is a resource group."""
        return self.type.lower() == GROUP_TYPE

    def body(self, scope: Scope, *, keep_runtime: bool = False) -> dict[str, Any]:
        """Return what is sent to the resource's provider.

        Raises: TemplateError; RuntimeOnly when it needs what only the running deployment has.
        """
        declared = {k: v for k, v in self.declaration.items() if k.lower() not in NOT_BODY}
        return self.evaluate(declared, scope, keep_runtime=keep_runtime)

    def evaluate(self, value: Any, scope: Scope, *, keep_runtime: bool = False) -> Any:
        """Return a part of the declaration with its expressions evaluated.

        Raises: TemplateError; RuntimeOnly when it needs what only the running deployment has.
        """
        try:
            return evaluate_json(value, scope, keep_runtime=keep_runtime)
        except ExpressionError as e:
            raise self.refusal(e) from e

    def refusal(self, error: ExpressionError) -> TemplateError:
        """Return ARM's error for an expression of this resource that has no value."""
        reason = str(error).rstrip(".")
        return TemplateError(
            f"Unable to process template language expressions for resource '{self.id}' at line"
            f" '{{line}}' and column '{{column}}'. '{reason}.'",
            self.path,
        )
