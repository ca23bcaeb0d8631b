"""What ARM's refusals mean: the innermost code decides, and its reason is what the user reads."""

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from tunesmith.azure.errors import from_response, told
from tunesmith.core.errors import TunesmithError


class Answer:
    """What the SDK's exceptions hold of an HTTP answer."""

    reason = "Refused"

    def __init__(self, status, body):
        self.status_code = status
        self._body = body
        self.headers = {}

    def text(self, encoding=None):
        return self._body if isinstance(self._body, str) else json.dumps(self._body)

    def json(self):
        return json.loads(self.text())


def error(code, message="m", **more):
    return {"error": {"code": code, "message": message, **more}}


def refused(body, status=400):
    return from_response("it", HttpResponseError(response=Answer(status, body)))


@pytest.mark.parametrize(
    ("arm", "status", "code"),
    [
        ("AuthorizationFailed", 403, "auth.forbidden"),
        ("LinkedAuthorizationFailed", 403, "auth.forbidden"),
        ("InvalidAuthenticationToken", 401, "auth.required"),
        ("SubscriptionNotFound", 404, "target.subscription"),
        ("QuotaExceeded", 400, "infra.quota"),
        ("SubscriptionConsumptionNCA100GpusQuotaExceeded", 400, "infra.quota"),
        ("MaxRegionalQuotaExceeded", 400, "infra.quota"),
        ("InvalidTemplate", 400, "infra.invalid"),
        ("InvalidTemplateDeployment", 400, "infra.invalid"),
        ("DeploymentActive", 409, "infra.conflict"),
        ("StorageAccountAlreadyTaken", 409, "infra.conflict"),
        ("SubscriptionRequestsThrottled", 429, "infra.throttled"),
        ("429", 429, "infra.throttled"),
        ("MissingSubscriptionRegistration", 409, "infra.provider"),
        ("SomethingNew", 400, "infra.refused"),
        ("SomethingNew", 403, "auth.forbidden"),
        ("SomethingNew", 500, "infra.refused"),
    ],
)
def test_codes(arm, status, code):
    found = refused(error(arm), status)
    assert found.code == code
    assert "m" in found.message
    assert found.hint


def test_the_innermost_error_names_the_cause():
    inner = {"code": "QuotaExceeded", "message": "no GPUs left\nmore"}
    outer = error(
        "DeploymentFailed", "see operations", details=[{"code": "Conflict", **error("x")}]
    )
    outer["error"]["details"] = [
        {"code": "Conflict", "message": "wrapped", "details": [inner]},
    ]
    found = refused(outer)
    assert found.code == "infra.quota"
    assert found.context["reason"] == "no GPUs left"


def test_json_inside_a_message_is_opened():
    wrapped = json.dumps(error("QuotaExceeded", "deep inside"))
    found = refused(
        error("DeploymentFailed", "x", details=[{"code": "BadRequest", "message": wrapped}])
    )
    assert (found.code, found.context["reason"]) == ("infra.quota", "deep inside")


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '{"error": "text"}'])
def test_an_answer_without_a_body_is_still_a_sentence(body):
    found = refused(body, 502)
    assert found.code == "infra.refused"
    assert found.retryable
    assert found.message


@pytest.mark.parametrize(
    ("raised", "code", "retryable"),
    [
        (ServiceRequestError("refused"), "target.unreachable", True),
        (ServiceResponseError("reset"), "target.cutOff", True),
        (ClientAuthenticationError("please run az login"), "auth.required", False),
    ],
)
def test_failures_without_an_answer(raised, code, retryable):
    with pytest.raises(TunesmithError) as caught, told("it"):
        raise raised
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert caught.value.__cause__ is raised
