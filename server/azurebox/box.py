"""One azurebox, put together: store, providers, routes, runtime.

Everything is made here and handed on; nothing in azurebox is global.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from azurebox import control
from azurebox.arm import deployments
from azurebox.entra import routes as entra_routes
from azurebox.entra.tokens import SigningKey, Tokens
from azurebox.errors import ArmError
from azurebox.faults import Faults
from azurebox.files.app import make_files_app
from azurebox.front import Router, client_gone
from azurebox.images.images import Images
from azurebox.operations import Operations
from azurebox.pages import Pages
from azurebox.providers import routes as resource_routes
from azurebox.providers import subscriptions
from azurebox.providers.addresses import Addresses
from azurebox.providers.app_revisions import AppReplicas, AppRevisions
from azurebox.providers.apps import ContainerApps
from azurebox.providers.common import JsonObject
from azurebox.providers.environments import Environments, EnvironmentStorages
from azurebox.providers.executions import Executions
from azurebox.providers.insights import Workspaces
from azurebox.providers.job_executions import JobExecutions, JobReplicas
from azurebox.providers.jobs import Jobs
from azurebox.providers.log_streams import LogStreams
from azurebox.providers.log_tokens import LogTokens
from azurebox.providers.registry import ProviderTable
from azurebox.providers.revisions import Revisions
from azurebox.providers.shares import Shares
from azurebox.providers.storage import AccountKeys, FileServices, StorageAccounts
from azurebox.resource_id import ResourceId
from azurebox.runtime.ingress import HttpIngress
from azurebox.runtime.processes import ProcessRuntime
from azurebox.state import Identity, StateFolder
from azurebox.store import ResourceStore

DEFAULT_LOCATION = "eastus"


class Box:
    """The parts and how they are joined. Made inside the running event loop."""

    def __init__(
        self, folder: StateFolder, cache: Path, identity: Identity, addresses: Addresses
    ) -> None:
        self.stop = asyncio.Event()
        """Set by whoever wants azurebox to end."""
        self._folder = folder
        self._started_at = time.monotonic()
        self._files_asked_at = self._started_at
        self._store = ResourceStore(folder.store_file)
        self._images = Images(cache)
        self._runtime = ProcessRuntime(folder.containers, self._images)
        self._ingress = HttpIngress(folder.root)
        self._faults = Faults()
        self._operations = Operations()
        key = SigningKey.load(folder.keys / "tokens.key")
        self._tokens = Tokens(key, identity)
        self._router = Router(self._tokens, self._faults, identity.subscription_id)

        store = self._store
        self._account_keys = AccountKeys(store)
        shares = Shares(store, folder.files)
        storages = EnvironmentStorages(store, self._account_keys, shares)
        log_tokens = LogTokens()
        self._executions = Executions(store, self._runtime, storages)
        self._revisions = Revisions(store, self._runtime, storages, self._on_revision)
        self._apps = ContainerApps(store, self._revisions, self._ingress, log_tokens, addresses)
        providers = ProviderTable(
            (
                StorageAccounts(store, self._account_keys, folder.files, addresses.files_url),
                FileServices(store),
                shares,
                Workspaces(store),
                Environments(store, addresses),
                storages,
                Jobs(store, self._executions, log_tokens, addresses),
                JobExecutions(store, self._executions, self._runtime),
                JobReplicas(store, self._executions, self._runtime, addresses),
                self._apps,
                AppRevisions(store, self._revisions),
                AppReplicas(store, self._revisions, addresses),
            )
        )
        self._resources = deployments.mount(
            self._router, store, providers, DEFAULT_LOCATION, tenant_id=identity.tenant_id
        )
        entra_routes.mount(self._router, identity, key, self._tokens)
        resource_routes.mount(self._router, providers, self._operations, self._check_group)
        subscriptions.mount(self._router, providers, store, identity)
        LogStreams(
            store,
            self._runtime,
            self._executions,
            self._revisions,
            log_tokens,
        ).mount(self._router)
        Pages(store, providers, identity).mount(self._router)
        control.mount(
            self._router,
            faults=self._faults,
            tokens=self._tokens,
            health=self.health,
            shutdown=self.stop,
            stop_all=self.stop_containers,
        )

    def arm_app(self) -> web.Application:
        """What both the https and the http listener of ARM answer with."""
        return self._router.app()

    def files_app(self) -> web.Application:
        """Azure Files."""
        app = make_files_app(self._folder.files, self._account_keys, self._tokens.opens_storage)

        @web.middleware
        async def note_time(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._files_asked_at = time.monotonic()
            try:
                return await handler(request)
            except ConnectionError:
                return client_gone()

        app.middlewares.append(note_time)
        return app

    async def start(self) -> None:
        """Take up what lived on while azurebox was away."""
        await self._apps.adopt()
        self._executions.adopt()
        self._resources.adopt()

    async def close(self) -> None:
        """Let go of everything; containers go on."""
        await self._executions.close()
        await self._revisions.close()
        await self._apps.close()
        await self._resources.close()
        await self._ingress.aclose()
        await self._images.aclose()
        self._store.close()

    async def stop_containers(self) -> None:
        """End every execution and stop every app's containers; apps stay deployed."""
        await self._executions.stop_all()
        await self._revisions.halt_all()

    @property
    def last_request_at(self) -> float:
        """Monotonic seconds of the latest request to ARM or Azure Files."""
        return max(self._router.last_request_at, self._files_asked_at)

    def is_busy(self) -> bool:
        """Whether something runs for whose sake azurebox must stay."""
        return (
            self._executions.is_busy()
            or self._revisions.is_busy()
            or self._operations.is_busy()
            or self._resources.is_busy
        )

    def health(self) -> JsonObject:
        """The answer to GET /_box/health."""
        answer: dict[str, Any] = {
            "status": "ok",
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started_at, 3),
            "busy": self.is_busy(),
            "active_executions": self._executions.active_count,
            "active_revisions": self._revisions.active_count,
            "state": str(self._folder.root),
        }
        return answer

    def _on_revision(self, app: ResourceId) -> None:
        self._apps.refresh(app)

    def _check_group(self, subscription: str, group: str) -> None:
        found = self._resources.groups.require(subscription, group)
        if found["properties"]["provisioningState"] == "Deleting":
            raise ArmError(
                409,
                "ResourceGroupBeingDeleted",
                f"The resource group '{group}' is in deprovisioning state and cannot perform this"
                " operation.",
                headers={"x-ms-failure-cause": "gateway"},
            )
