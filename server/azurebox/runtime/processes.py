"""Containers as local processes (POSIX): the Runtime that azurebox uses.

Each container is a folder `<root>/<name>/`: `spec.json` (what was asked for, names of the
environment's variables but no value), `events.jsonl`, `layer/`, `home/`, `tmp/`, and from its
supervisor `process.json`, `log.txt`, `exit.json`. The folder is the truth; a new object on the
same root goes on where the last one ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil

import azurebox
from azurebox.images.environment import container_env
from azurebox.images.images import Environment, Images, PullFailed, UnknownImage
from azurebox.images.layer import make_layer
from azurebox.runtime.atomic import read_json, write_json
from azurebox.runtime.base import ContainerEvent, ContainerSpec, ContainerStatus
from azurebox.runtime.identity import is_alive
from azurebox.runtime.log_file import read_log
from azurebox.runtime.mount import can_mount
from azurebox.runtime.output import now_iso

_log = logging.getLogger(__name__)
_POLL_S = 0.05
_LOST_EXIT_CODE = 137
_STOP_SLACK_S = 5.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


class ProcessRuntime:
    """Runs containers as processes that outlive it. One event loop; one such object a root."""

    def __init__(self, root: Path, images: Images) -> None:
        self._root = root
        self._images = images
        self._waiting: dict[str, str] = {}  # reason of those that this object is starting
        self._pulling: dict[str, asyncio.Task[Environment]] = {}
        self._ended: dict[str, ContainerStatus] = {}
        self._can_mount: bool | None = None
        root.mkdir(parents=True, exist_ok=True)

    async def start(self, spec: ContainerSpec) -> None:
        """See Runtime. Raises: ValueError for a name that is no plain word."""
        if not _NAME.fullmatch(spec.name):
            raise ValueError(f"not a container's name: {spec.name!r}")
        folder = self._root / spec.name
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            return
        self._waiting[spec.name] = "ContainerCreating"
        self._write_spec(folder, spec)
        try:
            environment = await self._pull(folder, spec)
            if environment:
                # Once begun it is carried through, so that nothing runs that is held for dead.
                launch = asyncio.create_task(self._launch(folder, spec, environment))
                try:
                    await asyncio.shield(launch)
                except asyncio.CancelledError:
                    await launch
                    raise
        except BaseException:
            if not (folder / "process.json").exists():
                self._end(folder, "StartError")
            raise
        finally:
            if self._waiting.get(spec.name) != "ImagePullBackOff":
                self._waiting.pop(spec.name, None)

    def status(self, name: str) -> ContainerStatus | None:
        """See Runtime."""
        if name in self._ended:
            return self._ended[name]
        folder = self._root / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            return None
        process = read_json(folder / "process.json")
        ended = read_json(folder / "exit.json")
        if ended is None and process and not self._is_supervised(process):
            # It may have ended between the two looks.
            ended = read_json(folder / "exit.json") or self._lose(folder)
        if ended is None and process is None and name not in self._waiting:
            if self._is_backing_off(folder):
                return ContainerStatus("waiting", "ImagePullBackOff", None, "", "", None)
            # Its start was cut short with azurebox, and its environment is kept nowhere.
            ended = self._end(folder, "ContainerLost")
        started_at = process["started_at"] if process else ""
        if ended:
            status = ContainerStatus(
                "terminated",
                ended["reason"],
                ended["exit_code"],
                started_at,
                ended["ended_at"],
                None,
            )
            self._ended[name] = status
            return status
        if process:
            return ContainerStatus("running", "Running", None, started_at, "", process["pid"])
        return ContainerStatus("waiting", self._waiting[name], None, "", "", None)

    async def wait(self, name: str) -> ContainerStatus:
        """See Runtime. Raises: KeyError for an unknown name."""
        while True:
            status = self.status(name)
            if status is None:
                raise KeyError(name)
            if status.state == "terminated":
                return status
            await asyncio.sleep(_POLL_S)

    async def stop(self, name: str, grace_s: float = 30.0) -> None:
        """See Runtime. Returns when the container is terminated; an unknown one already is."""
        status = self.status(name)
        if status is None or status.state == "terminated":
            return
        folder = self._root / name
        while status and status.state == "waiting":
            if status.reason == "ImagePullBackOff":
                self._waiting.pop(name, None)
                self._end(folder, "Stopped")
                return
            if name in self._pulling:
                self._pulling[name].cancel()
            await asyncio.sleep(_POLL_S)  # starting takes a moment and is carried through
            status = self.status(name)
        if status is None or status.state == "terminated":
            return
        process = read_json(folder / "process.json")
        assert process is not None
        # The supervisor holds the clock, so that the grace ends without azurebox too.
        write_json(folder / "stop.json", {"grace_s": grace_s, "asked_at": now_iso()})
        if self._is_supervised(process):
            os.kill(process["supervisor_pid"], signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(name), grace_s + _STOP_SLACK_S)
        except TimeoutError:
            _log.warning("container %s did not end; killing all of it", name)
            os.kill(process["supervisor_pid"], signal.SIGKILL)
            await self.wait(name)

    def log(self, name: str, *, follow: bool, tail: int | None) -> AsyncIterator[tuple[str, str]]:
        """See Runtime. An unknown name has an empty log."""

        def has_ended() -> bool:
            status = self.status(name)
            return status is None or status.state == "terminated"

        return read_log(
            self._root / name / "log.txt", follow=follow, tail=tail, has_ended=has_ended
        )

    async def remove(self, name: str) -> None:
        """See Runtime. Raises: ValueError while it is not terminated."""
        status = self.status(name)
        if status is None:
            return
        if status.state != "terminated":
            raise ValueError(f"container {name} is {status.state}; stop it first")
        await asyncio.to_thread(shutil.rmtree, self._root / name)
        self._ended.pop(name, None)

    def names(self) -> Iterator[str]:
        """Yield the name of every container that has a folder."""
        return (entry.name for entry in self._root.iterdir() if _NAME.fullmatch(entry.name))

    def events(self, name: str) -> list[ContainerEvent]:
        """See Runtime. They are the lines of the service's system log."""
        try:
            text = (self._root / name / "events.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [ContainerEvent(**json.loads(line)) for line in text.splitlines()]

    def _write_spec(self, folder: Path, spec: ContainerSpec) -> None:
        write_json(
            folder / "spec.json",
            {
                "v": 1,
                "name": spec.name,
                "image": spec.image,
                "command": list(spec.command),
                "args": list(spec.args),
                "env_names": sorted(spec.env),
                "mounts": [{"folder": str(m.folder), "path": m.path} for m in spec.mounts],
                "created_at": now_iso(),
            },
        )

    async def _pull(self, folder: Path, spec: ContainerSpec) -> Environment | None:
        """Return the image's environment; None, with the state set, when there is none."""

        def on_progress(line: str) -> None:
            self._event(folder, "PullingImage", line)

        self._waiting[spec.name] = "PullingImage"
        self._event(folder, "PullingImage", f"Pulling image '{spec.image}'")
        pull = asyncio.create_task(self._images.ensure(spec.image, on_progress))
        self._pulling[spec.name] = pull
        try:
            await asyncio.wait([pull])
        finally:
            self._pulling.pop(spec.name)
            pull.cancel()
        if pull.cancelled():  # by `stop`
            self._end(folder, "Stopped")
            return None
        try:
            environment = pull.result()
        except (UnknownImage, PullFailed) as e:
            self._waiting[spec.name] = "ImagePullBackOff"
            self._event(folder, "ImagePullBackOff", str(e))
            return None
        self._event(folder, "PulledImage", f"Successfully pulled image '{spec.image}'")
        self._waiting[spec.name] = "ContainerCreating"
        return environment

    async def _launch(self, folder: Path, spec: ContainerSpec, environment: Environment) -> None:
        layer, home, temporary = folder / "layer", folder / "home", folder / "tmp"
        home.mkdir()
        temporary.mkdir()
        await asyncio.to_thread(make_layer, environment, layer)
        env = container_env(layer, home, temporary, os.environ) | dict(spec.env)
        env["PATH"] = f"{layer / 'bin'}:{spec.env['PATH']}" if "PATH" in spec.env else env["PATH"]
        mounts = [{"folder": str(m.folder.resolve()), "path": m.path} for m in spec.mounts]
        if mounts and not await self._mounts_work():
            env["AZUREBOX_MOUNT"] = mounts[0]["folder"]
            mounts = []
        argv = [*spec.command, *spec.args]
        if not argv:
            argv = [""]  # ends as a start error: azurebox's images have no command of their own
        order = {"argv": argv, "env": env, "cwd": str(home), "mounts": mounts}
        code = await _run_supervisor(folder, json.dumps(order))
        if code != 0:
            self._event(folder, "StartError", f"The supervisor did not start; see {folder}")
            self._end(folder, "StartError")
            return
        self._event(folder, "ContainerStarted", f"Started container '{spec.name}'")

    async def _mounts_work(self) -> bool:
        if self._can_mount is None:
            self._can_mount = await asyncio.to_thread(can_mount)
            if not self._can_mount:
                _log.warning("no mount namespaces here; commands get AZUREBOX_MOUNT instead")
        return self._can_mount

    def _is_supervised(self, process: dict[str, Any]) -> bool:
        return is_alive(process["supervisor_pid"], process["supervisor_identity"])

    def _is_backing_off(self, folder: Path) -> bool:
        events = self.events(folder.name)
        return bool(events) and events[-1].reason == "ImagePullBackOff"

    def _lose(self, folder: Path) -> dict[str, Any]:
        """The supervisor is gone without a word: kill what it left and say so."""
        _kill_left_over(folder)
        return self._end(folder, "ContainerLost")

    def _end(self, folder: Path, reason: str) -> dict[str, Any]:
        """Write how the container ended where no supervisor does it."""
        ended = {
            "exit_code": _LOST_EXIT_CODE,
            "signal": None,
            "reason": reason,
            "ended_at": now_iso(),
        }
        write_json(folder / "exit.json", ended)
        return ended

    def _event(self, folder: Path, reason: str, message: str) -> None:
        line = json.dumps({"time": now_iso(), "reason": reason, "message": message})
        with open(folder / "events.jsonl", "a", encoding="utf-8") as stream:
            stream.write(line + "\n")


async def _run_supervisor(folder: Path, order: str) -> int:
    """Hand the order over by pipe and return once the command runs; the supervisor goes on."""
    package_root = str(Path(azurebox.__file__).parent.parent)
    python_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "azurebox.runtime.supervisor", str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": python_path},
        cwd="/",
        start_new_session=True,
    )
    await starter.communicate(order.encode())
    return starter.returncode or 0


def _kill_left_over(folder: Path) -> None:
    """SIGKILL to all that ran under a dead supervisor, known by the container's own layer at
    the head of PATH, which every process below it inherits and no other one has."""
    mark = str(folder / "layer" / "bin")
    for candidate in psutil.process_iter():
        try:
            if candidate.environ().get("PATH", "").split(os.pathsep)[0] == mark:
                candidate.kill()
        except (psutil.Error, OSError):
            continue
