"""The page's door: it needs a session, and the page loads nothing from other hosts."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from auth import Keyring
from openai_error import error_response
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Gradio's page has scripts in line and names fonts and scripts of other hosts: those stay unasked.
CONTENT_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
OPEN_PATHS = ("/v1/", "/auth/")

SIGN_IN = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Tunesmith</title>
<style>
:root{{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}}
body{{display:grid;place-items:center;min-height:100vh;margin:0;padding:1rem;box-sizing:border-box}}
main{{max-width:30rem}} h1{{font-size:1.25rem;margin:0 0 .5rem}}
code{{padding:.15rem .4rem;border-radius:.3rem;
background:color-mix(in srgb,currentColor 12%,transparent)}}
</style><main><h1>This endpoint is private</h1><p>{reason}</p>
<p>Open it signed in with <code>tunesmith endpoint open</code>, or ask its API with the key:
<code>POST /v1/chat/completions</code>.</p></main></html>"""


def sign_in_page(reason: str, status: int) -> HTMLResponse:
    """Return the plain page that says how to get in."""
    return HTMLResponse(
        SIGN_IN.format(reason=html.escape(reason)),
        status,
        {"Cache-Control": "no-store", "Content-Security-Policy": CONTENT_POLICY},
    )


class Gate:
    """ASGI middleware: lets API, health and links through, asks everybody else for a session."""

    def __init__(self, app: Any, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the sign-in page."""
        if scope["type"] == "websocket":  # nothing here speaks it
            await send({"type": "websocket.close", "code": 1008})
            return
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith(OPEN_PATHS):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if path == "/health" or self._keyring.is_key(headers.get("authorization", "")):
            await self._app(scope, receive, refusals_for_programs(scope, send))
            return
        if not self._keyring.is_session(headers.get("cookie", "")):
            await sign_in_page("You are not signed in.", 401)(scope, receive, send)
            return

        async def send_with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = CONTENT_POLICY
            await send(message)

        await self._app(scope, receive, send_with_policy)


def refusals_for_programs(scope: Scope, send: Send) -> Send:
    """Return a `send` that gives an unknown path or method the body OpenAI's clients expect.

    A program that forgot the /v1 of the address would get the page's own kind of refusal.
    """
    is_replaced = False

    async def send_or_replace(message: MutableMapping[str, Any]) -> None:
        nonlocal is_replaced
        if message["type"] == "http.response.start" and message["status"] in (404, 405):
            is_replaced = True
            asked = f"{scope['method']} {scope['path']}"
            response = error_response(
                message["status"],
                f"There is no {asked} here; the API is at /v1/chat/completions and /v1/models.",
                code="unknown_url" if message["status"] == 404 else "method_not_allowed",
            )
            await response(scope, no_body, send)
        if message["type"] == "http.response.start" and not is_replaced:
            MutableHeaders(scope=message)["Content-Security-Policy"] = CONTENT_POLICY
        if not is_replaced:
            await send(message)

    return send_or_replace


async def no_body() -> MutableMapping[str, Any]:
    """Stand for a request that was read already."""
    return {"type": "http.disconnect"}
