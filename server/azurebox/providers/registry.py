"""All resource types of this azurebox, by name."""

from __future__ import annotations

from collections.abc import Iterable

from azurebox.errors import ArmError
from azurebox.providers.base import Provider


class ProviderTable:
    """Implements `Providers`; types compare without regard to case."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._by_type = {p.type.lower(): p for p in providers}

    def of(self, type: str) -> Provider:
        """Raises: ArmError(400, "InvalidResourceType") for a type that nobody provides."""
        provider = self._by_type.get(type.lower())
        if provider is None:
            namespace, _, rest = type.partition("/")
            raise ArmError(
                400,
                "InvalidResourceType",
                f"The resource type '{rest}' could not be found in the namespace '{namespace}'"
                " of this azurebox.",
                headers={"x-ms-failure-cause": "gateway"},
            )
        return provider

    def find(self, type: str) -> Provider | None:
        """Return the provider, None when there is none."""
        return self._by_type.get(type.lower())

    def namespaces(self) -> dict[str, list[str]]:
        """Resource types below each namespace, in canonical spelling."""
        found: dict[str, list[str]] = {}
        for provider in self._by_type.values():
            namespace, _, rest = provider.type.partition("/")
            found.setdefault(namespace, []).append(rest)
        return found
