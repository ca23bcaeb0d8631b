"""From HTTP to the engine and back: bodies read leniently, links for clients that poll."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from aiohttp import web

from azurebox.arm.lenient_json import JsonError, locate, read_json
from azurebox.arm.refusals import TemplateError
from azurebox.errors import ArmError

T = TypeVar("T")
Handler = Callable[..., Awaitable[web.StreamResponse]]


class Router(Protocol):
    """Where handlers are mounted: patterns such as /subscriptions/{sub}/resourcegroups/{rg}."""

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Answer a method and path, its segments compared without regard to case."""
        ...


@dataclass(frozen=True, slots=True)
class Body:
    """A request's JSON object and its text, for the places in error answers."""

    value: dict[str, Any]
    text: str

    def checked(self, compute: Callable[[], T]) -> T:
        """Return compute(), a TemplateError turned into ARM's answer with line and column."""
        try:
            return compute()
        except TemplateError as e:
            line, column = locate(self.text, e.path)
            message = e.message.replace("{line}", str(line)).replace("{column}", str(column))
            raise TemplateError(message, e.path, e.code).to_arm(line, column) from e


async def read_body(request: web.Request, *, optional: bool = False) -> Body:
    """Return the request's body. Raises: ArmError(400, "InvalidRequestContent")."""
    text = (await request.read()).decode("utf-8-sig", "replace")
    if optional and not text.strip():
        return Body({}, "")
    try:
        value = read_json(text)
    except JsonError as e:
        raise ArmError(
            400,
            "InvalidRequestContent",
            f"The request content was invalid and could not be deserialized: '{e}'.",
        ) from e
    if not isinstance(value, dict):
        raise ArmError(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: 'a JSON object is"
            " expected'.",
        )
    return Body(cast("dict[str, Any]", value), text)


def deployment_properties(body: Body) -> dict[str, Any]:
    """Return what a deployment's body asks for.

    Raises: ArmError(400, "InvalidRequestContent") for one without a template.
    """
    properties = body.value.get("properties")
    known = cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}
    if "template" not in known and "templateLink" not in known:
        raise ArmError(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: 'Required property"
            " 'properties' with a 'template' not found in JSON'.",
        )
    return known


def link(request: web.Request, path: str) -> str:
    """Return an address on this server with the request's api-version."""
    version = request.query.get("api-version", "")
    return f"{request.scheme}://{request.host}{path}?api-version={version}"


class OperationResults:
    """Work that a client follows at /subscriptions/{sub}/operationresults/{id}.

    Kept in memory: after a restart an id is answered like work that has ended once none goes on.
    """

    def __init__(self) -> None:
        self._results: dict[str, asyncio.Task[Any]] = {}

    def follow(self, request: web.Request, subscription: str, task: asyncio.Task[Any]) -> str:
        """Return the address where the task's end can be seen."""
        return link(request, f"/subscriptions/{subscription}/operationresults/{self.keep(task)}")

    def keep(self, task: asyncio.Task[Any]) -> str:
        """Own the task from now on; returns its id."""
        key = uuid.uuid4().hex
        self._results[key] = task
        while len(self._results) > 1000:
            self._results.pop(next(iter(self._results)))
        return key

    async def get(self, request: web.Request, sub: str, id: str) -> web.StreamResponse:
        """Answer 202 while the work goes on, then 200 with its result ("" for none) or 204."""
        task = self._results.get(id)
        if task is not None and not task.done():
            # A short wait saves the client a whole polling interval.
            await asyncio.wait([task], timeout=0.05)
        if self.is_busy if task is None else not task.done():
            here = link(request, f"/subscriptions/{sub}/operationresults/{id}")
            return web.Response(status=202, headers={"Location": here, "Retry-After": "1"})
        answer = None if task is None else task.result()
        if answer is None:
            return web.Response(status=204)
        return web.json_response(answer) if answer else web.Response(status=200)

    @property
    def is_busy(self) -> bool:
        """Whether any followed work still goes on."""
        return any(not task.done() for task in self._results.values())

    async def close(self) -> None:
        """Give up what still goes on."""
        tasks = [task for task in self._results.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
