"""The key of a storage account, as ARM hands it out to whoever may read it."""

from __future__ import annotations

from azure.mgmt.storage.aio import StorageManagementClient

from tunesmith.azure.errors import told
from tunesmith.core.errors import InfraError


async def account_key(client: StorageManagementClient, group: str, account: str) -> str:
    """Return the first key (base64). Never stored, never logged.

    Raises: InfraError, AuthError or TargetError as the port says.
    """
    with told(account):
        answer = await client.storage_accounts.list_keys(group, account)
    for key in answer.keys_property or []:
        if key.value:
            return key.value
    raise InfraError("infra.refused", subject=account, reason="no keys", arm_code="")
