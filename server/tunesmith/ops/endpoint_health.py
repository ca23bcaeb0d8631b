"""What an endpoint says of itself: its /health, its key, a one-time link into its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tunesmith.core.endpoints import Endpoint, EndpointLink
from tunesmith.core.errors import EndpointError
from tunesmith.core.json_values import mapping, whole, words
from tunesmith.core.messages import text
from tunesmith.core.ports import App
from tunesmith.ops.provisioning import API_KEY_SECRET
from tunesmith.ops.session import Session

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
RUN_VARIABLE = "TUNESMITH_RUN_ID"


@dataclass(frozen=True, slots=True)
class Health:
    """An answer of GET /health; status "" when nobody answered."""

    status: str
    run_id: str
    base_model: str
    detail: str


async def read_endpoint(session: Session) -> Endpoint:
    """Return the endpoint as it is now; "absent" before it was provisioned."""
    session.refuse_unusable_config("inference")
    names = session.project.provisioned("inference")
    if names is None:
        return Endpoint("", "absent", "", "", "", text("endpoint.absent"))
    app = await session.hosting().app(session.provisioned("inference").app)
    if app is None:
        return Endpoint(names.app, "absent", "", "", "", text("endpoint.gone", app=names.app))
    url = url_of(session, app)
    wanted = app.env.get(RUN_VARIABLE, "")
    if app.state == "stopped":
        return Endpoint(app.name, "stopped", url, wanted, "", text("endpoint.stopped"))
    health = await ask_health(url)
    return endpoint_of(app, url, wanted, health)


def endpoint_of(app: App, url: str, wanted: str, health: Health) -> Endpoint:
    """Say how an app is. It is healthy only when it serves the run that was deployed last."""
    run_id = health.run_id or wanted
    if health.status == "ok" and health.run_id == wanted:
        return Endpoint(app.name, "healthy", url, run_id, health.base_model)
    if health.status == "waiting" and not wanted:
        return Endpoint(app.name, "waiting", url, "", health.base_model, text("endpoint.waiting"))
    if app.state == "failed":
        return Endpoint(app.name, "unhealthy", url, wanted, "", health.detail or app.detail)
    # One that waits for a run is the revision before; the one that was asked for is on its way.
    said = "" if health.status == "waiting" else health.detail
    detail = said or (text("endpoint.loading") if health.status else "")
    return Endpoint(app.name, "starting", url, wanted, health.base_model, detail)


def url_of(session: Session, app: App) -> str:
    """Return the app's address: the host that the cloud gave it, by the scheme of the profile."""
    return f"{session.target.cloud.endpoint_scheme}://{app.host}" if app.host else ""


async def ask_health(url: str) -> Health:
    """Ask the app itself; never raises for one that does not answer."""
    if not url:
        return Health("", "", "", "")
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as http,
            http.get(f"{url}/health") as answer,
        ):
            body: Mapping[str, Any] = mapping(await answer.json(content_type=None))
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
        return Health("", "", "", "")
    return Health(
        words(body.get("status")),
        words(body.get("run_id")),
        words(body.get("base_model")),
        words(body.get("detail")),
    )


async def healthy_endpoint(session: Session) -> Endpoint:
    """Return the endpoint, one that answers.

    Raises: EndpointError("endpoint.notDeployed" | "endpoint.notHealthy").
    """
    found = await read_endpoint(session)
    if found.state == "absent":
        raise EndpointError("endpoint.notDeployed")
    if found.state != "healthy":
        raise EndpointError("endpoint.notHealthy", state=found.state, detail=found.detail or "-")
    return found


async def read_key(session: Session, endpoint: Endpoint) -> str:
    """Read the app's key from its secrets, for this call only."""
    return await session.hosting().secret(endpoint.name, API_KEY_SECRET) or ""


async def make_link(session: Session) -> EndpointLink:
    """Ask the app for a link that signs one browser in, with the key that is read for this only.

    Raises: EndpointError("endpoint.notDeployed" | "endpoint.notHealthy" | "endpoint.linkRefused").
    """
    found = await healthy_endpoint(session)
    headers = {"Authorization": f"Bearer {await read_key(session, found)}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as http,
            http.post(f"{found.url}/auth/links") as answer,
        ):
            status, body = answer.status, mapping(await answer.json(content_type=None))
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as e:
        raise EndpointError("endpoint.linkRefused", reason=type(e).__name__) from e
    path = words(body.get("path"))
    if status >= 400 or not path.startswith("/"):
        raise EndpointError("endpoint.linkRefused", reason=f"HTTP {status}")
    return EndpointLink(f"{found.url}{path}", whole(body.get("expires_in_s")))
