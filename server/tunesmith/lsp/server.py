"""The language server: our operations and `hello` on pygls, over stdin and stdout.

It keeps no state between requests and loads no Azure SDK, no model and no torch by itself; the
operations import what they need when they run.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from dataclasses import dataclass
from typing import Any, cast

from pygls.lsp.server import LanguageServer

from tunesmith import __version__
from tunesmith.core.errors import TunesmithError
from tunesmith.lsp import failures
from tunesmith.lsp.protocol import HELLO, PREFIX, PROTOCOL_VERSION, Protocol
from tunesmith.lsp.requests import handler_of
from tunesmith.ops import OPERATIONS
from tunesmith.ops.wire import WireError, from_wire, to_wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first request. `protocol`: the client's PROTOCOL_VERSION; `client`: its name."""

    protocol: int
    client: str = ""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the server is; `methods` are the requests that it answers."""

    protocol: int
    version: str
    methods: tuple[str, ...]


def make_server() -> LanguageServer:
    """Build the server with every operation registered."""
    server = LanguageServer("tunesmith", __version__, protocol_cls=Protocol)
    methods = [PREFIX + name for name in OPERATIONS]

    async def hello(raw: Any) -> dict[str, Any]:
        try:
            greeting = from_wire(Hello, raw)
        except WireError as error:
            raise failures.bad_params(error) from None
        if greeting.protocol != PROTOCOL_VERSION:
            error = TunesmithError(
                "protocol.mismatch", client=greeting.protocol, server=PROTOCOL_VERSION
            )
            raise failures.refused(error)
        welcome = Welcome(PROTOCOL_VERSION, __version__, (HELLO, *methods))
        return cast("dict[str, Any]", to_wire(welcome))

    server.feature(HELLO)(hello)
    for name, operation in OPERATIONS.items():
        server.feature(PREFIX + name)(handler_of(operation, server))
    return server


def serve_stdio() -> None:
    """Serve until the client leaves. Nothing else can write into the protocol's stream."""
    stdin, stdout = _take_streams()
    _set_up_logging()
    make_server().start_io(stdin, stdout)


def _take_streams() -> tuple[io.BufferedReader, io.BufferedWriter]:
    """Move stdin and stdout to descriptors of our own.

    What a library prints, and what a child process inherits, goes to stderr and comes from nowhere.
    """
    stdin = os.fdopen(os.dup(0), "rb")
    stdout = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdin, stdout


def _set_up_logging() -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("TUNESMITH_LOG", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # At INFO pygls logs every body that it sends, and azure every request.
    for name in ("pygls", "azure", "msal", "urllib3", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    quiet = failures.QuietAboutAnswers()
    for handler in logging.getLogger().handlers:
        handler.addFilter(quiet)
