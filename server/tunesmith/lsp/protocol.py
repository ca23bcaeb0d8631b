"""What differs from plain LSP: raw params for our own methods, and their names.

pygls 2 turns the params of an unknown method into a namedtuple, which loses keys such as "MY-VAR",
and answers nothing at all when a typed message does not fit. So our messages are taken as they are
and structured by tunesmith.ops.wire, which names every bad field.
"""

from __future__ import annotations

from typing import Any

import attrs
from pygls.protocol import LanguageServerProtocol

PREFIX = "tunesmith/"
HELLO = "tunesmith/hello"
LOG_LINES = "tunesmith/logLines"
EVENT = "tunesmith/event"

PROTOCOL_VERSION = 1
"""Raised when a message changes its meaning; a client of another number is refused by hello."""

PARSE_OF_PARAMS = -32602
INTERNAL = -32603
REQUEST_FAILED = -32803
"""LSP's own RequestFailed: every refusal that a user can act on, told apart by `data.code`."""


@attrs.define
class RawRequest:
    """A request to one of our methods; `params` is the decoded JSON, untouched."""

    id: Any
    method: str
    params: Any = None
    jsonrpc: str = "2.0"


@attrs.define
class RawNotification:
    """A notification to or from us; `params` travels untouched."""

    method: str
    params: Any = None
    jsonrpc: str = "2.0"


_NOTIFICATIONS = (LOG_LINES, EVENT)


class Protocol(LanguageServerProtocol):
    """LSP with our raw messages in it."""

    def get_message_type(  # pyright: ignore[reportIncompatibleVariableOverride]  # a cached function
        self, method: str
    ) -> type[Any] | None:
        """Return the class that carries messages of `method`."""
        if method in _NOTIFICATIONS:
            return RawNotification
        if method.startswith(PREFIX):
            return RawRequest
        return super().get_message_type(method)
