"""What the protocol promises, whatever the operation: raw params, typed errors, clean exit."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from lsp_client import LspClient, RpcError


async def test_hello_tells_version_and_methods(client: LspClient):
    welcome = await client.request("tunesmith/hello", {"protocol": 1, "client": "test"})
    assert welcome["protocol"] == 1
    assert {"tunesmith/run/start", "tunesmith/project/check", "tunesmith/doctor"} <= set(
        welcome["methods"]
    )


async def test_a_client_of_another_protocol_is_refused_with_a_next_step(client: LspClient):
    with pytest.raises(RpcError) as caught:
        await client.request("tunesmith/hello", {"protocol": 2})
    assert caught.value.code == -32803
    assert caught.value.data["code"] == "protocol.mismatch"
    assert caught.value.data["hint"]


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({"projectt": "."}, {"projectt": "unknown key"}),
        ({"project": 3}, {"project": "expected a string, got a number"}),
        ({"project": ".", "run": ["a"]}, {"run": "expected a string, got a list"}),
        ([], {"": "expected an object, got a list"}),
        ({"project": ".", "workDoneToken": {}}, {"workDoneToken": "not a token"}),
    ],
)
async def test_bad_params_name_each_field(client: LspClient, params: object, fields: dict):
    with pytest.raises(RpcError) as caught:
        await client.request("tunesmith/run/show", params)
    assert caught.value.code == -32602
    assert caught.value.data["fields"].keys() == fields.keys()


async def test_a_folder_that_is_no_project_is_a_typed_refusal(client: LspClient, tmp_path: Path):
    with pytest.raises(RpcError) as caught:
        await client.request("tunesmith/run/list", {"project": str(tmp_path)})
    error = caught.value
    assert error.code == -32803
    assert error.data["code"] == "project.notFound"
    assert error.data["retryable"] is False
    assert set(error.data) == {"code", "hint", "fix", "context", "retryable"}
    assert "Traceback" not in json.dumps(error.data)


async def test_an_unknown_method_is_answered(client: LspClient):
    with pytest.raises(RpcError) as caught:
        await client.request("tunesmith/no/such", {})
    assert caught.value.code == -32601


async def test_keys_that_are_no_identifiers_arrive_as_they_are(client: LspClient, tmp_path: Path):
    params = {"folder": str(tmp_path / "p"), "values": {"MY-VAR": "1"}}
    with pytest.raises(RpcError) as caught:
        await client.request("tunesmith/project/create", params)
    assert "MY-VAR" in f"{caught.value.message} {caught.value.data}"


async def test_shutdown_and_exit_end_the_process_with_zero(client: LspClient):
    assert await client.stop() == 0


async def test_the_server_ends_when_its_client_is_gone(client: LspClient):
    assert client.process.stdin is not None
    client.process.stdin.close()
    await client.ended()
    assert "Traceback" not in await client.stderr()


async def test_refusals_leave_no_traceback_and_no_body_in_the_log(
    client: LspClient, tmp_path: Path
):
    with pytest.raises(RpcError):
        await client.request("tunesmith/run/list", {"project": str(tmp_path)})
    await client.stop()
    errors = await client.stderr()
    assert "Traceback" not in errors
    assert "project.notFound" not in errors


async def test_initialize_loads_nothing_heavy(tmp_path: Path):
    code = (
        "import sys, atexit\n"
        "heavy = ('torch', 'transformers', 'gradio', 'olive', 'azure', 'rich', 'azurebox')\n"
        "atexit.register(lambda: sys.stderr.write('LOADED ' + ' '.join(\n"
        "    name for name in heavy if name in sys.modules) + '\\n'))\n"
        "from tunesmith.lsp.server import serve_stdio\n"
        "serve_stdio()\n"
    )
    import sys

    client = await LspClient.start(tmp_path, command=[sys.executable, "-c", code])
    await client.initialize()
    await client.request("tunesmith/hello", {"protocol": 1})
    assert await client.stop() == 0
    loaded = [line for line in (await client.stderr()).splitlines() if line.startswith("LOADED")]
    assert loaded == ["LOADED "]


async def test_many_requests_at_once_are_all_answered(client: LspClient):
    answers = [client.send("tunesmith/hello", {"protocol": 1})[1] for _ in range(50)]
    assert len(await asyncio.gather(*answers)) == 50
