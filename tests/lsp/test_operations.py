"""The operations as an editor has them: each once, and a long one through every way it can end."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from local_target import COMMANDS, edit_json, set_commands
from lsp_client import LspClient, RpcError

LOG_LINES = "tunesmith/logLines"


def steps(project: Path, count: int, **env: object) -> None:
    """Let the next run take `count` steps of 0.05 s."""
    words = " ".join(f"{name}={value}" for name, value in {"STEPS": count, **env}.items())
    set_commands(project, [COMMANDS[0], f"{words} {COMMANDS[1]}"])


async def start_run(editor: LspClient, project: Path) -> str:
    started = await editor.request("tunesmith/run/start", {"project": str(project)})
    return started["run"]["id"]


async def until_running(editor: LspClient, project: Path, run: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = await editor.request("tunesmith/run/show", {"project": str(project), "run": run})
        if found["state"] == "running" and found["step"] >= 1:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the run never got going")


def progress_of(editor: LspClient, token: str) -> list[dict[str, Any]]:
    return [p["value"] for p in editor.of("$/progress") if p["token"] == token]


async def refused(editor: LspClient, method: str, params: dict[str, Any]) -> str:
    with pytest.raises(RpcError) as caught:
        await editor.request(method, params)
    assert caught.value.code == -32803, caught.value
    assert caught.value.data["hint"]
    return caught.value.data["code"]


async def test_each_method_answers(editor: LspClient, project: Path, tmp_path: Path):
    welcome = await editor.request("tunesmith/hello", {"protocol": 1, "client": "test"})
    here = {"project": str(project)}
    called = {"tunesmith/hello"}

    async def ask(method: str, params: dict[str, Any]) -> Any:
        called.add(f"tunesmith/{method}")
        return await editor.request(f"tunesmith/{method}", params)

    async def refuse(method: str, params: dict[str, Any]) -> str:
        called.add(f"tunesmith/{method}")
        return await refused(editor, f"tunesmith/{method}", params)

    made = await ask("project/create", {"folder": str(tmp_path / "new")})
    assert made["files"] > 10
    assert (await ask("project/describe", here))["provisioned"] == ["finetuning"]
    assert (await ask("project/check", here))["errors"] == 0
    assert isinstance((await ask("doctor", {}))["healthy"], bool)
    assert (await ask("target/status", {}))["name"] == "local"
    assert await refuse("target/prepare", {"target": "nowhere"}) == "target.unknown"
    assert not (await ask("infra/plan", here))["applied"]
    assert (await ask("infra/apply", here))["outputs"]["ACA_JOB_NAME"]
    assert (await ask("infra/status", here))["exists"] is True
    assert (await ask("infra/destroy", {**here, "dryRun": True}))["plan"]["rows"]
    steps(project, 3)
    assert (await ask("share/status", here))["applied"] is False
    assert (await ask("share/push", here))["applied"] is True
    run = (await ask("run/start", here))["run"]["id"]
    page = await ask("run/logs", {**here, "run": run, "follow": True})
    assert page["run"]["state"] == "succeeded"
    assert run in [found["id"] for found in (await ask("run/list", here))["runs"]]
    assert (await ask("run/show", {**here, "run": run}))["state"] == "succeeded"
    assert (await ask("run/stop", {**here, "run": run}))["state"] == "succeeded"
    assert await refuse("run/resume", {**here, "run": run}) == "run.notResumable"
    assert (await ask("run/compare", {**here, "run": run, "dryRun": True}))["applied"] is False
    assert (await ask("share/pull", {**here, "run": run}))["files"] > 0
    assert (await ask("endpoint/status", here))["state"] == "absent"
    assert (await ask("endpoint/deploy", {**here, "dryRun": True}))["plan"]["rows"]
    assert await refuse("endpoint/open", here)
    assert await refuse("endpoint/ask", {**here, "question": "Anybody there?"})
    assert (await ask("endpoint/stop", here))["state"] == "absent"
    assert called == set(welcome["methods"])
    assert not any("AccountKey" in body or "Bearer" in body for body in editor.bodies)


async def test_success_is_told_by_progress_lines_and_events(editor: LspClient, project: Path):
    steps(project, 30)
    run = await start_run(editor, project)
    params = {"project": str(project), "run": run, "follow": True, "workDoneToken": "t1"}
    page = await editor.request("tunesmith/run/logs", params)
    assert (page["run"]["state"], page["atEnd"]) == ("succeeded", True)
    values = progress_of(editor, "t1")
    assert values[0]["kind"] == "begin" and values[0]["cancellable"] is True
    assert values[-1]["kind"] == "end"
    notes = editor.of(LOG_LINES)
    assert {note["token"] for note in notes} == {"t1"}
    lines = [line for note in notes for line in note["lines"]]
    assert sum(note["dropped"] for note in notes) == 0
    assert [line["seq"] for line in lines] == list(range(len(lines)))
    assert [f"step {n}" for n in range(1, 31)] == [
        line["text"] for line in lines if line["text"].startswith("step ")
    ]
    events = [note for note in editor.of("tunesmith/event") if note["kind"] == "progress"]
    assert [note["data"]["step"] for note in events] == list(range(1, 31))
    times = [
        at
        for at, note in zip(editor.received_at, editor.notifications, strict=True)
        if note["method"] == LOG_LINES
    ]
    # Never more than four a second; the last may follow at once, since the request is over.
    for earlier, later in pairwise(times[:-1]):
        assert later - earlier > 0.15


async def test_a_token_can_be_used_again(editor: LspClient, project: Path):
    params = {"project": str(project), "workDoneToken": "same"}
    for _ in range(2):
        await editor.request("tunesmith/project/check", params)
    kinds = [value["kind"] for value in progress_of(editor, "same")]
    assert kinds.count("begin") == kinds.count("end") == 2


async def test_a_failed_run_is_a_result_and_says_why(editor: LspClient, project: Path):
    steps(project, 4, FAIL_AT=2)
    run = await start_run(editor, project)
    page = await editor.request(
        "tunesmith/run/logs", {"project": str(project), "run": run, "follow": True}
    )
    assert page["run"]["state"] == "failed"
    assert "it broke at a step" in page["run"]["reason"]


async def test_a_failed_operation_is_a_typed_error_and_ends_its_progress(
    editor: LspClient, tmp_path: Path
):
    folder = tmp_path / "broken"
    await editor.request("tunesmith/project/create", {"folder": str(folder)})
    parameters = folder / "infra/provision/finetuning.parameters.json"
    parameters.write_text("{ not json")
    params = {"project": str(folder), "workDoneToken": "t2"}
    assert await refused(editor, "tunesmith/infra/apply", params) == "infra.parametersInvalid"
    assert progress_of(editor, "t2")[-1]["kind"] == "end"


async def test_cancel_answers_within_two_seconds_and_the_run_goes_on(
    editor: LspClient, project: Path
):
    steps(project, 400)
    run = await start_run(editor, project)
    await until_running(editor, project, run)
    params = {"project": str(project), "run": run, "follow": True, "workDoneToken": "t3"}
    request, answer = editor.send("tunesmith/run/logs", params)
    await editor.wait_for(LOG_LINES, lambda note: note["token"] == "t3")
    asked = time.monotonic()
    editor.cancel(request)
    with pytest.raises(RpcError) as caught:
        await asyncio.wait_for(answer, 10)
    assert caught.value.code == -32800
    assert time.monotonic() - asked < 2.0
    assert progress_of(editor, "t3")[-1]["kind"] == "end"
    here = {"project": str(project), "run": run}
    assert (await editor.request("tunesmith/run/show", here))["state"] == "running"
    stopped = await editor.request("tunesmith/run/stop", here)
    assert (stopped["state"], stopped["canResume"]) == ("stopped", True)


async def test_the_clients_progress_button_cancels_as_well(editor: LspClient, project: Path):
    steps(project, 400)
    run = await start_run(editor, project)
    params = {"project": str(project), "run": run, "follow": True, "workDoneToken": "t4"}
    _, answer = editor.send("tunesmith/run/logs", params)
    await editor.wait_for("$/progress", lambda note: note["token"] == "t4")
    editor.notify("window/workDoneProgress/cancel", {"token": "t4"})
    with pytest.raises(RpcError) as caught:
        await asyncio.wait_for(answer, 10)
    assert caught.value.code == -32800
    await editor.request("tunesmith/run/stop", {"project": str(project), "run": run})


async def test_death_of_the_server_ends_no_run_and_a_new_one_finds_it(
    editor: LspClient, project: Path, places: tuple[Path, Path]
):
    steps(project, 2000)
    run = await start_run(editor, project)
    await until_running(editor, project, run)
    _, answer = editor.send(
        "tunesmith/run/logs", {"project": str(project), "run": run, "follow": True}
    )
    await editor.wait_for(LOG_LINES)
    editor.process.send_signal(signal.SIGKILL)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(answer, 10)
    home, cache = places
    second = await LspClient.start(home, cache=cache)
    try:
        await second.initialize()
        here = {"project": str(project)}
        listed = await second.request("tunesmith/run/list", here)
        found = next(found for found in listed["runs"] if found["id"] == run)
        assert found["state"] == "running"
        follow = {**here, "run": run, "follow": True}
        request, followed = second.send("tunesmith/run/logs", follow)
        note = await second.wait_for(LOG_LINES)
        assert note["lines"][0]["seq"] == 0
        second.cancel(request)
        with pytest.raises(RpcError):
            await followed
        ended = await second.request("tunesmith/run/stop", {**here, "run": run})
        assert (ended["state"], ended["canResume"]) == ("stopped", True)
        assert ended["step"] > found["step"]
        assert len(ended["executions"]) == 1
    finally:
        await second.close()


async def test_our_bug_is_answered_with_a_report_and_no_traceback(
    editor: LspClient, project: Path, places: tuple[Path, Path]
):
    """A config that no code of ours expects must at worst be a report, never silence."""
    folder = project.parent / "odd"
    await editor.request("tunesmith/project/create", {"folder": str(folder)})
    edit_json(folder / "infra/finetuning.config.json", lambda c: c.update(COMMANDS=[{"a": [1]}]))
    try:
        await editor.request("tunesmith/run/start", {"project": str(folder)})
    except RpcError as error:
        assert error.code in (-32803, -32603)
        assert "Traceback" not in json.dumps(error.data)
        if error.code == -32603:
            assert list((places[0] / "logs").glob(f"*{error.data['report']}.log"))
