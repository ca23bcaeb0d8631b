"""Storage, workspaces and environments under the unmodified SDKs."""

import base64
import socket
import ssl
import urllib.parse

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.fileshare import ShareClient


def test_account_has_two_keys_that_no_view_shows(box, lab):
    with box.storage() as storage:
        keys = storage.storage_accounts.list_keys("lab", lab.account).keys_property
        account = storage.storage_accounts.get_properties("lab", lab.account)
    assert [k.key_name for k in keys] == ["key1", "key2"]
    assert all(len(base64.b64decode(k.value)) == 64 for k in keys)
    assert keys[0].value not in str(account.as_dict())
    assert account.primary_endpoints.file == f"{box.info['files_url'].format(account=lab.account)}/"
    assert account.provisioning_state == "Succeeded"


def test_share_is_a_folder_that_azure_files_serves_with_the_accounts_key(box, lab):
    share = ShareClient(
        box.info["files_url"].format(account=lab.account),
        "work",
        credential={"account_name": lab.account, "account_key": lab.key},
        connection_verify=box.info["ca_file"],
    )
    with share:
        share.get_file_client("hello.txt").upload_file(b"hello")
    assert (lab.folder / "hello.txt").read_bytes() == b"hello"


def test_account_that_is_no_name_leads_nowhere(box, lab):
    sub = box.info["subscription_id"]
    account = f"/subscriptions/{sub}/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts"
    for dots in ("..", "%2e%2e"):
        shares = f"{account}/{dots}/fileServices/default/shares"
        assert box.ask("GET", f"{shares}?api-version=2023-05-01")[2] == {"value": []}
        for method in ("GET", "DELETE"):
            status = box.ask(method, f"{shares}/keys?api-version=2023-05-01")[0]
            assert status == (404 if method == "GET" else 204)
    assert (box.state / "keys" / "ca.pem").exists()


def test_client_that_leaves_in_the_middle_of_a_download_fills_no_log(box, lab):
    (lab.folder / "big.bin").write_bytes(bytes(32 * 1024 * 1024))
    with box.credential() as credential:
        token = credential.get_token("https://storage.azure.com/.default").token
    url = urllib.parse.urlsplit(box.info["files_url"].format(account=lab.account))
    context = ssl.create_default_context(cafile=box.info["ca_file"])
    lines = (
        f"GET {url.path}/work/big.bin HTTP/1.1",
        f"Host: {url.netloc}",
        f"Authorization: Bearer {token}",
        "x-ms-file-request-intent: backup",
        "x-ms-version: 2025-01-05",
    )
    for wanted_bytes in (0, 1, 100_000):
        with (
            socket.create_connection((url.hostname, url.port)) as raw,
            context.wrap_socket(raw, server_hostname=url.hostname) as secure,
        ):
            secure.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            got = secure.recv(wanted_bytes) if wanted_bytes else b"HTTP/1.1 200"
            assert got.startswith(b"H")
    assert box.ask("GET", "/_box/health")[0] == 200
    assert "Traceback" not in box.log


def test_azure_files_takes_an_entra_token_for_storage_and_no_other(box, lab):
    with box.credential() as credential:
        share = ShareClient(
            box.info["files_url"].format(account=lab.account),
            "work",
            credential=credential,
            token_intent="backup",
            connection_verify=box.info["ca_file"],
        )
        with share:
            share.get_file_client("token.txt").upload_file(b"by token")
    assert (lab.folder / "token.txt").read_bytes() == b"by token"
    url = box.info["files_url"].format(account=lab.account) + "/work/token.txt"
    assert box.ask("GET", url)[0] in (401, 403)


def test_share_statuses_and_errors_are_the_services(box, lab):
    path = (
        f"/subscriptions/{box.info['subscription_id']}/resourceGroups/lab/providers"
        f"/Microsoft.Storage/storageAccounts/{lab.account}/fileServices/default/shares/second"
        "?api-version=2023-05-01"
    )
    assert box.ask("GET", path)[2]["error"]["code"] == "ShareNotFound"
    body = {"properties": {"shareQuota": 5, "enabledProtocols": "SMB"}}
    assert box.ask("PUT", path, body)[0] == 201
    assert box.ask("PUT", path, body)[0] == 200
    with box.storage() as storage:
        names = [s.name for s in storage.file_shares.list("lab", lab.account)]
    assert names == ["second", "work"]
    assert box.ask("DELETE", path)[0] == 200
    assert box.ask("DELETE", path)[0] == 204
    assert not (lab.folder.parent / "second").exists()


def test_new_account_answers_202_without_a_body_and_then_the_account(box, lab):
    path = (
        f"/subscriptions/{box.info['subscription_id']}/resourceGroups/lab/providers"
        "/Microsoft.Storage/storageAccounts/another1?api-version=2023-05-01"
    )
    body = {"location": "eastus", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    status, headers, answer = box.ask("PUT", path, body)
    assert (status, answer) == (202, "")
    status, _, account = box.ask("GET", headers["Location"])
    assert (status, account["name"]) == (200, "another1")
    assert box.ask("PUT", path, body)[0] == 200
    assert box.ask("DELETE", path)[0] == 200


@pytest.mark.parametrize("name", ["UPPER", "ab", "has-hyphen", "x" * 25])
def test_account_names_the_service_would_refuse_are_refused(box, lab, name):
    with box.storage() as storage, pytest.raises(HttpResponseError) as caught:
        storage.storage_accounts.begin_create(
            "lab",
            name,
            {"location": "eastus", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"},
        )
    assert caught.value.error.code == "AccountNameInvalid" or "length" in str(caught.value)


def test_environment_storage_takes_only_a_key_that_opens_its_account(box, lab):
    for key, account in (("bm90IGEga2V5", None), (lab.key, "nobodys")):
        with pytest.raises(HttpResponseError) as caught:
            lab.put_storage(key, account)
        assert caught.value.status_code == 400
    shown = lab.put_storage(lab.key)
    assert lab.key not in str(shown.as_dict())
    with box.apps() as apps, pytest.raises(ResourceNotFoundError) as missing:
        apps.managed_environments_storages.get("lab", "env", "nothing")
    assert missing.value.error.code == "ManagedEnvironmentStorageNotFound"


def test_workspace_shows_no_key_and_lists_them_on_request(box, lab):
    base = (
        f"/subscriptions/{box.info['subscription_id']}/resourceGroups/lab/providers"
        "/Microsoft.OperationalInsights/workspaces/logs"
    )
    status, _, made = box.ask("PUT", f"{base}?api-version=2022-10-01", {"location": "eastus"})
    assert (status, made["properties"]["provisioningState"]) == (201, "Creating")
    shown = box.ask("GET", f"{base}?api-version=2022-10-01")[2]
    assert shown["properties"]["customerId"] == made["properties"]["customerId"]
    for action in ("sharedKeys?api-version=2020-08-01", "listKeys?api-version=2022-10-01"):
        keys = box.ask("POST", f"{base}/{action}")[2]
        assert keys["primarySharedKey"] and keys["primarySharedKey"] not in str(shown)


def test_environment_in_use_cannot_be_deleted_and_an_unused_one_can(box, lab):
    with box.apps() as apps:
        apps.jobs.begin_create_or_update("lab", "user", lab.job("true")).result()
        with pytest.raises(HttpResponseError) as caught:
            apps.managed_environments.begin_delete("lab", "env").result()
        assert caught.value.status_code == 409
        apps.jobs.begin_delete("lab", "user").result()
        apps.managed_environments.begin_create_or_update(
            "lab", "spare", {"location": "eastus", "properties": {}}
        ).result()
        apps.managed_environments.begin_delete("lab", "spare").result()
        names = [e.name for e in apps.managed_environments.list_by_resource_group("lab")]
    assert names == ["env"]


def test_resource_in_an_unknown_group_or_subscription_is_not_found(box):
    sub = box.info["subscription_id"]
    tail = "providers/Microsoft.App/jobs/j?api-version=2024-03-01"
    status, _, body = box.ask("GET", f"/subscriptions/{sub}/resourceGroups/none/{tail}")
    assert (status, body["error"]["code"]) == (404, "ResourceGroupNotFound")
    status, _, body = box.ask("GET", f"/subscriptions/{'0' * 8}/resourceGroups/none/{tail}")
    assert (status, body["error"]["code"]) == (404, "SubscriptionNotFound")


def test_providers_are_registered_and_quotas_are_listed(box):
    sub = f"/subscriptions/{box.info['subscription_id']}"
    app = f"{sub}/providers/Microsoft.App"
    v = "api-version=2024-03-01"
    assert box.ask("GET", f"{app}?{v}")[2]["registrationState"] == "Registered"
    assert box.ask("POST", f"{app}/register?{v}")[2]["registrationState"] == "Registered"
    usages = box.ask("GET", f"{app}/locations/eastus/usages?{v}")[2]["value"]
    assert usages[0]["name"]["value"] == "ManagedEnvironmentCount"
    profiles = box.ask(
        "GET", f"{app}/locations/eastus/availableManagedEnvironmentsWorkloadProfileTypes?{v}"
    )[2]["value"]
    assert "Consumption-GPU-NC24-A100" in [p["name"] for p in profiles]
