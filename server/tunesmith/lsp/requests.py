"""One operation as an LSP request: params in, progress on the way, result or typed error out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from pygls.lsp.server import LanguageServer

from tunesmith.core.errors import TunesmithError
from tunesmith.lsp import failures
from tunesmith.lsp.news import News
from tunesmith.ops.places import context_for
from tunesmith.ops.registry import Operation
from tunesmith.ops.wire import WireError, from_wire, to_wire

logger = logging.getLogger(__name__)

CANCEL_GRACE_S = 1.5
"""How long a cancelled operation may close what it opened before the client is answered anyway."""

_closing: set[asyncio.Task[Any]] = set()


def handler_of(
    operation: Operation, server: LanguageServer
) -> Callable[[Any], Awaitable[dict[str, Any]]]:
    """Return the async handler of an operation's requests.

    pygls cancels only handlers that are coroutines, so every one is.
    """

    async def handle(raw: Any) -> dict[str, Any]:
        try:
            params, token = _without_token(raw)
            structured = from_wire(operation.params, params)
        except WireError as error:
            raise failures.bad_params(error) from None
        news = News(server, token, operation.summary)
        work = operation.run(context_for(news), structured)
        task = asyncio.ensure_future(work)
        news.start(task)
        try:
            return cast("dict[str, Any]", to_wire(await _cancellable(task)))
        except TunesmithError as error:
            raise failures.refused(error) from error
        except Exception as error:
            raise failures.bug(error, operation.name) from error
        finally:
            news.end()

    return handle


async def _cancellable(task: asyncio.Task[Any]) -> Any:
    """Await `task`. When cancelled, cancel it and wait for its end, but not for ever."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=CANCEL_GRACE_S)
        for late in pending:
            _closing.add(late)
            late.add_done_callback(_closing.discard)
        for done in {task} - pending:
            if not done.cancelled() and done.exception() is not None:
                logger.warning("while cancelling: %s", done.exception())
        raise


def _without_token(raw: Any) -> tuple[Any, Any]:
    """Split the client's workDoneToken from the params; an absent object counts as an empty one.

    Raises: WireError for a token that LSP does not know.
    """
    if raw is None:
        return {}, None
    if not isinstance(raw, dict):
        return raw, None
    params = dict(cast("dict[str, Any]", raw))
    token = params.pop("workDoneToken", None)
    if token is not None and type(token) not in (int, str):
        raise WireError({"workDoneToken": "expected a string or an integer"})
    return params, token
