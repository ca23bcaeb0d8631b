"""Log and event streams of jobs and apps, under the paths that az and the SDK's links name.

Source: recorded streams of the service, and the CLI's own requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiohttp import web

from azurebox.errors import ArmError
from azurebox.front import Router
from azurebox.providers.common import JsonObject, require
from azurebox.providers.executions import EXECUTION, JOB, Executions
from azurebox.providers.log_tokens import LogTokens
from azurebox.providers.revisions import APP, REVISION, Revisions
from azurebox.resource_id import ResourceId
from azurebox.runtime.base import Runtime
from azurebox.store import ResourceStore

MAX_TAIL_LINES = 300
_GROUP = "/subscriptions/{sub}/resourceGroups/{group}"
_T = TypeVar("_T")


class LogStreams:
    """The handlers. Streams check their own token (getAuthToken), not ARM's."""

    def __init__(
        self,
        store: ResourceStore,
        runtime: Runtime,
        executions: Executions,
        revisions: Revisions,
        tokens: LogTokens,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._executions = executions
        self._revisions = revisions
        self._tokens = tokens

    def mount(self, router: Router) -> None:
        """Add the routes."""
        tail = "/replicas/{replica}/containers/{container}/logstream"
        job = _GROUP + "/jobs/{name}/executions/{owner}"
        app = _GROUP + "/containerApps/{name}/revisions/{owner}"
        router.add("GET", job + tail, self.job_log, is_open=True)
        router.add("GET", app + tail, self.app_log, is_open=True)
        # The service's links say containerApps for jobs too; clients also ask below jobs.
        for kind in ("containerApps", "jobs"):
            path = _GROUP + "/" + kind + "/{name}/eventstream"
            router.add("GET", path, self.event_log, is_open=True)

    async def job_log(self, request: web.Request, **names: str) -> web.StreamResponse:
        """What a container of an execution printed."""
        self._check(request, JOB, names)
        execution = require(self._store, _id(EXECUTION, names, names["owner"]))
        for replica in self._executions.replicas(execution):
            if str(replica["name"]).lower() == names["replica"].lower():
                full_name = replica["containers"].get(names["container"])
                where = f"[Execution: '{execution.id.name}', Replica: '{replica['name']}']"
                return await self._send_log(request, names["container"], full_name, where)
        raise _no_replica(names["replica"])

    async def app_log(self, request: web.Request, **names: str) -> web.StreamResponse:
        """What the container of a revision's replica printed since it last started."""
        self._check(request, APP, names)
        revision = require(self._store, _id(REVISION, names, names["owner"]))
        replica = self._revisions.replica(revision)
        if str(replica.get("name", "")).lower() != names["replica"].lower():
            raise _no_replica(names["replica"])
        full_name = str(replica["container"])
        # The service itself has the two the wrong way round.
        where = f"[Revision: '{replica['name']}', Replica: '{revision.id.name}']"
        return await self._send_log(request, names["container"], full_name, where)

    async def event_log(self, request: web.Request, **names: str) -> web.StreamResponse:
        """What happened to the containers of an app or a job: pulled, started, ended."""
        kind = next((k for k in (APP, JOB) if self._store.get(_id(k, names))), None)
        if kind is None:
            raise ArmError(404, "ResourceNotFound", f"'{names['name']}' was not found.")
        self._check(request, kind, names)
        follow, tail = _options(request)
        seen: int | None = None
        async with _lines(request) as send:
            await send(_event_line(None, "Connecting to the events collector...", "Starting"))
            await send(_event_line(None, "Successfully connected to events server", "Connected"))
            while True:
                rows = self._event_rows(kind, names)
                if seen is None:
                    seen = 0 if tail is None else max(0, len(rows) - tail)
                for row in rows[seen:]:
                    await send(row)
                seen = len(rows)
                if not follow or _is_gone(request):
                    break
                await asyncio.sleep(0.5)
        return send.response

    def _event_rows(self, kind: str, names: dict[str, str]) -> list[JsonObject]:
        parent = _id(kind, names)
        rows: list[JsonObject] = []
        if kind == JOB:
            owners = reversed(self._executions.list(parent))
            found = [(o, r) for o in owners for r in self._executions.replicas(o)]
            containers = [
                (o.id.name, str(r["name"]), str(n))
                for o, r in found
                for n in r["containers"].values()
            ]
        else:
            revisions = [(o, self._revisions.replica(o)) for o in self._revisions.list(parent)]
            containers = [
                (o.id.name, str(r["name"]), str(r["container"])) for o, r in revisions if r
            ]
        for owner, replica, container in containers:
            for event in self._runtime.events(container):
                about = (parent.name, owner, replica)
                rows.append(_event_line(about, event.message, event.reason, event.time))
        return rows

    async def _send_log(
        self, request: web.Request, container: str, full_name: str | None, where: str
    ) -> web.StreamResponse:
        if full_name is None:
            raise ArmError(404, "ContainerNotFound", f"No container '{container}' in the replica.")
        follow, tail = _options(request)
        async with _lines(request) as send:
            await send(
                {"TimeStamp": _now(), "Log": f"Connecting to the container '{container}'..."}
            )
            if follow:
                await self._started(request, full_name)
            hello = f"Successfully Connected to container: '{container}' {where}"
            await send({"TimeStamp": _now(), "Log": hello})
            lines = self._runtime.log(full_name, follow=follow, tail=tail)
            async for time, line in _while_connected(request, lines):
                await send({"TimeStamp": _bare(time), "Log": line})
        return send.response

    async def _started(self, request: web.Request, full_name: str) -> None:
        """Wait while the image is pulled; an ended or unknown container waits for nothing."""
        while not _is_gone(request):
            status = self._runtime.status(full_name)
            is_coming = status is not None and status.state == "waiting"
            if not is_coming or (status and status.reason == "ImagePullBackOff"):
                return
            await asyncio.sleep(0.2)

    def _check(self, request: web.Request, kind: str, names: dict[str, str]) -> None:
        self._tokens.check(request.headers.get("Authorization"), _id(kind, names))


class _Sender:
    """Writes objects as lines, in the form the client asked for."""

    def __init__(self, response: web.StreamResponse, *, is_json: bool) -> None:
        self.response = response
        self._is_json = is_json

    async def __call__(self, row: JsonObject) -> None:
        if self._is_json:
            text = "{" + ",".join(f'"{k}":{_json_value(v)}' for k, v in row.items()) + "}"
        else:
            text = f"{row['TimeStamp']} {row.get('Log', row.get('Msg', ''))}"
        await self.response.write(text.encode("utf-8", "backslashreplace") + b"\n")


@contextlib.asynccontextmanager
async def _lines(request: web.Request) -> AsyncGenerator[_Sender]:
    """A chunked answer; a client that leaves ends it without a sound."""
    response = web.StreamResponse(headers={"x-powered-by": "ASP.NET"})
    is_json = request.query.get("output", "json").lower() != "text"
    response.content_type = "application/json" if is_json else "text/plain"
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        yield _Sender(response, is_json=is_json)
        await response.write_eof()


async def _while_connected(request: web.Request, source: AsyncIterator[_T]) -> AsyncIterator[_T]:
    """Pass items on until the source ends or the client is gone; a quiet source is no reason to
    keep a handler for a client that left."""
    pending: asyncio.Task[_T] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(source))
            done, _ = await asyncio.wait({pending}, timeout=1.0)
            if not done:
                if _is_gone(request):
                    return
                continue
            try:
                item = pending.result()
            except StopAsyncIteration:
                return
            pending = None
            yield item
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def _next(source: AsyncIterator[_T]) -> _T:
    return await anext(source)


def _options(request: web.Request) -> tuple[bool, int | None]:
    """Read follow and tailLines. Raises: ArmError(400) for a tail that is no number of lines."""
    follow = request.query.get("follow", "false").lower() == "true"
    text = request.query.get("tailLines", "")
    if not text:
        return follow, None
    if not text.isdigit() or int(text) > MAX_TAIL_LINES:
        raise ArmError(
            400, "InvalidTailLines", f"tailLines must be between 0 and {MAX_TAIL_LINES}."
        )
    return follow, int(text)


def _event_line(
    about: tuple[str, str, str] | None, message: str, reason: str, time: str | None = None
) -> JsonObject:
    if about is None:
        reason = {"Starting": "StartingGettingEvents", "Connected": "ConnectedToEventsServer"}[
            reason
        ]
    app, revision, replica = about or (None, None, None)
    is_bad = reason.startswith(("Failed", "ImagePullBackOff", "ErrImage", "BackOff", "OOM"))
    return {
        "TimeStamp": time or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Type": "Warning" if is_bad else "Normal",
        "ContainerAppName": app,
        "RevisionName": revision,
        "ReplicaName": replica,
        "Msg": message,
        "Reason": reason,
        "EventSource": "ContainerAppController",
        "Count": 1,
    }


def _json_value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    return f'"{_ESCAPED.sub(_escape, str(value))}"'


# The service's encoder escapes these and everything that is not ASCII.
_ESCAPED = re.compile(r"[\"'&<>+`\\]|[^\x20-\x7e]")
_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    if char in _SHORT:
        return _SHORT[char]
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02X}{units[i + 1]:02X}" for i in range(0, len(units), 2))


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-1]


def _bare(time: str) -> str:
    """The time without its zone, as the service writes it in streams."""
    return time.removesuffix("Z").removesuffix("+00:00")


def _id(type: str, names: dict[str, str], owner: str | None = None) -> ResourceId:
    own = (names["name"],) if owner is None else (names["name"], owner)
    return ResourceId(names["sub"], names["group"], type, own)


def _no_replica(name: str) -> ArmError:
    return ArmError(404, "ReplicaNotFound", f"No replica '{name}' was found.")
