"""The way in to apps: a plain http proxy on 127.0.0.1 for each, as the service's Envoy would be.

Bodies stream both ways, event streams and WebSockets included. It knows no containers: it is
told which port an app's replica listens on.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from azurebox.runtime.atomic import read_json, write_json

_log = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_CONNECT_TIMEOUT_S = 10.0
# RFC 9110, 7.6.1: these concern one connection alone.
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
    )
)
# What the WebSocket client makes itself.
_WEBSOCKET_HANDSHAKE = frozenset(
    (
        *("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"),
        "sec-websocket-protocol",
    )
)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class _App:
    runner: web.AppRunner
    port: int
    upstream_port: int | None = None


class HttpIngress:
    """One listener an app; ports are kept in `<state_dir>/ingress.json`. One event loop."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "ingress.json"
        self._apps: dict[str, _App] = {}
        self._client: aiohttp.ClientSession | None = None

    async def open(self, app: str) -> int:
        """See Ingress."""
        if app in self._apps:
            return self._apps[app].port

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(app, request)

        # A handler ends with its client, and the request to the replica with the handler.
        server = web.Application()
        server.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(server, handler_cancellation=True, access_log=None)
        await runner.setup()
        remembered = self._remembered()
        port = await _listen(runner, remembered.get(app, 0))
        self._apps[app] = _App(runner, port)
        write_json(self._file, remembered | {app: port})
        return port

    def route(self, app: str, upstream_port: int | None) -> None:
        """See Ingress. Raises: KeyError when the app is not open."""
        self._apps[app].upstream_port = upstream_port

    async def close(self, app: str) -> None:
        """See Ingress."""
        opened = self._apps.pop(app, None)
        if opened is None:
            return
        await opened.runner.cleanup()
        remembered = self._remembered()
        remembered.pop(app, None)
        write_json(self._file, remembered)

    async def aclose(self) -> None:
        """Close every listener; ports stay remembered."""
        apps, self._apps = self._apps, {}
        for opened in apps.values():
            await opened.runner.cleanup()
        if self._client:
            await self._client.close()
            self._client = None

    def _remembered(self) -> dict[str, int]:
        return read_json(self._file) or {}

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                # A kept connection that the replica is just closing would lose a POST.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._client

    async def _handle(self, app: str, request: web.Request) -> web.StreamResponse:
        opened = self._apps.get(app)
        port = opened.upstream_port if opened else None
        if port is None:
            return _unavailable("no healthy upstream: the app has no running replica")
        url = f"http://{_HOST}:{port}{request.raw_path}"
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request, url)
            return await self._http(request, url)
        except aiohttp.ClientConnectorError:
            return _unavailable("upstream connect error: the replica does not listen yet")
        except aiohttp.ClientError as e:
            _log.info("app %s: %s", app, e)
            return _unavailable("upstream connect error or disconnect/reset before headers")

    async def _http(self, request: web.Request, url: str) -> web.StreamResponse:
        body = request.content if request.body_exists else None
        async with self._session().request(
            request.method,
            _as_it_is(url),
            headers=_request_headers(request),
            data=body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in _end_to_end(answer.headers).items():
                response.headers.add(name, value)
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except aiohttp.ClientError as e:
                # The status is out already; only a broken connection can still say it.
                _log.info("the replica broke off its answer: %s", e)
                if request.transport:
                    request.transport.abort()
            except ConnectionResetError:
                pass  # the client has left
            return response

    async def _websocket(self, request: web.Request, url: str) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in offered.split(",") if name.strip()]
        headers = _request_headers(request)
        for name in _WEBSOCKET_HANDSHAKE:
            headers.pop(name, None)
        async with self._session().ws_connect(
            _as_it_is(url), headers=headers, protocols=protocols, max_msg_size=0, autoclose=False
        ) as upstream:
            chosen = [upstream.protocol] if upstream.protocol else []
            client = web.WebSocketResponse(protocols=chosen, max_msg_size=0, autoclose=False)
            await client.prepare(request)
            pumps = [
                asyncio.ensure_future(_pump(client, upstream)),
                asyncio.ensure_future(_pump(upstream, client)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                await client.close()
            return client


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: _Socket, target: _Socket) -> None:
    """Pass messages on until the source closes, then close the target the same way."""
    while True:
        message = await source.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.CLOSE:
            await target.close(code=message.data or 1000, message=(message.extra or "").encode())
            await source.close()
            return
        else:
            await target.close(code=1001)
            return


def _request_headers(request: web.Request) -> CIMultiDict[str]:
    """Return the client's headers for the replica, Host kept, with what Envoy adds.

    Source: Container Apps documentation, "Ingress": X-Forwarded-Proto, X-Forwarded-For.
    """
    headers = _end_to_end(request.headers)
    peer = request.remote or _HOST
    earlier = request.headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = f"{earlier}, {peer}" if earlier else peer
    headers["X-Forwarded-Proto"] = "http"
    headers["X-Forwarded-Host"] = request.host
    headers.setdefault("X-Request-Id", str(uuid.uuid4()))
    return headers


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in _HOP_BY_HOP | named:
            kept.add(name, value)
    return kept


def _as_it_is(url: str) -> URL:
    """Keep the path and the query byte by byte, percent signs included."""
    return URL(url, encoded=True)


def _unavailable(text: str) -> web.Response:
    return web.Response(status=503, text=text)


async def _listen(runner: web.AppRunner, wanted_port: int) -> int:
    """Listen on the wanted port where it is free, otherwise on another one."""
    for port in (wanted_port, 0):
        site = web.TCPSite(runner, _HOST, port)
        try:
            await site.start()
        except OSError:
            await site.stop()
            if port == 0:
                raise
            continue
        return int(runner.addresses[-1][1])
    raise AssertionError("not reached")
