"""The OAuth and OpenID endpoints that azure-identity and MSAL ask for."""

from __future__ import annotations

import hmac
import time
import uuid
from typing import Any

from aiohttp import web

from azurebox.entra.tokens import RESOURCES, SigningKey, Tokens
from azurebox.front import Router, json_answer, public_url
from azurebox.state import Identity


def mount(router: Router, identity: Identity, key: SigningKey, tokens: Tokens) -> None:
    """Add the login routes. They need no token: they are where tokens come from."""
    entra = _Entra(identity, key, tokens)
    for tail in ("v2.0/.well-known/openid-configuration", ".well-known/openid-configuration"):
        router.add("GET", "/{tenant}/" + tail, entra.configuration, is_open=True)
    router.add("GET", "/{tenant}/discovery/v2.0/keys", entra.keys, is_open=True)
    router.add("GET", "/{tenant}/discovery/keys", entra.keys, is_open=True)
    router.add("GET", "/common/discovery/instance", entra.instance, is_open=True)
    router.add("POST", "/{tenant}/oauth2/v2.0/token", entra.token, is_open=True)


class _Entra:
    def __init__(self, identity: Identity, key: SigningKey, tokens: Tokens) -> None:
        self._identity = identity
        self._key = key
        self._tokens = tokens

    async def configuration(self, request: web.Request, tenant: str) -> web.StreamResponse:
        """OpenID Connect discovery."""
        if not self._is_ours(tenant):
            return _unknown_tenant(request, tenant)
        base = f"{public_url(request)}/{self._identity.tenant_id}"
        return json_answer(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["token"],
                "scopes_supported": ["openid"],
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "tenant_region_scope": None,
                "cloud_instance_name": request.host,
            }
        )

    async def keys(self, request: web.Request, tenant: str) -> web.StreamResponse:
        """The public signing keys."""
        if not self._is_ours(tenant):
            return _unknown_tenant(request, tenant)
        return json_answer(self._key.jwks())

    async def instance(self, request: web.Request) -> web.StreamResponse:
        """Instance discovery: we are one authority, with no aliases but ourselves."""
        host = request.host
        return json_answer(
            {
                "tenant_discovery_endpoint": f"{public_url(request)}/{self._identity.tenant_id}"
                "/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [
                    {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
                ],
            }
        )

    async def token(self, request: web.Request, tenant: str) -> web.StreamResponse:
        """Client credentials in, bearer token out."""
        if not self._is_ours(tenant):
            return _unknown_tenant(request, tenant)
        form = await request.post()
        grant = str(form.get("grant_type", ""))
        for name in ("grant_type", "client_id", "scope"):
            if not form.get(name):
                return _refused(
                    request,
                    400,
                    "invalid_request",
                    900144,
                    f"The request body must contain the following parameter: '{name}'.",
                )
        if grant != "client_credentials":
            return _refused(
                request,
                400,
                "unsupported_grant_type",
                70003,
                f"The app requested an unsupported grant type '{grant}'.",
            )
        client = str(form["client_id"])
        if client.lower() != self._identity.client_id.lower():
            return _refused(
                request,
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{client}' was not found in the directory"
                f" '{self._identity.tenant_id}'.",
            )
        given = str(form.get("client_secret", ""))
        if not hmac.compare_digest(given.encode(), self._identity.client_secret.encode()):
            return _refused(
                request,
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the"
                " client secret value, not the client secret ID, for a secret added to app"
                f" '{client}'.",
            )
        resource = str(form["scope"]).split()[0].removesuffix("/.default").rstrip("/")
        if resource not in RESOURCES:
            return _refused(
                request,
                400,
                "invalid_resource",
                500011,
                f"The resource principal named {resource} was not found in the tenant named"
                f" {self._identity.tenant_id}.",
            )
        lifetime_s = self._tokens.lifetime_s
        return json_answer(
            {
                "token_type": "Bearer",
                "expires_in": lifetime_s,
                "ext_expires_in": lifetime_s,
                "access_token": self._tokens.issue(resource),
            },
            headers={"Cache-Control": "no-store, no-cache"},
        )

    def _is_ours(self, tenant: str) -> bool:
        return tenant.lower() in (self._identity.tenant_id.lower(), "common", "organizations")


def _unknown_tenant(request: web.Request, tenant: str) -> web.Response:
    return _refused(
        request,
        400,
        "invalid_tenant",
        90002,
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are"
        " signing into the correct cloud.",
    )


def _refused(
    request: web.Request, status: int, error: str, number: int, sentence: str
) -> web.Response:
    """An OAuth error as Entra words it: AADSTS number, trace and correlation ids."""
    trace = str(uuid.uuid4())
    correlation = request.headers.get("client-request-id", str(uuid.uuid4()))
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    body: dict[str, Any] = {
        "error": error,
        "error_description": f"AADSTS{number}: {sentence} Trace ID: {trace}"
        f" Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{public_url(request)}/error?code={number}",
    }
    return json_answer(body, status)
