"""What Azure refuses, in our words: one table from ARM's codes to ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
    _Rule("AuthorizationFailed|LinkedAuthorizationFailed|RoleAssignment", AuthError, "auth.forbidden"),
    _Rule("InvalidAuthenticationToken|ExpiredAuthenticationToken|AuthenticationFailed", AuthError, "auth.required"),
    _Rule("SubscriptionNotFound|InvalidSubscriptionId", TargetError, "target.subscription"),
    _Rule(".*Quota|MaxRegional|.*Capacity|SkuNotAvailable", InfraError, "infra.quota"),
    _Rule("InvalidTemplate|InvalidRequestContent|InvalidParameter|ValidationForResource|Invalid.*", InfraError, "infra.invalid"),
    _Rule("DeploymentActive|.*Conflict|.*InProgress|AnotherOperation|.*AlreadyTaken|.*AlreadyInUse", InfraError, "infra.conflict", True),
    _Rule("TooManyRequests|429|.*Throttl|ServerBusy|SubscriptionRequestsThrottled", InfraError, "infra.throttled", True),
    _Rule("MissingSubscriptionRegistration|NoRegisteredProvider", InfraError, "infra.provider"),
    _Rule("Deployment|ResourceDeploymentFailure|Failed", InfraError, "infra.failed"),
)  # fmt: skip


@contextmanager
def told(subject: str) -> Iterator[None]:
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
    context = {"subject": subject, "reason": message, "arm_code": code}
    for rule in _RULES:
        if re.match(rule.arm_code, code, re.IGNORECASE):
            return rule.error(rule.code, retryable=rule.retryable, **context)
    if e.status_code == 403:
        return AuthError("auth.forbidden", **context)
    if e.status_code == 429:
        return InfraError("infra.throttled", retryable=True, **context)
    return InfraError("infra.refused", retryable=(e.status_code or 0) >= 500, **context)


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
    """Return the answer's error object: a refusal's, or the one inside a failed operation's status."""
    try:
        body = e.response.json() if e.response is not None else {}  # type: ignore[attr-defined]
    except Exception:  # the body may be unread, empty or no JSON: then the code alone must do
        body = {}
    found = mapping(mapping(body).get("error"))
    if not found:
        found = mapping(mapping(mapping(body).get("properties")).get("error"))
    return found


def _nested(message: str) -> Any:
    """A provider's error often arrives as JSON inside the message of the deployment's."""
    import json

    try:
        return mapping(mapping(json.loads(message)).get("error"))
    except ValueError:
        return {}


def _first_line(text: str | None) -> str:
    line = next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
    return line.rstrip(".")[:300]
