"""An operation's news as notifications: progress on the client's token, log lines, events."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Any, cast

from lsprotocol.types import WorkDoneProgressBegin, WorkDoneProgressEnd, WorkDoneProgressReport
from pygls.lsp.server import LanguageServer

from tunesmith.core.reporter import Event, LogLine, Step
from tunesmith.lsp.protocol import EVENT, LOG_LINES

INTERVAL_S = 0.25
"""Between two notifications of one kind: a fast log must not drown the editor."""
LARGEST_BYTES = 64 * 1024
"""Of one notification's lines; what came before is counted in `dropped`."""


class News:
    """A Reporter for one request. `start` before the work, `end` after it in every case.

    `token` is the client's workDoneToken, None when it wants no progress; it comes back in the log
    lines and events, so that a client can tell them apart.
    """

    def __init__(self, server: LanguageServer, token: Any, title: str) -> None:
        self._server = server
        self._token = token
        self._title = title
        self._loop = asyncio.get_running_loop()
        self._lines: deque[dict[str, Any]] = deque()
        self._line_bytes = 0
        self._dropped = 0
        self._waiting_step: WorkDoneProgressReport | None = None
        self._lines_timer: asyncio.TimerHandle | None = None
        self._step_timer: asyncio.TimerHandle | None = None
        self._lines_sent_at = self._step_sent_at = -INTERVAL_S

    def start(self, task: asyncio.Task[Any]) -> None:
        """Begin the progress; a `window/workDoneProgress/cancel` of it cancels `task`."""
        if self._token is None:
            return
        progress = self._server.work_done_progress
        progress.begin(self._token, WorkDoneProgressBegin(title=self._title, cancellable=True))
        self._tokens()[self._token].add_done_callback(lambda _: task.cancel())

    def end(self) -> None:
        """Send what is held back, end the progress and forget the token."""
        for timer in (self._lines_timer, self._step_timer):
            if timer is not None:
                timer.cancel()
        if self._lines or self._dropped:
            self._send_lines()
        if self._token is not None:
            progress = self._server.work_done_progress
            progress.end(self._token, WorkDoneProgressEnd())
            # pygls never forgets one by itself, and refuses it when a client uses it again.
            self._tokens().pop(self._token, None)

    def _tokens(self) -> dict[Any, Future[Any]]:
        return cast("dict[Any, Future[Any]]", self._server.work_done_progress.tokens)  # pyright: ignore[reportUnknownMemberType]

    def step(self, step: Step) -> None:
        """Report where the operation is."""
        share = None
        if step.total and step.done is not None:
            share = min(int(100 * step.done / step.total), 100)
        self._report(WorkDoneProgressReport(message=step.message, percentage=share))

    def log(self, line: LogLine) -> None:
        """Pass on a line, at once when it is quiet and in a bundle otherwise."""
        item = {"seq": line.seq, "text": line.text, "source": line.source, "level": line.level}
        self._lines.append(item)
        self._line_bytes += len(line.text)
        while self._line_bytes > LARGEST_BYTES and len(self._lines) > 1:
            self._line_bytes -= len(self._lines.popleft()["text"])
            self._dropped += 1
        if self._lines_timer is None:
            wait = self._lines_sent_at + INTERVAL_S - self._loop.time()
            self._lines_timer = self._loop.call_later(max(wait, 0), self._send_lines)

    def event(self, event: Event) -> None:
        """Pass on an event as it is. The operation tells its progress in words beside it."""
        params = {"token": self._token, "kind": event.kind, "data": event.data}
        self._server.protocol.notify(EVENT, params)

    def warn(self, message: str) -> None:
        """Pass on a warning as a line of the system."""
        self.log(LogLine(seq=-1, text=message, source="system", level="warning"))

    def _report(self, value: WorkDoneProgressReport) -> None:
        if self._token is None:
            return
        self._waiting_step = value
        if self._step_timer is None:
            wait = self._step_sent_at + INTERVAL_S - self._loop.time()
            self._step_timer = self._loop.call_later(max(wait, 0), self._send_step)

    def _send_step(self) -> None:
        self._step_timer = None
        if self._waiting_step is not None:
            self._step_sent_at = self._loop.time()
            self._server.work_done_progress.report(self._token, self._waiting_step)
            self._waiting_step = None

    def _send_lines(self) -> None:
        self._lines_timer = None
        self._lines_sent_at = self._loop.time()
        params = {"token": self._token, "lines": list(self._lines), "dropped": self._dropped}
        self._lines.clear()
        self._line_bytes = self._dropped = 0
        self._server.protocol.notify(LOG_LINES, params)
