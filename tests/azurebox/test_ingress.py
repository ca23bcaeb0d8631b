"""The proxy in front of apps, with a real server behind it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from azurebox.runtime.ingress import HttpIngress, free_port
from yarl import URL


class Replica:
    """A server that shows what reached it."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.port = 0

    async def echo(self, request: web.Request) -> web.Response:
        body = await request.read()
        return web.json_response(
            {
                "method": request.method,
                "path": request.raw_path,
                "headers": dict(request.headers),
                "bytes": len(body),
                "text": body[:100].decode(),
            },
            headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")],
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for number in range(1000):
                await response.write(f"data: {number}\n\n".encode())
                await asyncio.sleep(0.1)
        finally:
            self.left.set()
        return response

    async def packed(self, _: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"text"), headers={"Content-Encoding": "gzip"})

    async def broken(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport
        request.transport.close()
        return response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("chat",))
        await socket.prepare(request)
        async for message in socket:
            if message.data == "bye":
                await socket.close(code=4001, message=b"ended")
            elif message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(f"echo {message.data}")
            else:
                await socket.send_bytes(message.data)
        return socket


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    served = Replica()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/events", served.events)
    app.router.add_get("/packed", served.packed)
    app.router.add_get("/broken", served.broken)
    app.router.add_get("/socket", served.socket)
    app.router.add_route("*", "/{any:.*}", served.echo)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.port = runner.addresses[0][1]
    yield served
    await runner.cleanup()


@pytest.fixture
async def ingress(tmp_path: Path) -> AsyncIterator[HttpIngress]:
    made = HttpIngress(tmp_path)
    yield made
    await made.aclose()


@pytest.fixture
async def url(ingress: HttpIngress, replica: Replica) -> str:
    port = await ingress.open("app")
    ingress.route("app", replica.port)
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_request_arrives_as_it_was_sent(url: str, client: aiohttp.ClientSession) -> None:
    host = url.removeprefix("http://")
    async with client.post(
        URL(f"{url}/a%2Fb?q=%20x&q=2", encoded=True),
        data=b"hello",
        headers={"Authorization": "Bearer k", "X-Forwarded-For": "10.0.0.9"},
    ) as answer:
        seen = await answer.json()
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert (seen["method"], seen["path"], seen["text"]) == ("POST", "/a%2Fb?q=%20x&q=2", "hello")
    assert seen["headers"]["Host"] == host
    assert seen["headers"]["Authorization"] == "Bearer k"
    assert seen["headers"]["X-Forwarded-For"] == "10.0.0.9, 127.0.0.1"
    assert seen["headers"]["X-Forwarded-Proto"] == "http"


async def test_large_chunked_body_is_passed_on(url: str, client: aiohttp.ClientSession) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    async with client.put(f"{url}/file", data=body()) as answer:
        assert (await answer.json())["bytes"] == 5_000_000


async def test_get_without_a_body_gets_none(url: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{url}/") as answer:
        seen = await answer.json()
    assert "Transfer-Encoding" not in seen["headers"]


async def test_head_keeps_the_length(url: str, client: aiohttp.ClientSession) -> None:
    async with client.head(f"{url}/x") as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 0


async def test_events_are_not_held_back(url: str, client: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    async with client.get(f"{url}/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        started_s = loop.time()
        assert await answer.content.readline() == b"data: 0\n"
        assert loop.time() - started_s < 0.09


async def test_replica_learns_that_the_client_has_left(
    url: str, client: aiohttp.ClientSession, replica: Replica
) -> None:
    async with client.get(f"{url}/events") as answer:
        await answer.content.readline()
    await asyncio.wait_for(replica.left.wait(), 3)


async def test_encoded_body_stays_encoded(url: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{url}/packed") as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.text() == "text"


async def test_half_an_answer_does_not_look_whole(url: str, client: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        async with client.get(f"{url}/broken") as answer:
            await answer.read()


async def test_websocket_passes_text_bytes_protocol_and_close(
    url: str, client: aiohttp.ClientSession
) -> None:
    async with client.ws_connect(f"{url}/socket", protocols=("other", "chat")) as socket:
        assert socket.protocol == "chat"
        await socket.send_str("hi")
        assert await socket.receive_str() == "echo hi"
        await socket.send_bytes(b"\x00" * 6_000_0)
        assert len(await socket.receive_bytes()) == 60_000
        await socket.send_str("bye")
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4001)


async def test_app_without_a_replica_answers_503(
    url: str, client: aiohttp.ClientSession, ingress: HttpIngress
) -> None:
    ingress.route("app", None)
    async with client.get(url) as answer:
        assert (answer.status, "no running replica" in await answer.text()) == (503, True)


async def test_replica_that_does_not_listen_answers_503(
    url: str, client: aiohttp.ClientSession, ingress: HttpIngress
) -> None:
    ingress.route("app", free_port())
    for kind in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
        async with client.get(url, headers=kind) as answer:
            assert answer.status == 503


async def test_port_stays_the_same_across_restarts(tmp_path: Path) -> None:
    first = HttpIngress(tmp_path)
    ports = [await first.open("a"), await first.open("b"), await first.open("a")]
    await first.aclose()
    second = HttpIngress(tmp_path)
    assert [await second.open("a"), await second.open("b")] == ports[:2]
    assert ports[2] == ports[0]
    await second.aclose()


async def test_port_taken_by_another_is_replaced(tmp_path: Path) -> None:
    first = HttpIngress(tmp_path)
    port = await first.open("a")
    second = HttpIngress(tmp_path)  # while the first still listens
    assert await second.open("a") not in (0, port)
    await first.aclose()
    await second.aclose()


async def test_closed_app_frees_its_port(
    url: str, ingress: HttpIngress, client: aiohttp.ClientSession
) -> None:
    await ingress.close("app")
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(url)
