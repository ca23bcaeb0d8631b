"""What Azure refuses, in our words: one table from ARM's codes to ours."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from tunesmith.core.errors import AuthError, InfraError, TargetError, TunesmithError
from tunesmith.core.json_values import items, mapping, words


@dataclass(frozen=True, slots=True)
class _Rule:
    """`arm_code`: matched at the start of the innermost ARM code, without regard to case."""

    arm_code: str
    error: type[TunesmithError]
    code: str
    retryable: bool = False


_RULES = (
    _Rule("AuthorizationFailed|LinkedAuthorization|RoleAssignment", AuthError, "auth.forbidden"),
    _Rule("(Invalid|Expired)AuthenticationToken", AuthError, "auth.required"),
    _Rule("AuthenticationFailed", AuthError, "auth.required"),
    _Rule("SubscriptionNotFound|InvalidSubscriptionId", TargetError, "target.subscription"),
    _Rule(".*Quota|MaxRegional|.*Capacity|SkuNotAvailable", InfraError, "infra.quota"),
    _Rule("DeploymentActive|.*Conflict|.*InProgress", InfraError, "infra.conflict", True),
    _Rule("AnotherOperation|.*AlreadyTaken|.*AlreadyInUse", InfraError, "infra.conflict", True),
    _Rule("TooManyRequests|429|.*Throttl|ServerBusy", InfraError, "infra.throttled", True),
    _Rule("MissingSubscriptionReg|NoRegisteredProvider", InfraError, "infra.provider"),
    _Rule("Invalid|ValidationForResource", InfraError, "infra.invalid"),
    _Rule("Deployment|ResourceDeploymentFailure|Failed", InfraError, "infra.failed"),
)


@contextmanager
def told(subject: str) -> Generator[None]:
    """Turn an SDK's exception inside the block into a TunesmithError about `subject`."""
    try:
        yield
    except ServiceRequestError as e:
        raise TargetError(
            "target.unreachable", reason=_first_line(e.message), retryable=True
        ) from e
    except ServiceResponseError as e:
        raise TargetError("target.cutOff", reason=_first_line(e.message), retryable=True) from e
    except ClientAuthenticationError as e:
        if e.response is None or e.status_code == 401:
            raise AuthError("auth.required", reason=_first_line(e.message)) from e
        raise from_response(subject, e) from e
    except HttpResponseError as e:
        raise from_response(subject, e) from e


def from_response(subject: str, e: HttpResponseError) -> TunesmithError:
    """Say what an error answer means. The innermost ARM error is the one that names the cause."""
    code, message = _innermost(e)
    found = next((r for r in _RULES if re.match(r.arm_code, code, re.IGNORECASE)), None)
    rule = found or _by_status(e.status_code or 0)
    return rule.error(
        rule.code, retryable=rule.retryable, subject=subject, reason=message, arm_code=code
    )


def _by_status(status: int) -> _Rule:
    """Return what an answer with an unknown code means."""
    if status == 403:
        return _Rule("", AuthError, "auth.forbidden")
    if status == 429:
        return _Rule("", InfraError, "infra.throttled", True)
    return _Rule("", InfraError, "infra.refused", status >= 500)


def _innermost(e: HttpResponseError) -> tuple[str, str]:
    error: dict[str, Any] | Any = _body(e)
    code, message = words(error.get("code")), words(error.get("message"))
    while details := items(error.get("details")):
        error = mapping(details[0])
        inner = words(error.get("message"))
        code = words(error.get("code")) or code
        message = inner or message
        if nested := _nested(inner):
            error = nested
            code = words(error.get("code")) or code
            message = words(error.get("message")) or message
    if not code and e.error is not None:
        code, message = str(e.error.code or ""), str(e.error.message or "")
    reason = _first_line(message or e.message) or f"HTTP {e.status_code}"
    return code or f"HTTP{e.status_code or ''}", reason


def _body(e: HttpResponseError) -> Any:
    """Return an answer's error object: a refusal's, or the one in a failed operation's status."""
    try:
        body = cast(Any, e.response).json()
    except Exception:  # there may be no body, or it is unread, empty or no JSON
        return {}
    found = mapping(mapping(body).get("error"))
    if not found:
        found = mapping(mapping(mapping(body).get("properties")).get("error"))
    return found


def _nested(message: str) -> Any:
    """A provider's error often arrives as JSON inside the message of the deployment's."""
    try:
        return mapping(mapping(json.loads(message)).get("error"))
    except ValueError:
        return {}


def _first_line(text: str | None) -> str:
    line = next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
    return line.rstrip(".")[:300]
