"""Python's errors as JSON-RPC errors: typed, without a traceback, with what a client can act on."""

from __future__ import annotations

import logging
from typing import Any

from pygls.exceptions import JsonRpcException

from tunesmith.core.errors import TunesmithError
from tunesmith.core.messages import text
from tunesmith.lsp.protocol import INTERNAL, PARSE_OF_PARAMS, REQUEST_FAILED
from tunesmith.ops.bug_report import write_bug_report
from tunesmith.ops.places import user_home
from tunesmith.ops.wire import WireError, camel

logger = logging.getLogger(__name__)


def refused(error: TunesmithError) -> JsonRpcException:
    """Something the user can act on."""
    fix = None
    if error.fix is not None:
        args = {camel(name): value for name, value in error.fix.args.items()}
        fix = {"title": error.fix.title, "command": error.fix.command, "args": args}
    data = {
        "code": error.code,
        "hint": error.hint,
        "fix": fix,
        "context": {camel(name): _plain(value) for name, value in error.context.items()},
        "retryable": error.retryable,
    }
    return JsonRpcException(error.message, code=REQUEST_FAILED, data=data)


def bad_params(error: WireError) -> JsonRpcException:
    """Params that do not fit; `data.fields` says where and why."""
    message = text("lsp.badParams", fields=str(error))
    data = {"code": "params.invalid", "fields": error.fields}
    return JsonRpcException(message, code=PARSE_OF_PARAMS, data=data)


def bug(error: Exception, method: str) -> JsonRpcException:
    """A mistake of ours; the client gets an id and a place, the file the details."""
    report = write_bug_report(user_home(), method, error)
    logger.error("%s failed, report %s in %s", method, report.id, report.path or "no file")
    data = {
        "code": "internal.bug",
        "report": report.id,
        "log": report.path,
        "hint": text("errors.internal.bug.hint", log=report.path),
    }
    return JsonRpcException(
        text("errors.internal.bug.message", report=report.id), code=INTERNAL, data=data
    )


def _plain(value: object) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


class QuietAboutAnswers(logging.Filter):
    """Drops pygls' tracebacks about errors that were answered as they should be."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep everything but exceptions that already went to the client."""
        return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException))
