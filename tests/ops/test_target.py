"""The local target itself: found, started once, looked at."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import psutil
import pytest
from local_target import kill_azurebox
from tunesmith.azure import azurebox_process
from tunesmith.azure.azurebox_process import AzureboxHome, ensure_running, find_running
from tunesmith.core.errors import TargetError
from tunesmith.core.reporter import RecordingReporter
from tunesmith.ops import doctor, target
from tunesmith.ops.context import Context
from tunesmith.ops.doctor import Doctor
from tunesmith.ops.target import OneTarget


@pytest.fixture
def own_home(tmp_path):
    home = AzureboxHome.of(tmp_path / "home", tmp_path / "cache")
    yield home
    kill_azurebox(tmp_path / "home", signal.SIGTERM)


async def test_status_starts_nothing(tmp_path):
    ctx = Context(RecordingReporter(), tmp_path / "home", tmp_path / "cache")
    status = await target.status(ctx, OneTarget())
    assert status.state == "unprepared"
    assert {i.name for i in status.images} >= {"training", "inference"}
    assert all(i.download_bytes for i in status.images if i.name == "training")
    assert find_running(AzureboxHome.of(ctx.home, ctx.cache)) is None


async def test_many_starters_start_one(own_home):
    answers = await asyncio.gather(*(ensure_running(own_home) for _ in range(3)))
    assert len({facts["arm_url"] for facts, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1
    losers = [p for p in azurebox_process._started if str(own_home.state) in p.args]
    for process in losers:
        if str(process.pid) != answers[0][0]["pid"]:
            process.wait(timeout=20)
    file = own_home.state / "azurebox.json"
    assert psutil.pid_exists(json.loads(file.read_text())["pid"])
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0


async def test_a_dead_one_is_not_taken_for_a_living_one(own_home, tmp_path):
    first, _ = await ensure_running(own_home)
    kill_azurebox(tmp_path / "home")
    assert find_running(own_home) is None
    second, is_new = await ensure_running(own_home)
    assert is_new
    assert second["arm_url"] == first["arm_url"]


async def test_nobody_else_reads_its_store_of_keys(own_home):
    own_home.state.mkdir(parents=True, mode=0o755)
    await ensure_running(own_home)
    assert own_home.state.stat().st_mode & 0o077 == 0


async def test_its_log_holds_no_secret(own_home):
    await ensure_running(own_home)
    secret = json.loads((own_home.state / "azurebox.json").read_text())["client_secret"]
    assert secret not in (own_home.state / "azurebox.log").read_text()


async def test_a_start_that_fails_says_why(own_home):
    own_home.state.parent.mkdir(parents=True)
    own_home.state.mkdir()
    (own_home.state / "azurebox.json").mkdir()  # in the way of the file
    with pytest.raises(TargetError) as caught:
        await ensure_running(own_home)
    assert caught.value.code == "target.startFailed"
    assert "azurebox.log" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "code"), [("azure", "target.needsNoPreparing"), ("moon", "target.unknown")]
)
async def test_other_targets(ctx, name, code):
    with pytest.raises(TargetError) as caught:
        await target.status(ctx, OneTarget(target=name))
    assert caught.value.code == code


async def test_doctor_names_every_check_and_a_fix_for_what_is_wrong(ctx):
    report = await doctor.doctor(ctx, Doctor())
    names = [f.name for f in report.findings]
    assert names == [
        "system", "python", "state", "disk", "memory", "mounts", "images", "azurebox", "node",
    ]  # fmt: skip
    assert all(f.fix for f in report.findings if f.state != "ok")
    assert report.healthy == all(f.state != "error" for f in report.findings)
