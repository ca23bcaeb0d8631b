"""A run's log, live: log.txt on the share, read from a byte offset until the run has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tunesmith.core.json_values import number, words
from tunesmith.core.log_lines import LineCutter, parse_event
from tunesmith.core.messages import text
from tunesmith.core.ports import Files
from tunesmith.core.reporter import Event, LogLine, Reporter, Step
from tunesmith.core.run_state import is_final
from tunesmith.core.runs import Run
from tunesmith.ops.session import Session

POLL_FAST_S = 0.2
POLL_SLOW_S = 1.0
STATE_EVERY_S = 1.5
UNSTARTED_AT_MOST_S = 30.0
"""How long a run that nobody has started yet is waited for: its starter may be about to."""
BLOCK_BYTES = 1024 * 1024


@dataclass(slots=True)
class _Out:
    """Gives lines and events to the reporter. `seq`: the number of the next line."""

    reporter: Reporter
    seq: int

    def line(self, line: str) -> None:
        event = parse_event(line)
        if event is None:
            self.reporter.log(LogLine(self.seq, line))
            self.seq += 1
            return
        self.reporter.event(event)
        if event.kind == "progress" and (step := _progress(event)):
            self.reporter.step(step)


@dataclass(slots=True)
class _Waiting:
    """Says why nothing is printed yet, each reason once."""

    reporter: Reporter
    said: set[str] = field(default_factory=set[str])

    def say(self, sentence: str) -> None:
        if sentence not in self.said:
            self.said.add(sentence)
            self.reporter.step(Step(sentence))


async def follow(
    session: Session,
    log_path: str,
    cursor: int,
    read_state: Callable[[], Awaitable[Run]],
    first_seq: int = 0,
) -> tuple[Run, int]:
    """Report the log's lines from `cursor` until the run's state is final; return run and cursor.

    `first_seq`: the number of the first line, for a caller that has told some already.
    Being cancelled leaves nothing open: the run goes on. Raises: what the ports raise, when the far
    side stays away; a short absence (azurebox restarted) is waited out.
    """
    files = await session.files()
    out, waiting, cutter = (
        _Out(session.ctx.reporter, first_seq),
        _Waiting(session.ctx.reporter),
        LineCutter(cursor),
    )
    position, pause_s = cursor, POLL_FAST_S
    run = await session.patiently(read_state)
    unstarted_until = time.monotonic() + UNSTARTED_AT_MOST_S
    asked_at = time.monotonic()
    while True:
        at = position
        piece = await session.patiently(lambda at=at: files.read(log_path, at, BLOCK_BYTES))
        if piece:
            position += len(piece)
            for line in cutter.feed(piece):
                out.line(line)
            pause_s = POLL_FAST_S
            if len(piece) == BLOCK_BYTES:
                continue
        elif is_final(run.state) or (run.state == "created" and time.monotonic() > unstarted_until):
            break
        elif piece is None:
            waited_for = run
            await session.patiently(lambda r=waited_for: _say_why(session, r, waiting))
        if time.monotonic() - asked_at >= STATE_EVERY_S:
            run, asked_at = await session.patiently(read_state), time.monotonic()
            if is_final(run.state):
                continue
        await asyncio.sleep(pause_s)
        pause_s = min(POLL_SLOW_S, pause_s * 1.3)
    for line in cutter.flush():
        out.line(line)
    if position == 0:
        await _console(session, run, out)
    return run, cutter.cursor


async def read_lines(
    files: Files, log_path: str, cursor: int, tail: int | None, *, is_over: bool
) -> tuple[list[str], int]:
    """Return the log's whole lines from `cursor` on, events left out, and where to go on.

    `is_over`: nothing is written any more, so that what a kill left of a line is one, too.
    """
    cutter = LineCutter(cursor)
    lines: list[str] = []
    position = cursor
    while piece := await files.read(log_path, position, BLOCK_BYTES):
        position += len(piece)
        lines += [line for line in cutter.feed(piece) if parse_event(line) is None]
        if tail is not None and len(lines) > 4 * tail + 1000:
            del lines[: len(lines) - tail]
        if len(piece) < BLOCK_BYTES:
            break
    if is_over:
        lines += [line for line in cutter.flush() if parse_event(line) is None]
    if tail is not None:
        lines = lines[-tail:] if tail > 0 else []
    return lines, cutter.cursor


async def _say_why(session: Session, run: Run, waiting: _Waiting) -> None:
    waiting.say(text("run.queued", run=run.id))
    if not run.executions:
        return
    replicas = await session.runner().replicas(session.provisioned().job, run.executions[-1])
    for replica in replicas:
        if "PullingImage" in replica.detail:
            waiting.say(text("run.pulling"))
        elif "ImagePull" in replica.detail or "ErrImage" in replica.detail:
            waiting.say(text("run.pullFails", detail=replica.detail))


async def _console(session: Session, run: Run, out: _Out) -> None:
    """Show what the container printed, when its end came before there was a log on the share."""
    if not run.executions:
        return
    job = session.provisioned().job
    async for line in session.runner().console(job, run.executions[-1]):
        out.line(line)


def _progress(event: Event) -> Step | None:
    step, steps = number(event.data.get("step")), number(event.data.get("steps"))
    phase = words(event.data.get("phase"))
    if not steps or step is None:
        return Step(phase) if phase else None
    parts = [text("run.step", step=int(step), steps=int(steps))]
    if (loss := number(event.data.get("loss"))) is not None:
        parts.append(text("run.loss", loss=loss))
    if rate := number(event.data.get("tokens_per_s")):
        parts.append(text("run.rate", rate=rate))
    if (left_s := number(event.data.get("eta_s"))) is not None:
        parts.append(text("run.timeLeft", minutes=int(left_s // 60), seconds=int(left_s % 60)))
    return Step(", ".join(parts), step, steps)
