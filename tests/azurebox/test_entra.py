"""azure-identity, unmodified, gets, loses and renews its token."""

import time

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.mgmt.resource.resources.aio import ResourceManagementClient as AsyncResourceClient
from azurebox.entra.tokens import SigningKey, Tokens
from azurebox.state import StateFolder

ARM_SCOPE = "https://management.azure.com/.default"


@pytest.fixture
def lifetime(box):
    yield lambda seconds: box.ask("POST", "/_box/tokens", {"lifetime_s": seconds})
    box.ask("POST", "/_box/tokens", {"lifetime_s": 3599})


def test_token_is_signed_by_the_published_key(box):
    with box.credential() as credential:
        token = credential.get_token(ARM_SCOPE)
    status, _, keys = box.ask("GET", f"/{box.info['tenant_id']}/discovery/v2.0/keys", token="")
    assert status == 200
    key = jwt.PyJWK(keys["keys"][0])
    claims = jwt.decode(
        token.token, key, algorithms=["RS256"], audience="https://management.azure.com"
    )
    assert claims["appid"] == box.info["client_id"]
    assert abs(token.expires_on - time.time() - 3599) < 10


def test_wrong_secret_is_refused_as_entra_does(box):
    with (
        box.credential(client_secret="wrong") as credential,
        pytest.raises(ClientAuthenticationError) as caught,
    ):
        credential.get_token(ARM_SCOPE)
    assert "AADSTS7000215: Invalid client secret provided" in caught.value.message
    status, _, body = box.ask("GET", "/_box/health")
    assert (status, body["status"]) == (200, "ok")


async def test_wrong_secret_is_refused_in_the_async_credential_too(box):
    async with AsyncClientSecretCredential(
        box.info["tenant_id"],
        box.info["client_id"],
        "wrong",
        authority=box.info["login_url"],
        disable_instance_discovery=True,
        connection_verify=box.info["ca_file"],
    ) as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await credential.get_token(ARM_SCOPE)


def test_unknown_client_tenant_and_resource_are_named(box):
    cases = [
        ({"client_id": "11111111-2222-3333-4444-555555555555"}, ARM_SCOPE, "AADSTS700016"),
        ({"tenant_id": "11111111-2222-3333-4444-555555555555"}, ARM_SCOPE, "90002|tenant"),
        ({}, "https://unheard.of/.default", "AADSTS500011"),
    ]
    for changed, scope, message in cases:
        with (
            box.credential(**changed) as credential,
            pytest.raises((ClientAuthenticationError, ValueError), match=message),
        ):
            credential.get_token(scope)


def test_arm_refuses_no_token_a_forged_one_and_one_for_another_audience(box):
    path = "/subscriptions?api-version=2022-12-01"
    with box.credential() as credential:
        storage = credential.get_token("https://storage.azure.com/.default").token
        good = credential.get_token(ARM_SCOPE).token
    forged = jwt.encode(jwt.decode(good, options={"verify_signature": False}), "x" * 32)
    for token, code in (
        ("", "AuthenticationFailed"),
        (forged, "InvalidAuthenticationToken"),
        (good[:-6] + "aaaaaa", "InvalidAuthenticationToken"),
        (storage, "InvalidAuthenticationTokenAudience"),
    ):
        status, headers, body = box.ask("GET", path, token=token)
        assert (status, body["error"]["code"]) == (401, code)
        assert headers["WWW-Authenticate"].startswith("Bearer ")
    assert box.ask("GET", path, token=good)[0] == 200


def test_expired_token_is_refused(box):
    key = SigningKey.load(box.state / "keys" / "tokens.key")
    tokens = Tokens(key, StateFolder(box.state).identity())
    path = "/subscriptions?api-version=2022-12-01"
    now = time.time()
    old = tokens.issue("https://management.azure.com", now - tokens.lifetime_s - 1)
    status, _, body = box.ask("GET", path, token=old)
    assert (status, body["error"]["code"]) == (401, "ExpiredAuthenticationToken")
    young = tokens.issue("https://management.azure.com", now - tokens.lifetime_s + 60)
    assert box.ask("GET", path, token=young)[0] == 200


def test_client_renews_a_token_that_is_about_to_expire(box, lifetime):
    lifetime(60)
    with box.groups() as groups:
        sent: list[str] = []
        for _ in range(2):
            list(
                groups.resource_groups.list(
                    raw_request_hook=lambda r: sent.append(r.http_request.headers["Authorization"])
                )
            )
    assert len(set(sent)) == 2


def test_revoked_token_is_renewed_within_the_same_call(box):
    with box.groups() as groups:
        list(groups.resource_groups.list())
        box.ask("POST", "/_box/tokens", {"revoke": True})
        list(groups.resource_groups.list())


async def test_async_client_gets_and_renews_its_token(box):
    async with (
        AsyncClientSecretCredential(
            box.info["tenant_id"],
            box.info["client_id"],
            box.info["client_secret"],
            authority=box.info["login_url"],
            disable_instance_discovery=True,
            connection_verify=box.info["ca_file"],
        ) as credential,
        AsyncResourceClient(
            credential,
            box.info["subscription_id"],
            base_url=box.info["arm_url"],
            connection_verify=box.info["ca_file"],
        ) as groups,
    ):
        before = [g.name async for g in groups.resource_groups.list()]
        box.ask("POST", "/_box/tokens", {"revoke": True})
        assert [g.name async for g in groups.resource_groups.list()] == before


def test_client_that_does_not_trust_the_ca_gets_nothing(box):
    with (
        box.groups(retry_total=0) as groups,
        pytest.raises(ServiceRequestError, match=r"(?i)certificate"),
    ):
        list(groups.resource_groups.list(connection_verify=True))
