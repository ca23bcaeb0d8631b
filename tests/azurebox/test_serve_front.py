"""The front door: routes, tokens, versions, errors, faults."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from azurebox.errors import ArmError
from azurebox.faults import Fault, Faults
from azurebox.front import Router, json_answer, json_body


class Tokens:
    def check(self, authorization):
        if authorization != "Bearer good":
            raise ArmError(
                401, "AuthenticationFailed", "no", headers={"WWW-Authenticate": "Bearer"}
            )


GOOD = {"Authorization": "Bearer good"}
V = "?api-version=2024-03-01"


@pytest.fixture
async def client():
    faults = Faults()
    router = Router(Tokens(), faults)

    async def echo(request: web.Request, **names: str) -> web.StreamResponse:
        return json_answer(names)

    async def fixed(request: web.Request, **names: str) -> web.StreamResponse:
        return json_answer({"fixed": True, **names})

    async def body(request: web.Request) -> web.StreamResponse:
        return json_answer(await json_body(request))

    async def broken(request: web.Request) -> web.StreamResponse:
        raise RuntimeError("secret detail")

    router.add("GET", "/subscriptions/{sub}/resourceGroups/{rg}/{*rest}", echo)
    router.add("GET", "/subscriptions/{sub}/resourceGroups/{rg}/things/{name}", fixed)
    router.add("PUT", "/body", body)
    router.add("GET", "/broken", broken)
    router.add("GET", "/open", echo, is_open=True)
    async with TestClient(TestServer(router.app())) as client:
        client.faults = faults
        yield client


async def test_segments_match_without_regard_to_case_and_names_arrive_decoded(client):
    answer = await client.get(
        f"/SUBSCRIPTIONS/s/resourcegroups/my%20Group/Things/x{V}", headers=GOOD
    )
    assert await answer.json() == {"fixed": True, "sub": "s", "rg": "my Group", "name": "x"}
    answer = await client.get(f"/subscriptions/s/resourceGroups/g/a/b{V}", headers=GOOD)
    assert (await answer.json())["rest"] == "a/b"


async def test_unknown_route_answers_501_and_names_itself(client):
    answer = await client.get(f"/nowhere{V}", headers=GOOD)
    assert answer.status == 501
    assert "GET /nowhere" in (await answer.json())["error"]["message"]


async def test_missing_and_malformed_version_are_refused(client):
    answer = await client.get("/broken", headers=GOOD)
    assert (answer.status, (await answer.json())["error"]["code"]) == (
        400,
        "MissingApiVersionParameter",
    )
    answer = await client.get("/broken?api-version=soon", headers=GOOD)
    assert (await answer.json())["error"]["code"] == "InvalidApiVersionParameter"


async def test_token_is_asked_for_on_every_route_that_is_not_open(client):
    assert (await client.get("/open")).status == 200
    answer = await client.get(f"/broken{V}")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await client.get(f"/nowhere{V}")).status == 401


async def test_bug_answers_500_without_its_detail_and_with_request_ids(client, caplog):
    answer = await client.get(f"/broken{V}", headers=GOOD)
    assert answer.status == 500
    assert "secret detail" not in await answer.text()
    assert answer.headers["x-ms-request-id"]
    assert answer.headers["x-ms-correlation-request-id"]


async def test_body_that_is_no_json_object_is_refused(client):
    for raw in (b"{", b"[1]", b"\xff"):
        answer = await client.put(f"/body{V}", headers=GOOD, data=raw)
        assert (await answer.json())["error"]["code"] == "InvalidRequestContent", raw
    answer = await client.put(f"/body{V}", headers=GOOD, data=b'\xef\xbb\xbf{"a": 1}')
    assert await answer.json() == {"a": 1}


async def test_fault_strikes_the_nth_matching_request_once(client):
    client.faults.add(
        Fault.parse(
            {"match": "^PUT /body", "nth": 2, "status": 429, "code": "429", "retryAfter": 2}
        )
    )
    got = [(await client.put(f"/body{V}", headers=GOOD, data=b"{}")).status for _ in range(3)]
    assert got == [200, 429, 200]
