"""Credentials of a profile: made when needed, kept in memory only."""

from __future__ import annotations

import json
from pathlib import Path

from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential

from tunesmith.core.errors import TargetError
from tunesmith.core.targets import CloudProfile


def credential_of(profile: CloudProfile, azurebox_state: Path) -> AsyncTokenCredential:
    """Return the credential of a profile; the caller closes it.

    `azurebox_state`: the folder whose azurebox.json, readable by this user alone, has the id and
    secret that azurebox made up for itself. Real Azure takes whoever is signed in on this machine.
    Raises: TargetError("target.stateUnreadable").
    """
    if profile.credential == "default":
        return DefaultAzureCredential(exclude_interactive_browser_credential=True)
    file = azurebox_state / "azurebox.json"
    try:
        facts = json.loads(file.read_text("utf-8"))
        tenant, client, secret = (
            str(facts[key]) for key in ("tenant_id", "client_id", "client_secret")
        )
    except (OSError, ValueError, KeyError) as e:
        raise TargetError("target.stateUnreadable", file=file) from e
    return ClientSecretCredential(
        tenant,
        client,
        secret,
        authority=profile.authority_url,
        disable_instance_discovery=True,
        connection_verify=profile.ca_file,
    )
