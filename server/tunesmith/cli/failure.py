"""How a command that did not work says so: a sentence, a next step, an exit code, no traceback."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from tunesmith.cli import exit_codes
from tunesmith.cli.flags import command_line
from tunesmith.cli.usage import UsageError
from tunesmith.core.errors import ProjectError, TunesmithError
from tunesmith.core.messages import text
from tunesmith.ops import OPERATIONS
from tunesmith.ops.bug_report import write_bug_report
from tunesmith.ops.places import user_home

_DISK_REFUSES = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
)

_PROJECT_LINE = re.compile(r"\btunesmith (?:infra|run|endpoint|share) [a-z]+")


def refused(error: TunesmithError, *, as_json: bool) -> int:
    """Something the user can act on."""
    if as_json:
        _print_json(
            {
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "fix": fix_line(error),
                "retryable": error.retryable,
                "context": {key: _plain(value) for key, value in error.context.items()},
            }
        )
    else:
        _print(text("cli.error"), "1;31", error.message)
        hint = error.hint
        if (line := fix_line(error)) and line not in hint:
            hint += f"\n{line}" if hint else line
        for words in hint.splitlines():
            _print("  " + words)
    return exit_codes.REFUSED


def disk_refusal(error: OSError) -> TunesmithError | None:
    """Return what a user can act on: no right to write, no space, a working directory gone."""
    try:
        Path.cwd()
    except OSError:
        return ProjectError("project.folderGone")
    if error.filename is None:
        return None
    in_state = Path(os.fsdecode(error.filename)).is_relative_to(user_home())
    # The state folder is made when it is missing, so a missing one could not be made.
    if error.errno not in _DISK_REFUSES and not (in_state and error.errno == errno.ENOENT):
        return None
    return ProjectError("project.pathRefused", path=error.filename, reason=error.strerror)


def misused(error: UsageError, *, as_json: bool) -> int:
    """A command line that does not fit."""
    hint = text("cli.usage.hint", command=error.command)
    if as_json:
        _print_json({"code": "usage", "message": error.message, "hint": hint})
    else:
        _print(text("cli.error"), "1;31", error.message)
        _print("  " + hint)
    return exit_codes.USAGE


def bug(error: BaseException, what: str, *, as_json: bool) -> int:
    """A mistake of ours; the details are in a file."""
    report = write_bug_report(user_home(), what, error)
    message = text("errors.internal.bug.message", report=report.id)
    log = report.path or "(it could not be written)"
    hint = text("errors.internal.bug.hint", log=log)
    if as_json:
        _print_json({"code": "internal.bug", "message": message, "hint": hint, "report": report.id})
    else:
        _print(text("cli.error"), "1;31", message)
        _print("  " + hint)
    return exit_codes.BUG


def cancelled(still_running: str, *, as_json: bool, folder: str = "") -> int:
    """Ctrl+C. `still_running`: key of the sentence about what goes on elsewhere; `folder`: the
    project that its command lines must name, where the user does not stand in it."""
    sentence = text(still_running) if still_running else text("cli.cancelled.nothing")
    if folder:
        where = f" -C {shlex.quote(folder)}"
        sentence = _PROJECT_LINE.sub(lambda found: found[0] + where, sentence)
    if as_json:
        _print_json({"code": "cancelled", "message": text("cli.cancelled.title"), "hint": sentence})
    else:
        _print(text("cli.cancelled.title"), "1;33", sentence)
    return exit_codes.CANCELLED


def fix_line(error: TunesmithError) -> str:
    """The error's fix as a command line, empty when there is none."""
    operation = OPERATIONS.get(error.fix.command) if error.fix else None
    return command_line(operation, error.fix.args) if error.fix and operation else ""


def _plain(value: object) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _print_json(error: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"error": error}, ensure_ascii=False) + "\n")


def _print(head: str, colour: str = "", rest: str = "") -> None:
    if colour and sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        head = f"\x1b[{colour}m{head}\x1b[0m"
    sys.stderr.write(f"{head} {rest}".rstrip() + "\n")
