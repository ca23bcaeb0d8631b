"""One cloud, connected: the four ports on the Azure SDKs, opened when needed, closed together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tunesmith.azure.credentials import credential_of
from tunesmith.core.ports import Files, Hosting, Provisioner, Runner
from tunesmith.core.targets import CloudProfile

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient


class Cloud:
    """The ports of one profile. An async context manager; the ports live as long as it is open.

    Each SDK is imported with its first use: together they take three quarters of a second.
    """

    def __init__(self, profile: CloudProfile, credential: AsyncTokenCredential) -> None:
        self.profile = profile
        self._credential = credential
        self._stack = AsyncExitStack()
        self._options = client_options(profile)
        self._files: dict[tuple[str, str], Files] = {}

    @cached_property
    def provisioner(self) -> Provisioner:
        """Resource groups and deployments of the subscription."""
        from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
        from azure.mgmt.resource.resources.aio import ResourceManagementClient

        from tunesmith.azure.provisioner import AzureProvisioner

        return AzureProvisioner(
            self._opened(ResourceManagementClient), self._opened(DeploymentsMgmtClient)
        )

    def runner(self, group: str) -> Runner:
        """Return the jobs of a resource group."""
        from tunesmith.azure.runner import AzureRunner

        return AzureRunner(self._apps, self.profile, group)

    def hosting(self, group: str) -> Hosting:
        """Return the container apps of a resource group."""
        from tunesmith.azure.hosting import AzureHosting

        return AzureHosting(self._apps, group)

    async def files(self, group: str, account: str, share: str) -> Files:
        """Return a file share, opened with the account's key, which is kept in memory only.

        Raises: InfraError("infra.refused") when the account is gone, and what `listKeys` raises.
        """
        known = self._files.get((account, share))
        if known is None:
            from azure.mgmt.storage.aio import StorageManagementClient

            from tunesmith.azure.files import ShareFiles
            from tunesmith.azure.storage import account_key

            key = await account_key(self._opened(StorageManagementClient), group, account)
            known = ShareFiles(self.profile, account, key, share)
            self._files[(account, share)] = known
            self._stack.push_async_callback(known.close)
        return known

    @cached_property
    def _apps(self) -> ContainerAppsAPIClient:
        from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient

        return self._opened(ContainerAppsAPIClient)

    def _opened(self, client_type: Any) -> Any:
        """Make a management client that is closed with the cloud."""
        client = client_type(self._credential, self.profile.subscription_id, **self._options)
        self._stack.push_async_callback(client.close)
        return client

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._credential.close)
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
