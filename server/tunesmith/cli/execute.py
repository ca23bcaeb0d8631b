"""Runs one operation for a terminal: plan, question, progress, result, and what Ctrl+C means."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from tunesmith.cli import exit_codes
from tunesmith.cli.flags import GlobalFlags
from tunesmith.cli.progress import WithoutNoise, reporting
from tunesmith.cli.render import show, show_plan
from tunesmith.cli.terminal import Terminal
from tunesmith.cli.usage import UsageError
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan
from tunesmith.ops.places import context_for
from tunesmith.ops.registry import Operation

R = TypeVar("R")


class Cancelled(Exception):
    """The user stopped waiting. `still_running`: key of the sentence that says what goes on."""

    def __init__(self, still_running: str) -> None:
        self.still_running = still_running
        super().__init__(still_running)


def execute(operation: Operation, params: Any, terminal: Terminal, flags: GlobalFlags) -> int:
    """Run `operation` and show its result. Returns the exit code.

    Raises: TunesmithError, UsageError when a question cannot be asked, Cancelled.
    """
    if operation.confirm and not params.dry_run and not approve(operation, params, terminal, flags):
        return exit_codes.OK
    result = call(operation, params, terminal, quiet=flags.json)
    if flags.json:
        _print_json(result)
    else:
        show(terminal, operation.name, params, result)
    return exit_code_of(params, result)


def approve(operation: Operation, params: Any, terminal: Terminal, flags: GlobalFlags) -> bool:
    """Show the plan and ask. True at once with -y, and when nothing would change.

    Raises: UsageError where nobody can be asked.
    """
    command = "tunesmith " + operation.name.replace("/", " ")
    if not flags.yes and (flags.json or not terminal.is_interactive):
        raise UsageError(text("cli.confirm.nobody", command=command), command)
    if flags.json:
        return True
    plan: Plan = call(operation, replace(params, dry_run=True), terminal).plan
    if plan.rows or plan.warnings:
        show_plan(terminal, plan)
    if flags.yes or not plan.changes:
        return True
    # What only deletes is not done by Enter alone.
    is_taken_down = {row.action for row in plan.rows} <= {"delete", "keep"}
    question = "cli.confirm.deletion" if is_taken_down else "cli.confirm.question"
    if not _ask(terminal, text(question), default=not is_taken_down):
        terminal.err.print(text("cli.confirm.declined"), style="hint")
        return False
    return True


def call(
    operation: Operation,
    params: Any,
    terminal: Terminal,
    *,
    quiet: bool = False,
    filter_noise: bool = False,
) -> Any:
    """Await the operation with its progress on the terminal. `filter_noise` leaves out the log
    lines of a package installer that finds everything there.

    Raises: TunesmithError, Cancelled.
    """
    with reporting(terminal, quiet=quiet) as reporter:
        heard = WithoutNoise(reporter) if filter_noise else reporter
        return wait_for(operation.run(context_for(heard), params), operation.still_running)


def wait_for(work: Awaitable[R], still_running: str) -> R:
    """Run `work` on a loop of its own. Ctrl+C and SIGTERM cancel it, a second Ctrl+C breaks off.

    Raises: Cancelled.
    """
    with asyncio.Runner() as runner:
        try:
            return runner.run(_with_sigterm(work))
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise Cancelled(still_running) from None


async def _with_sigterm(work: Awaitable[R]) -> R:
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def exit_code_of(params: Any, result: Any) -> int:
    """1 when the result itself is bad news: errors in files, an unhealthy machine, a failed run."""
    if getattr(result, "errors", 0) or getattr(result, "healthy", True) is False:
        return exit_codes.REFUSED
    run = getattr(result, "run", None)
    if getattr(params, "follow", False) and getattr(run, "state", "") in ("failed", "interrupted"):
        return exit_codes.REFUSED
    return exit_codes.OK


def _ask(terminal: Terminal, question: str, *, default: bool) -> bool:
    terminal.err.print(question, end=" ", style="bold")
    try:
        answer = input()
    except EOFError:
        return False
    except KeyboardInterrupt:
        raise Cancelled("cli.cancelled.notStarted") from None
    typed = answer.strip().lower()
    return typed in ("y", "yes") or (default and not typed)


def _print_json(result: Any) -> None:
    import orjson

    from tunesmith.ops.wire import to_wire

    sys.stdout.write(orjson.dumps(to_wire(result), option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
