"""Tokens for log streams: one for a job or an app, an hour long, good for its streams alone."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

import jwt

from azurebox.errors import ArmError
from azurebox.providers.common import JsonObject, view
from azurebox.resource_id import ResourceId
from azurebox.store import Resource

LIFETIME_S = 3600


class LogTokens:
    """Issues and checks them. The key lives as long as the process: they are cheap to renew."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, resource: Resource, kind: str) -> JsonObject:
        """The answer to getAuthToken; `kind` is the type shown, ".../accesstoken"."""
        now = int(time.time())
        claims = {
            "capp_sub": resource.id.subscription,
            "capp_rg": resource.id.group,
            "resource": resource.id.key,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_S,
            "iss": "AzureContainerApps",
        }
        expires = datetime.fromtimestamp(now + LIFETIME_S, UTC)
        shown = view(resource, kind)
        return {
            "location": resource.body.get("location"),
            "properties": {
                "token": jwt.encode(claims, self._key, algorithm="HS256"),
                "expires": expires.strftime("%Y-%m-%dT%H:%M:%S.0000000Z"),
            },
            "id": shown["id"],
            "name": shown["name"],
            "type": kind,
        }

    def check(self, authorization: str | None, id: ResourceId) -> None:
        """Raises: ArmError(401) unless it is a live token of this very job or app."""
        token = (authorization or "").partition(" ")[2]
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"])
        except jwt.InvalidTokenError as error:
            raise ArmError(
                401,
                "Unauthorized",
                "The stream needs a token from getAuthToken that has not expired.",
                headers={"WWW-Authenticate": "Bearer"},
            ) from error
        if claims.get("resource") != id.key:
            raise ArmError(403, "Forbidden", "This token is for another job or app.")
