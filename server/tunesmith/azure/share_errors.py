"""What the files service's refusals mean to a user."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from tunesmith.core.errors import ShareError

_FULL = re.compile(r"Quota|SizeLimit|InsufficientStorage|DiskFull|ShareFull", re.IGNORECASE)
_IN_USE = ("SharingViolation", "FileLockConflict", "DeletePending", "CannotDeleteFileOrDirectory")


@contextmanager
def share_told(share: str, path: str) -> Generator[None]:
    """Turn an SDK's exception inside the block into a ShareError about `path`."""
    try:
        yield
    except ServiceRequestError as e:
        raise ShareError("share.unreachable", share=share, reason=_line(e), retryable=True) from e
    except ServiceResponseError as e:
        raise ShareError("share.cutOff", share=share, path=path, retryable=True) from e
    except HttpResponseError as e:
        raise _from_answer(share, path, e) from e
    except AzureError as e:  # the SDK's own check of a checksum, among others
        raise ShareError("share.notVerified", path=path, reason=_line(e), retryable=True) from e


def error_code(e: HttpResponseError) -> str:
    """Return the service's code of an error answer, "" when it has none."""
    return str(getattr(e, "error_code", None) or "").rpartition(".")[2]


def _from_answer(share: str, path: str, e: HttpResponseError) -> ShareError:
    code = _wire_code(e)
    if code == "ShareNotFound":
        return ShareError("share.missing", share=share)
    if e.status_code in (401, 403):
        return ShareError("share.noAccess", share=share, answer=code, reason=_line(e))
    if code in ("Md5Mismatch", "Crc64Mismatch"):
        return ShareError("share.notVerified", path=path, reason=code, retryable=True)
    if _FULL.search(code):
        return ShareError("share.full", share=share, path=path)
    if code in _IN_USE:
        return ShareError("share.inUse", path=path, retryable=True)
    return ShareError(
        "share.refused",
        share=share,
        path=path,
        answer=code,
        reason=_line(e),
        retryable=(e.status_code or 0) >= 500,
    )


def _wire_code(e: HttpResponseError) -> str:
    response: Any = e.response
    header = response.headers.get("x-ms-error-code") if response is not None else None
    return str(header or error_code(e) or f"HTTP {e.status_code}")


def _line(e: AzureError) -> str:
    first = (str(e.message or "").splitlines() or [""])[0]
    return first.strip().rstrip(".")[:300] or type(e).__name__
