"""Subscription-level reads: subscriptions, resource providers and their registration, quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from azurebox.errors import ArmError
from azurebox.front import Router, json_answer, json_body
from azurebox.providers.common import JsonObject
from azurebox.providers.environments import ENVIRONMENT
from azurebox.providers.registry import ProviderTable
from azurebox.state import Identity
from azurebox.store import ResourceStore


@dataclass(frozen=True, slots=True)
class _Profile:
    name: str
    category: str
    cores: int
    memory_gib: int
    gpus: int = 0


# Source: recorded answer for eastus, and learn.microsoft.com on serverless GPUs (November 2026).
_PROFILES: Sequence[_Profile] = (
    _Profile("D4", "GeneralPurpose", 4, 16),
    _Profile("D8", "GeneralPurpose", 8, 32),
    _Profile("D16", "GeneralPurpose", 16, 64),
    _Profile("D32", "GeneralPurpose", 32, 128),
    _Profile("E4", "MemoryOptimized", 4, 32),
    _Profile("E8", "MemoryOptimized", 8, 64),
    _Profile("E16", "MemoryOptimized", 16, 128),
    _Profile("E32", "MemoryOptimized", 32, 256),
    _Profile("Consumption", "Consumption", 4, 8),
    _Profile("NC24-A100", "GPU-NC-A100", 24, 220, 1),
    _Profile("NC48-A100", "GPU-NC-A100", 48, 440, 2),
    _Profile("NC96-A100", "GPU-NC-A100", 96, 880, 4),
    _Profile("Consumption-GPU-NC24-A100", "Consumption-GPU-NC24-A100", 24, 220, 1),
    _Profile("Consumption-GPU-NC8as-T4", "Consumption-GPU-NC8as-T4", 8, 56, 1),
)


def mount(
    router: Router, providers: ProviderTable, store: ResourceStore, identity: Identity
) -> None:
    """Add the routes."""
    reads = _SubscriptionReads(providers, store, identity)
    sub = "/subscriptions/{sub}"
    router.add("GET", "/subscriptions", reads.subscriptions)
    router.add("GET", "/tenants", reads.tenants)
    router.add("GET", sub, reads.subscription)
    router.add("GET", sub + "/providers", reads.namespaces)
    router.add("GET", sub + "/providers/{namespace}", reads.namespace)
    router.add("POST", sub + "/providers/{namespace}/register", reads.namespace)
    app = sub + "/providers/Microsoft.App/locations/{location}"
    router.add("GET", app + "/usages", reads.usages)
    router.add(
        "GET", app + "/availableManagedEnvironmentsWorkloadProfileTypes", reads.workload_profiles
    )
    environment = sub + "/resourceGroups/{group}/providers/Microsoft.App/managedEnvironments/{name}"
    router.add("GET", environment + "/usages", reads.environment_usages)
    router.add(
        "POST", sub + "/providers/Microsoft.Storage/checkNameAvailability", reads.account_name
    )


class _SubscriptionReads:
    def __init__(self, providers: ProviderTable, store: ResourceStore, identity: Identity) -> None:
        self._providers = providers
        self._store = store
        self._identity = identity

    async def subscriptions(self, request: web.Request) -> web.StreamResponse:
        """The one subscription there is."""
        return json_answer({"value": [self._subscription()]})

    async def tenants(self, request: web.Request) -> web.StreamResponse:
        """The one tenant there is."""
        tenant = self._identity.tenant_id
        return json_answer({"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant}]})

    async def subscription(self, request: web.Request, sub: str) -> web.StreamResponse:
        """The subscription by id."""
        return json_answer(self._subscription())

    async def namespaces(self, request: web.Request, sub: str) -> web.StreamResponse:
        """All resource providers; all are registered."""
        names = ["Microsoft.Resources", *self._providers.namespaces()]
        return json_answer({"value": [self._namespace(sub, n) for n in names]})

    async def namespace(self, request: web.Request, sub: str, namespace: str) -> web.StreamResponse:
        """One resource provider; to register it changes nothing."""
        names = ["Microsoft.Resources", *self._providers.namespaces()]
        found = [n for n in names if n.lower() == namespace.lower()]
        if not found:
            raise ArmError(
                404,
                "InvalidResourceNamespace",
                f"The resource namespace '{namespace}' is invalid.",
            )
        return json_answer(self._namespace(sub, found[0]))

    async def usages(self, request: web.Request, sub: str, location: str) -> web.StreamResponse:
        """How many environments there are, against a limit that is the service's default."""
        count = sum(1 for _ in self._store.list(type=ENVIRONMENT))
        return json_answer(
            {"value": [_usage("ManagedEnvironmentCount", "Managed Environment Count", count, 40)]}
        )

    async def environment_usages(
        self, request: web.Request, sub: str, group: str, name: str
    ) -> web.StreamResponse:
        """Core quotas of an environment; nothing is counted here."""
        kinds = (
            ("GeneralPurpose", "General Purpose", 100),
            ("MemoryOptimized", "Memory Optimized", 50),
        )
        rows = [
            _usage(f"ManagedEnvironment{k}Cores", f"Managed Environment {t} Cores", 0, limit)
            for k, t, limit in (*kinds, ("Consumption", "Consumption", 100))
        ]
        return json_answer({"value": rows})

    async def workload_profiles(
        self, request: web.Request, sub: str, location: str
    ) -> web.StreamResponse:
        """The workload profiles one may choose from."""
        kind = "availableManagedEnvironmentsWorkloadProfileTypes"
        rows: list[JsonObject] = []
        for profile in _PROFILES:
            properties: JsonObject = {
                "displayName": profile.name
                if profile.name.startswith("Consumption")
                else f"Dedicated-{profile.name}",
                "category": profile.category,
                "cores": profile.cores,
                "memoryGiB": profile.memory_gib,
            }
            if profile.gpus:
                properties["gpus"] = profile.gpus
            rows.append(
                {
                    "location": location,
                    "properties": properties,
                    "id": f"/subscriptions/{sub}/providers/Microsoft.App/{kind}/{profile.name}",
                    "name": profile.name,
                    "type": f"Microsoft.App/{kind}",
                }
            )
        return json_answer({"value": rows})

    async def account_name(self, request: web.Request, sub: str) -> web.StreamResponse:
        """Whether a storage account name is free."""
        name = str((await json_body(request)).get("name", "")).lower()
        accounts = self._store.list(type="Microsoft.Storage/storageAccounts")
        if any(r.id.name.lower() == name for r in accounts):
            return json_answer(
                {
                    "nameAvailable": False,
                    "reason": "AlreadyExists",
                    "message": f"The storage account named {name} is already taken.",
                }
            )
        return json_answer({"nameAvailable": True})

    def _subscription(self) -> JsonObject:
        sub = self._identity.subscription_id
        return {
            "id": f"/subscriptions/{sub}",
            "subscriptionId": sub,
            "tenantId": self._identity.tenant_id,
            "displayName": "azurebox on this machine",
            "state": "Enabled",
        }

    def _namespace(self, sub: str, namespace: str) -> JsonObject:
        types = self._providers.namespaces().get(namespace, [])
        return {
            "id": f"/subscriptions/{sub}/providers/{namespace}",
            "namespace": namespace,
            "registrationPolicy": "RegistrationRequired",
            "registrationState": "Registered",
            "resourceTypes": [{"resourceType": t, "locations": []} for t in types],
        }


def _usage(name: str, text: str, current: int, limit: int) -> JsonObject:
    return {
        "name": {"value": name, "localizedValue": text},
        "usage": current,
        "currentValue": current,
        "limit": limit,
    }
