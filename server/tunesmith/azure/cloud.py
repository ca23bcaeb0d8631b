"""One cloud, connected: the four ports on the Azure SDKs, opened and closed together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from azure.core.credentials_async import AsyncTokenCredential
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.storage.aio import StorageManagementClient

from tunesmith.azure.credentials import credential_of
from tunesmith.azure.hosting import AzureHosting
from tunesmith.azure.provisioner import AzureProvisioner
from tunesmith.azure.runner import AzureRunner
from tunesmith.azure.storage import account_key
from tunesmith.core.ports import Files, Hosting, Provisioner, Runner
from tunesmith.core.targets import CloudProfile


class Cloud:
    """The ports of one profile. An async context manager; the ports live as long as it is open."""

    def __init__(self, profile: CloudProfile, credential: AsyncTokenCredential) -> None:
        self.profile = profile
        self._credential = credential
        self._stack = AsyncExitStack()
        self._files: dict[tuple[str, str], Files] = {}
        options = client_options(profile)
        subscription = profile.subscription_id
        self._storage = StorageManagementClient(credential, subscription, **options)
        self._apps = ContainerAppsAPIClient(credential, subscription, **options)
        self._resources = ResourceManagementClient(credential, subscription, **options)
        self._deployments = DeploymentsMgmtClient(credential, subscription, **options)
        self.provisioner: Provisioner = AzureProvisioner(self._resources, self._deployments)

    def runner(self, group: str) -> Runner:
        """Return the jobs of a resource group."""
        return AzureRunner(self._apps, self.profile, group)

    def hosting(self, group: str) -> Hosting:
        """Return the container apps of a resource group."""
        return AzureHosting(self._apps, group)

    async def files(self, group: str, account: str, share: str) -> Files:
        """Return a file share, opened with the account's key, which is kept in memory only.

        Raises: InfraError("infra.refused") when the account is gone, and what `listKeys` raises.
        """
        known = self._files.get((account, share))
        if known is None:
            from tunesmith.azure.files import ShareFiles

            key = await account_key(self._storage, group, account)
            known = ShareFiles(self.profile, account, key, share)
            self._files[(account, share)] = known
            self._stack.push_async_callback(known.close)
        return known

    async def __aenter__(self) -> Self:
        for client in (self._credential, self._storage, self._apps, self._resources):
            await self._stack.enter_async_context(client)
        await self._stack.enter_async_context(self._deployments)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


def connect(profile: CloudProfile, azurebox_state: Path) -> Cloud:
    """Return a cloud to enter with `async with`. No request is sent yet."""
    return Cloud(profile, credential_of(profile, azurebox_state))


def client_options(profile: CloudProfile) -> dict[str, Any]:
    """Return what every management client of a profile is made with.

    Source: without `polling_interval` the SDK sleeps 30 s between polls of an operation that names
    no Retry-After (azure-mgmt-core 1.6.0), as the deployments of container apps do.
    """
    options: dict[str, Any] = {
        "base_url": profile.arm_url,
        "credential_scopes": [profile.arm_scope],
        "polling_interval": profile.poll_interval_s,
        "logging_enable": False,
    }
    if profile.ca_file:
        options["connection_verify"] = profile.ca_file
    if profile.credential == "azurebox":  # on this machine a refused connection stays refused
        options |= {"retry_total": 2, "retry_backoff_factor": 0.1}
    return options
