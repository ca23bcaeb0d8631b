"""A bug of ours, kept for us: the details go to a file, the user gets its id and place."""

from __future__ import annotations

import os
import platform
import re
import secrets
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tunesmith import __version__

# Signatures in addresses, keys in headers and connection strings.
_SECRETS = re.compile(
    r"(?i)((?:\bsig|key|secret|token|password|signature)[\"']?\s*[=:]\s*[\"']?|bearer\s+|sharedkey\s+)"
    r"[^\s\"'&;,]+"
)


@dataclass(frozen=True, slots=True)
class BugReport:
    """`id` is what the user quotes; `path` the file with the details, empty if it could not be
    written."""

    id: str
    path: str


def write_bug_report(home: Path, what: str, error: BaseException) -> BugReport:
    """Write what is known of `error`, raised while doing `what`, below `home`/logs; never raise."""
    report = secrets.token_hex(4)
    now = datetime.now(UTC)
    lines = [
        f"report {report} at {now.isoformat(timespec='seconds')}",
        f"tunesmith {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"while: {what}",
        "",
        *traceback.format_exception(error),
    ]
    path = home / "logs" / f"{now:%Y%m%d-%H%M%S}-{report}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", opener=_private) as out:
            out.write(without_secrets("\n".join(lines)))
    except OSError:
        return BugReport(report, "")
    return BugReport(report, str(path))


def without_secrets(text: str) -> str:
    """Blank out what looks like a key, a token or a signature."""
    return _SECRETS.sub(r"\1***", text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
