"""The control API below /_box/: health, shutdown, faults, tokens. For tests and for tunesmith."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from azurebox.entra.tokens import Tokens
from azurebox.errors import ArmError
from azurebox.faults import Fault, Faults
from azurebox.front import Router, json_answer, json_body
from azurebox.providers.common import JsonObject


def mount(
    router: Router,
    *,
    faults: Faults,
    tokens: Tokens,
    health: Callable[[], JsonObject],
    shutdown: asyncio.Event,
    stop_all: Callable[[], Awaitable[None]],
) -> None:
    """Add the routes; they take ARM's bearer token and no api-version.

    GET health. POST shutdown {"stop"?: true ends the containers too}. POST faults (see Fault),
    GET faults counts them, DELETE faults forgets them. POST tokens {"lifetime_s"?, "revoke"?}.
    """

    async def get_health(request: web.Request) -> web.StreamResponse:
        return json_answer(health())

    async def post_shutdown(request: web.Request) -> web.StreamResponse:
        if (await json_body(request)).get("stop") is True:
            await stop_all()
        shutdown.set()
        return json_answer({"status": "stopping"}, 202)

    async def post_fault(request: web.Request) -> web.StreamResponse:
        faults.add(Fault.parse(await json_body(request)))
        return json_answer({"waiting": len(faults)}, 201)

    async def get_faults(request: web.Request) -> web.StreamResponse:
        return json_answer({"waiting": len(faults)})

    async def delete_faults(request: web.Request) -> web.StreamResponse:
        faults.clear()
        return json_answer({"waiting": 0})

    async def post_tokens(request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        if "lifetime_s" in body:
            lifetime_s = body["lifetime_s"]
            if not isinstance(lifetime_s, int) or not 1 <= lifetime_s <= 86400:
                raise ArmError(400, "InvalidLifetime", "lifetime_s is 1 to 86400 seconds.")
            tokens.lifetime_s = lifetime_s
        if body.get("revoke") is True:
            tokens.revoke()
        return json_answer({"lifetime_s": tokens.lifetime_s})

    for method, path, handler in (
        ("GET", "health", get_health),
        ("POST", "shutdown", post_shutdown),
        ("POST", "faults", post_fault),
        ("GET", "faults", get_faults),
        ("DELETE", "faults", delete_faults),
        ("POST", "tokens", post_tokens),
    ):
        router.add(method, f"/_box/{path}", handler, has_version=False)
