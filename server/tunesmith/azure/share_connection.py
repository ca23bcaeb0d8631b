"""The connection to one share: the SDK's client, its retries, how many requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.fileshare.aio import ShareClient

from tunesmith.azure.share_errors import error_code, share_told
from tunesmith.core.targets import CloudProfile

MAX_IN_FLIGHT = 16
"""Requests at once. One share takes about 1,000 a second, one connection far fewer."""


class ShareConnection:
    """Opens sockets with the first request; `close` ends them."""

    def __init__(self, profile: CloudProfile, account: str, key: str, share: str) -> None:
        """`key`: base64, kept in memory only."""
        # The SDK's own first wait is 15 s: one hiccup would stall everything behind it. Waits are
        # initial_backoff + increment_base ** n, give or take the jitter, in seconds.
        options: dict[str, Any] = {
            "initial_backoff": 1,
            "increment_base": 2,
            "random_jitter_range": 1,
            "retry_total": 5,
            "logging_enable": False,
        }
        if profile.credential == "azurebox":  # on this machine what fails twice stays broken
            options |= {"initial_backoff": 0.1, "increment_base": 0, "random_jitter_range": 0}
            options["retry_total"] = 2
        if profile.ca_file:
            options["connection_verify"] = profile.ca_file
        self.share = share
        self.client = ShareClient(
            profile.files_url.format(account=account),
            share,
            credential=AzureNamedKeyCredential(account, key),
            **options,
        )
        self._gate = asyncio.Semaphore(MAX_IN_FLIGHT)

    @asynccontextmanager
    async def asking(self, path: str) -> AsyncGenerator[None]:
        """Wait for a turn; what goes wrong inside is told as a ShareError about `path`."""
        async with self._gate:
            with share_told(self.share, path):
                yield

    async def close(self) -> None:
        """Close the sockets."""
        await self.client.close()


def raise_if_share_is_gone(e: ResourceNotFoundError) -> None:
    """Raise the error again when not the file is missing but the whole share."""
    if error_code(e) == "ShareNotFound":
        raise e
