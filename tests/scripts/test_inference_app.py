"""The app as a process: API, refusals, signing in, and that nothing is asked of other hosts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from inference_share import (
    API_KEY,
    RUN_ID,
    RunningApp,
    make_share,
    running_app,
)
from name_watch import NameWatch

LONG = 1900


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> NameWatch:
    return NameWatch(tmp_path_factory.mktemp("watch"))


@pytest.fixture(scope="module")
def app(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, watch: NameWatch
) -> Iterator[RunningApp]:
    share = make_share(tmp_path_factory.mktemp("share"), tiny_model)
    limits = ("--max-active", "2", "--max-waiting", "1")
    log_folder = tmp_path_factory.mktemp("log")
    with running_app(share, log_folder, "--run", RUN_ID, *limits, **watch.env) as app:
        yield app


def events_of(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def check_error(response: httpx.Response, status: int, *says: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    for text in says:
        assert text in error["message"]
    return error


def test_health_says_which_run_and_base_are_served(app: RunningApp) -> None:
    health = httpx.get(app.client.base_url.join("/health"), trust_env=False).json()
    assert health["status"] == "ok"
    assert health["run_id"] == RUN_ID
    assert health["base_model"] == "acme/tiny"
    assert health["adapter"] is True


def test_models_are_the_run_and_its_base(app: RunningApp) -> None:
    models = app.client.get("/v1/models").json()
    assert [model["id"] for model in models["data"]] == [RUN_ID, "base"]
    assert app.client.get("/v1/models/base").json()["root"] == "acme/tiny"
    check_error(app.client.get("/v1/models/other"), 404, RUN_ID)
    ended_s = datetime(2026, 3, 1, 11, tzinfo=UTC).timestamp()
    assert [model["created"] for model in models["data"]] == [ended_s, ended_s]


def test_tuned_is_another_name_of_the_run(app: RunningApp) -> None:
    assert app.client.get("/v1/models/tuned").json()["id"] == RUN_ID
    body, by_id = (
        app.complete(model=m, max_tokens=6, temperature=0).json() for m in ("tuned", RUN_ID)
    )
    assert body["model"] == RUN_ID
    assert body["choices"] == by_id["choices"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("OPTIONS", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models/base", 405),
        ("POST", "/chat/completions", 404),
        ("GET", "/no/such/path", 404),
        ("PUT", "/", 405),
        ("POST", "/health", 404),
    ],
)
def test_what_is_not_there_is_refused_in_openais_shape(
    app: RunningApp, method: str, path: str, status: int
) -> None:
    response = app.client.request(method, path)
    assert response.status_code in (404, 405)
    check_error(response, status, path)


def test_an_answer_in_one_piece(app: RunningApp) -> None:
    body = app.complete(max_tokens=6).json()
    assert body["object"] == "chat.completion"
    assert body["model"] == RUN_ID
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["finish_reason"] == "length"
    usage = body["usage"]
    assert usage["completion_tokens"] == 6
    assert usage["total_tokens"] == usage["prompt_tokens"] + 6


def test_a_streamed_answer_is_the_same_answer(app: RunningApp) -> None:
    whole = app.complete(max_tokens=20).json()["choices"][0]["message"]["content"]
    with app.stream(max_tokens=20, stream_options={"include_usage": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = events_of(response)
    assert events[-1] == "[DONE]"
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(event["choices"][0]["delta"]["content"] for event in events[1:-3]) == whole
    assert events[-3]["choices"][0]["delta"] == {}
    assert events[-3]["choices"][0]["finish_reason"] == "length"
    assert events[-2]["choices"] == []
    assert events[-2]["usage"]["completion_tokens"] == 20
    assert len({event["id"] for event in events[:-1]}) == 1
    with app.stream(max_tokens=3) as response:
        assert all("usage" not in event for event in events_of(response)[:-1])


def test_text_streams_as_it_is_made(app: RunningApp) -> None:
    began = time.monotonic()
    times = []
    with app.stream(max_tokens=150) as response:
        for _ in response.iter_lines():
            times.append(time.monotonic() - began)
    assert times[2] < times[-1] / 3


def test_base_and_tuned_answer_differently(app: RunningApp) -> None:
    tuned, base = (app.complete(model=model, max_tokens=20).json() for model in (RUN_ID, "base"))
    assert base["model"] == "base"
    assert tuned["choices"] != base["choices"]


def test_system_message_and_history_reach_the_model(app: RunningApp) -> None:
    ask = {"role": "user", "content": "warranty"}
    alone = app.complete(messages=[ask], max_tokens=1).json()["usage"]["prompt_tokens"]
    history = [
        {"role": "system", "content": "user"},
        ask,
        {"role": "assistant", "content": "months"},
        ask,
    ]
    assert app.complete(messages=history, max_tokens=1).json()["usage"]["prompt_tokens"] > 2 * alone


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
def test_no_key_no_answer(app: RunningApp, header: dict[str, str]) -> None:
    with httpx.Client(base_url=app.client.base_url, headers=header, trust_env=False) as client:
        for method, path in (
            ("POST", "/v1/chat/completions"),
            ("GET", "/v1/models"),
            ("GET", "/v1/models/base"),
            ("POST", "/auth/links"),
        ):
            error = check_error(client.request(method, path, json={}), 401, "API key")
            assert error["code"] == "invalid_api_key"


def test_bad_requests_are_refused_in_openais_shape(app: RunningApp) -> None:
    check_error(app.complete(temperature=9), 400, "temperature")
    check_error(app.complete(model="gpt-4o"), 404, "gpt-4o", RUN_ID)
    error = check_error(
        app.complete(messages=[{"role": "user", "content": "warranty " * 2500}]), 400, "2048"
    )
    assert error["code"] == "context_length_exceeded"
    post = app.client.post
    check_error(post("/v1/chat/completions", content=b"{"), 400, "JSON")
    check_error(post("/v1/chat/completions", content=b"\xff\xfe"), 400, "JSON")
    half = b'{"messages": [{"role": "user", "content": "\\ud83d"}]}'
    check_error(post("/v1/chat/completions", content=half), 400, "JSON")
    check_error(post("/v1/chat/completions", content=b" " * (1 << 20) + b"{}"), 413, "larger")
    check_error(post("/v1/embeddings", json={}), 404, "/v1/embeddings")


def test_an_answer_ends_where_the_context_does(app: RunningApp) -> None:
    body = app.complete(
        messages=[{"role": "user", "content": "warranty " * 2000}], max_tokens=500
    ).json()
    assert body["usage"]["total_tokens"] <= 2048
    assert body["choices"][0]["finish_reason"] in ("length", "stop")


def test_a_client_that_hangs_up_stops_the_work(app: RunningApp) -> None:
    # Work that goes on takes as long as a whole answer, however busy the machine is.
    began_s = time.monotonic()
    app.complete(max_tokens=LONG, temperature=1)
    whole_answer_s = time.monotonic() - began_s
    with app.stream(max_tokens=LONG, temperature=1) as response:
        lines = response.iter_lines()
        next(lines), next(lines), next(lines)
        assert app.client.get("/health").json()["active"] == 1
    assert app.wait_until_idle() < whole_answer_s / 2
    with pytest.raises(httpx.ReadTimeout):
        app.client.post(
            "/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "warranty"}], "max_tokens": LONG},
            timeout=0.5,
        )
    assert app.wait_until_idle() < whole_answer_s / 2


def test_a_full_line_answers_429(app: RunningApp) -> None:
    held = [app.stream(max_tokens=LONG, temperature=1, seed=seed) for seed in range(3)]
    try:
        for stream in held:
            stream.__enter__()
        response = app.complete(max_tokens=1)
        assert check_error(response, 429, "wait in line")["code"] == "queue_full"
        assert int(response.headers["retry-after"]) > 0
    finally:
        for stream in held:
            stream.__exit__(None, None, None)
    app.wait_until_idle()


def test_a_link_signs_a_browser_in_once(app: RunningApp) -> None:
    made = app.client.post("/auth/links").json()
    assert made["expires_in_s"] == 60
    with httpx.Client(base_url=app.client.base_url, trust_env=False) as browser:
        refused = browser.get("/")
        assert refused.status_code == 401
        assert "tunesmith endpoint open" in refused.text
        assert browser.get("/gradio_api/info").status_code == 401
        entered = browser.get(made["path"])
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        sent = entered.headers["set-cookie"].lower()
        assert "httponly" in sent
        assert "samesite=lax" in sent
        assert "secure" not in sent
        page = browser.get("/")
        assert page.status_code == 200
        assert RUN_ID in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
    with httpx.Client(base_url=app.client.base_url, trust_env=False) as second:
        assert second.get(made["path"]).status_code == 403
        assert second.get("/").status_code == 401


def test_behind_tls_the_cookie_is_secure(app: RunningApp) -> None:
    path = app.client.post("/auth/links").json()["path"]
    entered = httpx.get(
        app.client.base_url.join(path), headers={"X-Forwarded-Proto": "https"}, trust_env=False
    )
    assert "secure" in entered.headers["set-cookie"].lower()


def ask_page(client: httpx.Client, question: str) -> list[Any]:
    """Ask as the page's script does; return what each message of the event put out."""
    config = client.get("/config").json()
    number = next(
        dependency["id"]
        for dependency in config["dependencies"]
        if any(event == "submit" for _, event in dependency["targets"])
    )
    data = [question, "Side by side", None, None, "", 16, 0, 1]
    body = {"data": data, "fn_index": number, "session_hash": "s1"}
    client.post("/gradio_api/queue/join", json=body).raise_for_status()
    outputs = []
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "s1"}) as response:
        for line in response.iter_lines():
            message = json.loads(line.removeprefix("data: ")) if line else {}
            if message.get("msg") in ("process_generating", "process_completed"):
                outputs.append(message["output"])
            if message.get("msg") == "process_completed":
                assert message["success"], message
                return outputs
    raise AssertionError("the event had no end")


def test_the_page_streams_both_answers_side_by_side(app: RunningApp) -> None:
    outputs = ask_page(app.client, "How long is the warranty?")
    assert len(outputs) > 5
    notes = json.dumps(outputs[-2:])
    assert notes.count("16 tokens") >= 1 or "tokens/s" in json.dumps(outputs)


def test_no_name_was_looked_up_but_this_machines_own(app: RunningApp, watch: NameWatch) -> None:
    assert app.client.get("/").status_code == 200
    assert app.complete(max_tokens=1).status_code == 200
    watch.check("inference/app.py")


def test_the_log_tells_what_is_served_and_no_key(app: RunningApp) -> None:
    log = app.log.read_text()
    assert f"Serving run {RUN_ID} and its base (acme/tiny)" in log
    assert API_KEY not in log
    assert "Traceback" not in log


def test_without_a_run_the_app_waits_and_says_so(tmp_path: Path) -> None:
    with running_app(tmp_path, tmp_path, until="waiting") as app:
        health = app.client.get("/health")
        assert health.status_code == 200
        assert "No run is deployed" in health.json()["detail"]
        error = check_error(app.complete(), 503, "No run is deployed")
        assert error["code"] == "waiting"
        assert app.client.get("/v1/models").json()["data"] == []
        assert "No run yet" in app.client.get("/").text
    assert app.process.returncode == 0, "SIGTERM did not end it cleanly"
