"""Long-running operations: from what a provider accepted to the answers a client polls.

They live in memory: who polls one across a restart of azurebox gets 404 and asks for the resource
itself, whose provider has taken the work up again.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from azurebox.errors import ArmError
from azurebox.front import json_answer
from azurebox.times import utc_now

log = logging.getLogger(__name__)

# How many ended operations are kept for clients that still poll.
KEPT = 1000


@dataclass(slots=True)
class Operation:
    """One piece of work; `result` gives the resource's view once it is done (None: it is gone)."""

    id: str
    started_at: str
    task: asyncio.Future[None] | None
    result: Callable[[], dict[str, Any] | None]

    @property
    def error(self) -> ArmError | None:
        """Why it failed, None while it runs or when it went well."""
        if self.task is None or not self.task.done():
            return None
        if self.task.cancelled():
            return ArmError(409, "OperationPreempted", "The operation was given up.")
        error = self.task.exception()
        if error is None or isinstance(error, ArmError):
            return error
        return ArmError(500, "InternalServerError", "The operation failed inside azurebox.")

    @property
    def is_done(self) -> bool:
        """Whether it ended, well or not."""
        return self.task is None or self.task.done()

    @property
    def status(self) -> str:
        """ARM's word for how it stands."""
        if not self.is_done:
            return "InProgress"
        return "Failed" if self.error else "Succeeded"


class Operations:
    """All operations by id."""

    def __init__(self) -> None:
        self._known: dict[str, Operation] = {}

    def start(
        self, done: Awaitable[None] | None, result: Callable[[], dict[str, Any] | None]
    ) -> Operation:
        """Follow the work; it is awaited here even when no client ever polls."""
        task = None if done is None else asyncio.ensure_future(done)
        if task is not None:
            task.add_done_callback(_note_failure)
        operation = Operation(str(uuid.uuid4()), utc_now(), task, result)
        self._known[operation.id] = operation
        while len(self._known) > KEPT:
            oldest = next(iter(self._known))
            if not self._known[oldest].is_done:
                break
            del self._known[oldest]
        return operation

    def get(self, id: str) -> Operation:
        """Raises: ArmError(404) for an id that was never given out, or long ago."""
        operation = self._known.get(id.lower())
        if operation is None:
            raise ArmError(404, "ResourceNotFound", f"The operation '{id}' was not found.")
        return operation

    def is_busy(self) -> bool:
        """Whether any operation still runs."""
        return any(not o.is_done for o in self._known.values())


def status_answer(operation: Operation, path: str) -> web.Response:
    """The body an Azure-AsyncOperation link answers: these keys and no others."""
    body: dict[str, Any] = {
        "id": path,
        "name": operation.id,
        "status": operation.status,
        "startTime": operation.started_at,
    }
    if operation.error:
        body["error"] = operation.error.body()["error"]
    return json_answer(body)


def result_answer(operation: Operation, link: str) -> web.Response:
    """What a Location link answers: 202 with itself, then 200 with the resource or 204."""
    if not operation.is_done:
        return web.Response(status=202, headers={"Location": link, "Retry-After": "1"})
    if operation.error:
        raise operation.error
    view = operation.result()
    return web.Response(status=204) if view is None else json_answer(view)


def _note_failure(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.warning(
            "an operation failed: %s",
            error,
            exc_info=None if isinstance(error, ArmError) else error,
        )
