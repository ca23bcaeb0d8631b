"""Containers as processes: start, output, stop, and what survives whose death."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from azurebox.images.images import Images
from azurebox.runtime import mount, supervisor
from azurebox.runtime.base import ContainerSpec, Mount
from azurebox.runtime.processes import ProcessRuntime

PYTHON = "python:3.11-slim"


@pytest.fixture
async def runtime(tmp_path: Path, cache: Path) -> AsyncIterator[ProcessRuntime]:
    made = ProcessRuntime(tmp_path / "containers", Images(cache))
    yield made
    for name in list(made.names()):
        await made.stop(name, grace_s=0)


def bash(script: str, *, name: str = "c", env: dict[str, str] | None = None) -> ContainerSpec:
    return ContainerSpec(name, PYTHON, ["/bin/bash", "-c"], [script], env or {}, [])


async def lines(runtime: ProcessRuntime, name: str = "c") -> list[str]:
    return [line async for _, line in runtime.log(name, follow=False, tail=None)]


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "not in time"
        await asyncio.sleep(0.02)


async def until_line(runtime: ProcessRuntime, text: str, name: str = "c") -> None:
    async with asyncio.timeout(5):
        async for _, line in runtime.log(name, follow=True, tail=None):
            if line == text:
                return
    raise AssertionError(f"no line {text!r}")


async def test_exit_code_and_output_are_kept(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("echo out; echo err >&2; printf 'no newline'; exit 7"))
    status = await runtime.wait("c")
    assert (status.state, status.reason, status.exit_code) == ("terminated", "Error", 7)
    assert status.started_at <= status.ended_at
    assert await lines(runtime) == ["out", "err", "no newline"]


async def test_success_is_completed(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("true"))
    status = await runtime.wait("c")
    assert (status.reason, status.exit_code) == ("Completed", 0)
    assert [event.reason for event in runtime.events("c")][-2:] == [
        "PulledImage",
        "ContainerStarted",
    ]


async def test_death_by_signal_is_128_plus_its_number(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("kill -SEGV $$"))
    assert (await runtime.wait("c")).exit_code == 128 + signal.SIGSEGV


@pytest.mark.parametrize(
    ("exit_code", "kills", "reason"),
    [(0, 0, "Completed"), (1, 0, "Error"), (137, 0, "Error"), (137, 1, "OOMKilled")],
)
def test_end_for_want_of_memory_has_its_own_reason(
    exit_code: int, kills: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_out_of_memory_kills", lambda: 5 + kills)
    assert supervisor._reason(exit_code, 5) == reason  # pyright: ignore[reportPrivateUsage]


async def test_missing_command_is_a_start_error_that_the_log_explains(
    runtime: ProcessRuntime,
) -> None:
    await runtime.start(ContainerSpec("c", PYTHON, ["no-such-command"], [], {}, []))
    status = await runtime.wait("c")
    assert (status.reason, status.exit_code) == ("StartError", 128)
    assert "no-such-command" in (await lines(runtime))[0]


async def test_name_is_started_once(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("echo first"))
    await runtime.start(bash("echo second"))
    await runtime.wait("c")
    assert await lines(runtime) == ["first"]


async def test_name_that_leaves_the_folder_is_refused(runtime: ProcessRuntime) -> None:
    with pytest.raises(ValueError, match="name"):
        await runtime.start(bash("true", name="../c"))
    assert runtime.status("../c") is None


async def test_sigterm_goes_to_the_first_process_alone(runtime: ProcessRuntime) -> None:
    script = (
        "(trap 'echo child got it' TERM; while :; do sleep 0.05; done) & "
        "trap 'sleep 0.3; echo first got it; exit 75' TERM; echo ready; wait"
    )
    await runtime.start(bash(script))
    await until_line(runtime, "ready")
    await runtime.stop("c")
    status = runtime.status("c")
    assert status is not None
    assert (status.exit_code, await lines(runtime)) == (75, ["ready", "first got it"])


async def test_pid_is_the_commands_own(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("echo $$; exec sleep 60"))
    status = runtime.status("c")
    assert status is not None
    await until_line(runtime, str(status.pid))


async def test_all_below_are_killed_when_the_grace_is_over(runtime: ProcessRuntime) -> None:
    script = (
        "trap '' TERM; sleep 61 & setsid sleep 62 & (setsid sleep 63 &) ; echo ready; "
        "while :; do sleep 0.1; done"
    )
    await runtime.start(bash(script))
    await until_line(runtime, "ready")
    home = str(runtime._root / "c" / "home")  # pyright: ignore[reportPrivateUsage]
    assert len(processes_with_home(home)) >= 4
    started_s = time.monotonic()
    await runtime.stop("c", grace_s=0.3)
    assert 0.3 <= time.monotonic() - started_s < 3
    status = runtime.status("c")
    assert status is not None
    assert status.exit_code == 137
    assert processes_with_home(home) == []


async def test_end_of_the_first_process_ends_the_others(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("sleep 64 & setsid sleep 65 & sleep 0.1; echo bye"))
    assert (await runtime.wait("c")).exit_code == 0
    assert processes_with_home(str(runtime._root / "c" / "home")) == []  # pyright: ignore


def processes_with_home(home: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == home:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def test_a_new_runtime_adopts_what_runs_and_learns_its_exit_code(
    runtime: ProcessRuntime, tmp_path: Path, cache: Path
) -> None:
    await runtime.start(bash("echo one; sleep 0.5; echo two; exit 3"))
    await until_line(runtime, "one")
    adopted = ProcessRuntime(tmp_path / "containers", Images(cache))
    status = adopted.status("c")
    assert status is not None
    assert status.state == "running"
    assert (await adopted.wait("c")).exit_code == 3
    assert await lines(adopted) == ["one", "two"]


async def test_a_container_outlives_the_process_that_started_it(
    tmp_path: Path, cache: Path, runtime: ProcessRuntime
) -> None:
    script = (
        "import asyncio, os, signal, sys\nfrom pathlib import Path\n"
        "from azurebox.images.images import Images\n"
        "from azurebox.runtime.base import ContainerSpec\n"
        "from azurebox.runtime.processes import ProcessRuntime\n"
        "async def main():\n"
        "    r = ProcessRuntime(Path(sys.argv[1]), Images(Path(sys.argv[2])))\n"
        "    await r.start(ContainerSpec('c', 'python', ['/bin/bash', '-c'],"
        " ['sleep 0.6; echo still here; exit 5'], {}, []))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(tmp_path / "containers"), str(cache)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert await started.wait() == -signal.SIGKILL
    assert (await runtime.wait("c")).exit_code == 5
    assert await lines(runtime) == ["still here"]


async def test_a_lost_supervisor_ends_the_container_and_kills_what_it_left(
    runtime: ProcessRuntime,
) -> None:
    await runtime.start(bash("setsid sleep 66 & sleep 67 & echo ready; wait"))
    await until_line(runtime, "ready")
    status = runtime.status("c")
    assert status is not None
    assert status.pid is not None
    psutil.Process(status.pid).parent().kill()  # pyright: ignore[reportOptionalMemberAccess]
    ended = await asyncio.wait_for(runtime.wait("c"), 5)
    assert (ended.reason, ended.exit_code) == ("ContainerLost", 137)
    home = str(runtime._root / "c" / "home")  # pyright: ignore[reportPrivateUsage]
    await until(lambda: processes_with_home(home) == [])


async def test_follow_yields_lines_as_they_come_and_ends_with_the_container(
    runtime: ProcessRuntime,
) -> None:
    await runtime.start(bash("for i in 1 2 3; do date +%s.%N; sleep 0.15; done"))
    delays_s: list[float] = []
    async for time_iso, line in runtime.log("c", follow=True, tail=None):
        delays_s.append(time.time() - float(line))
        assert time_iso.endswith("Z")
    assert len(delays_s) == 3
    assert max(delays_s) < 0.5


async def test_follow_that_is_cancelled_closes_its_file(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("echo one; sleep 60"))

    async def follow() -> None:
        async for _ in runtime.log("c", follow=True, tail=None):
            pass

    task = asyncio.create_task(follow())
    await until_line(runtime, "one")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    def is_closed() -> bool:
        open_files = [file.path for file in psutil.Process().open_files()]
        return not [path for path in open_files if path.endswith("log.txt")]

    await until(is_closed)  # until_line's own generator is closed by the loop a moment later


async def test_tail_starts_before_the_end(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("seq 1 30000"))
    await runtime.wait("c")
    tail = [line async for _, line in runtime.log("c", follow=False, tail=20000)]
    assert (tail[0], tail[-1], len(tail)) == ("10001", "30000", 20000)
    assert [line async for _, line in runtime.log("c", follow=False, tail=0)] == []


async def test_secret_values_are_on_no_disk_and_in_no_argv(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    secret = "s3cr3t-value-of-this-test"
    await runtime.start(bash('echo "${#KEY}"; sleep 60', env={"KEY": secret}))
    await until_line(runtime, str(len(secret)))
    for process in psutil.process_iter():
        try:
            assert secret not in " ".join(process.cmdline())
        except psutil.Error:
            continue
    for file in (tmp_path / "containers").rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert secret.encode() not in file.read_bytes(), file


async def test_supervisor_does_not_keep_the_secret(runtime: ProcessRuntime) -> None:
    await runtime.start(bash("sleep 60", env={"KEY": "s3cr3t"}))
    status = runtime.status("c")
    assert status is not None
    parent = psutil.Process(status.pid).parent()
    assert parent is not None
    assert "KEY" not in parent.environ()


async def test_environment_is_the_images_and_the_specs_alone(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_SECRET", "x")
    monkeypatch.setenv("PIP_TARGET", "/nowhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.test/simple")
    await runtime.start(bash("env -0 | tr '\\0' '\\n'; pwd", env={"MINE": "1"}))
    await runtime.wait("c")
    *variables, folder = await lines(runtime)
    env = dict(line.split("=", 1) for line in variables)
    assert env["MINE"] == "1"
    assert env["PIP_INDEX_URL"] == "https://example.test/simple"
    assert not {"OWN_SECRET", "PIP_TARGET", "PYTHONPATH"} & set(env)
    assert folder == env["HOME"]


async def test_unknown_image_waits_in_back_off_until_it_is_stopped(
    runtime: ProcessRuntime, tmp_path: Path, cache: Path
) -> None:
    await runtime.start(ContainerSpec("c", "docker.io/nobody/nothing:1", ["true"], [], {}, []))
    for seen_by in (runtime, ProcessRuntime(tmp_path / "containers", Images(cache))):
        status = seen_by.status("c")
        assert status is not None
        assert (status.state, status.reason) == ("waiting", "ImagePullBackOff")
    assert "nobody/nothing" in runtime.events("c")[-1].message
    await runtime.stop("c")
    assert (await runtime.wait("c")).reason == "Stopped"


async def test_remove_wants_an_ended_container_and_leaves_nothing(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    await runtime.start(bash("sleep 60"))
    with pytest.raises(ValueError, match="stop it first"):
        await runtime.remove("c")
    await runtime.stop("c", grace_s=0)
    await runtime.remove("c")
    assert runtime.status("c") is None
    assert list((tmp_path / "containers").iterdir()) == []


async def test_stop_while_the_image_is_pulled_ends_the_container_not_the_pull(
    tmp_path: Path,
) -> None:
    images = Images(tmp_path / "cache")
    runtime = ProcessRuntime(tmp_path / "containers", images)
    starting = asyncio.create_task(runtime.start(bash("true")))
    await until(lambda: len(runtime.events("c")) > 1)
    status = runtime.status("c")
    assert status is not None
    assert (status.state, status.reason) == ("waiting", "PullingImage")
    await runtime.stop("c")
    await starting
    assert (await runtime.wait("c")).reason == "Stopped"
    assert images._pulls  # pyright: ignore[reportPrivateUsage]
    await images.aclose()


async def test_start_cut_short_with_azurebox_is_a_lost_container(
    runtime: ProcessRuntime, tmp_path: Path, cache: Path
) -> None:
    starting = asyncio.create_task(runtime.start(bash("true", name="other")))
    await asyncio.sleep(0)
    folder = tmp_path / "containers" / "c"
    folder.mkdir()  # all that a killed azurebox had come to
    status = ProcessRuntime(tmp_path / "containers", Images(cache)).status("c")
    assert status is not None
    assert (status.state, status.reason) == ("terminated", "ContainerLost")
    await starting


async def test_start_that_is_cancelled_leaves_no_running_container_called_ended(
    runtime: ProcessRuntime,
) -> None:
    for delay_s in (0.0, 0.02, 0.04, 0.06, 0.08):
        name = f"c{int(delay_s * 100)}"
        starting = asyncio.create_task(runtime.start(bash("sleep 68", name=name)))
        await asyncio.sleep(delay_s)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        status = runtime.status(name)
        home = str(runtime._root / name / "home")  # pyright: ignore[reportPrivateUsage]
        is_running = status is not None and status.state == "running"
        assert is_running == bool(processes_with_home(home)), delay_s


async def test_without_namespaces_the_share_is_named_by_a_variable(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    runtime._can_mount = False  # pyright: ignore[reportPrivateUsage]
    spec = ContainerSpec(
        "c", PYTHON, ["/bin/sh", "-c"], ["echo $AZUREBOX_MOUNT"], {}, [Mount(tmp_path, "/mount")]
    )
    await runtime.start(spec)
    await runtime.wait("c")
    assert await lines(runtime) == [str(tmp_path)]


async def test_mount_is_set_only_where_there_is_none(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    if not mount.can_mount():
        pytest.skip("no mount namespaces here")
    command = 'echo "${AZUREBOX_MOUNT-unset}"; stat -c %d /mount; pwd'
    spec = ContainerSpec("c", PYTHON, ["/bin/sh", "-c"], [command], {}, [Mount(tmp_path, "/mount")])
    await runtime.start(spec)
    await runtime.wait("c")
    home = runtime._root / "c" / "home"  # pyright: ignore[reportPrivateUsage]
    assert await lines(runtime) == ["unset", str(tmp_path.stat().st_dev), str(home)]


async def test_share_is_at_its_mount_path(runtime: ProcessRuntime, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    command = 'echo hello > "${AZUREBOX_MOUNT:-/mount}/made"'
    spec = ContainerSpec("c", PYTHON, ["/bin/bash", "-c"], [command], {}, [Mount(share, "/mount")])
    await runtime.start(spec)
    status = await runtime.wait("c")
    assert status.exit_code == 0, await lines(runtime)
    assert (share / "made").read_text() == "hello\n"
