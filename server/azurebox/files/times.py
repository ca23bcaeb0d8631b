"""Times as the service writes them: 100 ns ticks, seven digits, and ETags made of ticks."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import formatdate

from azurebox.files.errors import FilesError

_TICKS_TO_1970 = 621_355_968_000_000_000


def iso(time_ns: int) -> str:
    """Return such as 2024-06-20T04:27:43.4146374Z. `time_ns`: since 1970."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest_ns // 100:07d}Z"


def http_date(time_ns: int) -> str:
    """Return the time to the second, as HTTP's headers have it."""
    return formatdate(time_ns // 1_000_000_000, usegmt=True)


def etag(time_ns: int) -> str:
    """Return the ETag of a last change: its .NET ticks in hex."""
    return f'"0x{time_ns // 100 + _TICKS_TO_1970:X}"'


def parse_iso(text: str) -> int:
    """Return nanoseconds since 1970. Raises: FilesError("InvalidHeaderValue")."""
    head, _, tail = text.rstrip("Z").partition(".")
    try:
        whole = datetime.fromisoformat(head).replace(tzinfo=UTC)
        rest_ns = int(tail[:9].ljust(9, "0")) if tail else 0
    except ValueError:
        raise FilesError("InvalidHeaderValue") from None
    return int(whole.timestamp()) * 1_000_000_000 + rest_ns


def change_ns(status: os.stat_result) -> int:
    """Return when the file last changed in any way; moved by writes and by our own touches."""
    return max(status.st_ctime_ns, status.st_mtime_ns)
