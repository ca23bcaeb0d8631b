"""What an expression can see: names, the deployment it belongs to, and the live resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from azurebox.arm.expressions import ExpressionError, Node


class RuntimeOnly(Exception):
    """The value exists only while the deployment runs (reference, list*), and it does not yet."""


class Runtime(Protocol):
    """The live resources, as `reference` and the `list*` functions see them.

    Raises: RuntimeOnly when there is no running deployment; ExpressionError or ArmError when the
    resource cannot be read.
    """

    def reference(self, id: str, api_version: str | None) -> dict[str, Any]:
        """Return the whole resource, as GET shows it."""
        ...

    def call(self, id: str, action: str, api_version: str, body: Any) -> Any:
        """Return the answer to POST id/action."""
        ...


class NoRuntime:
    """Stands in before a deployment runs."""

    def reference(self, id: str, api_version: str | None) -> dict[str, Any]:
        """Refuse: nothing runs yet."""
        raise RuntimeOnly(id)

    def call(self, id: str, action: str, api_version: str, body: Any) -> Any:
        """Refuse: nothing runs yet."""
        raise RuntimeOnly(id)


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a name that a template gives to one of its resources stands for."""

    id: str
    type: str
    name: str
    api_version: str


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """Where a deployment happens, for deployment(), resourceGroup(), subscription(), ...

    `group` is the resource group as GET shows it, None for a deployment to a subscription.
    """

    name: str
    subscription_id: str
    tenant_id: str
    group: dict[str, Any] | None
    location: str
    template: dict[str, Any] = field(default_factory=dict[str, Any])
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    environment: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def group_name(self) -> str:
        """Name of the resource group; raises when there is none."""
        if self.group is None:
            raise ExpressionError(
                "The template function 'RESOURCEGROUP' is not expected at this location."
            )
        return self.group["name"]


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function that the template defines."""

    parameters: tuple[str, ...]
    output: Any


class Names:
    """Parameters or variables: evaluated when first asked for, looked up without regard to case."""

    def __init__(self, kind: str, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._kind = kind
        self._makers = {name.lower(): make for name, make in makers.items()}
        self._known: dict[str, Any] = {}
        self._open: set[str] = set()
        self.names = list(makers)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._makers

    def __getitem__(self, name: str) -> Any:
        key = name.lower()
        if key in self._known:
            return self._known[key]
        if key not in self._makers:
            raise ExpressionError(
                f"The template {self._kind} '{name}' is not found. Please see"
                f" https://aka.ms/arm-syntax-{self._kind}s for usage details."
            )
        if key in self._open:
            raise ExpressionError(
                f"The template {self._kind} '{name}' cannot reference itself: "
                "circular references are not supported."
            )
        self._open.add(key)
        try:
            self._known[key] = self._makers[key]()
        finally:
            self._open.discard(key)
        return self._known[key]


_NO_PARAMETERS = Names("parameter", {})
_NO_VARIABLES = Names("variable", {})


@dataclass(frozen=True, slots=True)
class Scope:
    """All that an expression can see. A lambda or a copy loop sees a changed copy.

    `copies`: loop name in lower case -> index; "" is the innermost loop.
    `symbols`: the template's resources by name, None while their own names are being made.
    `in_default`: the expression is a parameter's default, where newGuid and utcNow are allowed.
    """

    facts: DeploymentFacts
    parameters: Names = _NO_PARAMETERS
    variables: Names = _NO_VARIABLES
    functions: Mapping[str, UserFunction] = field(default_factory=dict[str, UserFunction])
    symbols: Mapping[str, Symbol] | None = None
    groups_of_symbols: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    runtime: Runtime = field(default_factory=NoRuntime)
    lambdas: Mapping[str, Any] = field(default_factory=dict[str, Any])
    copies: Mapping[str, int] = field(default_factory=dict[str, int])
    in_default: bool = False


Evaluate = Callable[[Node, Scope], Any]
Function = Callable[[Scope, tuple[Node, ...], Evaluate], Any]
