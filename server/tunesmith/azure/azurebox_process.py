"""The local target's process: found, started, asked for its images. A command, never an import.

azurebox outlives whoever started it; one serves all of this user's terminals and editors.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tunesmith.core.errors import TargetError
from tunesmith.core.json_values import items, mapping, number, words
from tunesmith.core.targets import ImageStatus

START_TIMEOUT_S = 60.0
_RUNS_ALREADY = 3
_DETACHED = 0x00000008 | 0x00000200
"""Windows: DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP."""


class _Detached(subprocess.Popen[bytes]):
    """A process that is meant to outlive this one, so its end is nobody's oversight."""

    def __del__(self) -> None: ...


_started: list[_Detached] = []
"""Processes that this one started: held so that they can be reaped when they end."""


@dataclass(frozen=True, slots=True)
class AzureboxHome:
    """Where azurebox keeps what it knows (`state`) and what it can make again (`cache`)."""

    state: Path
    cache: Path

    @classmethod
    def of(cls, home: Path, cache: Path) -> AzureboxHome:
        """Return the folders below Tunesmith's own."""
        return cls(home / "azurebox", cache / "azurebox")


def find_running(home: AzureboxHome) -> Mapping[str, str] | None:
    """Return what a living azurebox says of itself (see CloudProfile), None when none lives."""
    for process in _started:
        process.poll()
    try:
        facts = mapping(json.loads((home.state / "azurebox.json").read_text("utf-8")))
    except (OSError, ValueError):
        return None
    pid = facts.get("pid")
    if not isinstance(pid, int) or not _is_alive(pid) or not _listens(words(facts.get("arm_url"))):
        return None
    texts = {key: value for key, value in facts.items() if isinstance(value, str)}
    return {**texts, "pid": str(pid)}


async def ensure_running(home: AzureboxHome) -> tuple[Mapping[str, str], bool]:
    """Return a living azurebox's facts and whether it had to be started.

    Raises: TargetError("target.startFailed").
    """
    facts = await asyncio.to_thread(find_running, home)
    if facts:
        return facts, False
    home.state.mkdir(parents=True, exist_ok=True)
    home.state.chmod(0o700)  # its store holds the keys of accounts and apps
    process = _spawn(home)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if facts := await asyncio.to_thread(find_running, home):
            is_ours = facts["pid"] == str(process.pid)
            if not is_ours:  # somebody else's was faster, and has the lock that ours waits to see
                process.terminate()
            return facts, is_ours
        code = process.poll()
        if code is not None and code != _RUNS_ALREADY:
            raise TargetError(
                "target.startFailed", reason=_last_words(home), log=home.state / "azurebox.log"
            )
        await asyncio.sleep(0.05)
    raise TargetError("target.startFailed", reason="timeout", log=home.state / "azurebox.log")


async def images(home: AzureboxHome) -> tuple[ImageStatus, ...]:
    """Return the images that azurebox can run, by short name.

    Raises: TargetError("target.azureboxFailed").
    """
    out = await _ask(home, "images", "--json")
    listed = items(out) or items(mapping(out).get("images"))
    return tuple(_image(mapping(entry)) for entry in listed)


async def image_python(home: AzureboxHome, name: str) -> str:
    """Return the interpreter of an image that is ready, "" when it is not."""
    out = await _ask(home, "images", "--json")
    listed = items(out) or items(mapping(out).get("images"))
    for entry in map(mapping, listed):
        if entry.get("short") == name and entry.get("ready"):
            return words(entry.get("python"))
    return ""


async def pull(home: AzureboxHome, name: str, on_line: Callable[[str], None]) -> ImageStatus:
    """Build an image's environment; news of the build go to `on_line` one by one.

    Cancelled, it ends the build, which a later pull begins anew.
    Raises: TargetError("target.pullFailed").
    """
    process = await asyncio.create_subprocess_exec(
        *_command(home, "pull", name),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    last = ""
    try:
        answer = asyncio.create_task(process.stdout.read())
        async for line in process.stderr:
            last = line.decode("utf-8", "replace").rstrip() or last
            on_line(last)
        out = await answer
        code = await process.wait()
    except BaseException:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        raise
    if code != 0:
        raise TargetError("target.pullFailed", image=name, reason=last)
    return _image({**mapping(_json(out)), "ready": True, "short": name})


async def _ask(home: AzureboxHome, *arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *_command(home, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        raise TargetError("target.azureboxFailed", reason=lines[-1] if lines else "no output")
    return _json(out)


def _command(home: AzureboxHome, verb: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "azurebox", verb, *arguments, "--cache", str(home.cache)]


def _spawn(home: AzureboxHome) -> _Detached:
    """Start azurebox in a session of its own, what it says in a file, nothing shared with us."""
    is_windows = sys.platform == "win32"
    with (home.state / "azurebox.log").open("ab") as log:
        process = _Detached(
            [*_command(home, "serve"), "--state", str(home.state)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # its ready line has the secret, and is in azurebox.json too
            stderr=log,
            cwd=home.state,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **_import_path()},
            start_new_session=not is_windows,
            creationflags=_DETACHED if is_windows else 0,
        )
    _started.append(process)
    return process


def _import_path() -> dict[str, str]:
    """PYTHONPATH with absolute entries: azurebox starts in its own folder."""
    entries = [e for e in os.environ.get("PYTHONPATH", "").split(os.pathsep) if e]
    return (
        {"PYTHONPATH": os.pathsep.join(str(Path(e).resolve()) for e in entries)} if entries else {}
    )


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _listens(url: str) -> bool:
    import socket

    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=2.0):
            return True
    except OSError:
        return False


def _last_words(home: AzureboxHome) -> str:
    try:
        lines = (home.state / "azurebox.log").read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""


def _image(entry: Mapping[str, Any]) -> ImageStatus:
    size = number(entry.get("download_bytes"))
    return ImageStatus(
        name=words(entry.get("short")) or words(entry.get("name")),
        ready=bool(entry.get("ready")),
        path=words(entry.get("path")),
        download_bytes=None if size is None else int(size),
    )


def _json(out: bytes) -> Any:
    """Return the JSON of the last line that holds one."""
    for line in reversed(out.decode("utf-8", "replace").strip().splitlines()):
        try:
            return json.loads(line)
        except ValueError:
            continue
    try:
        return json.loads(out)
    except ValueError:
        return {}
