"""What the SDK would never send: raw requests at the files service, and its answers to the byte."""

import asyncio
import io
import re
import socket
from email.utils import formatdate
from urllib.parse import parse_qsl, quote

import aiohttp
import pytest
from azurebox.files.auth import Asked, sign, string_to_sign
from azurebox.files.errors import FilesError
from azurebox.files.paths import locate, parse_address
from files_service import ACCOUNT, KEY, RunningFiles
from yarl import URL


@pytest.fixture
def files(tmp_path):
    with RunningFiles(tmp_path / "files") as service:
        service.folder().mkdir(parents=True)
        yield service


def signed(method, target, headers, length, *, key=KEY, date=None):
    """Return `headers` with what every request has and a right signature."""
    raw_path, _, query = target.partition("?")
    headers = {
        "x-ms-date": date or formatdate(usegmt=True),
        "x-ms-version": "2026-10-06",
        "content-length": str(length),
        "content-type": "application/octet-stream",
        **headers,
    }
    params = dict(parse_qsl(query, keep_blank_values=True))
    asked = Asked(method, raw_path, params, headers, ACCOUNT, "", "", "", "")
    signature = sign(key, string_to_sign(asked, cultural_order=True))
    return headers | {"Authorization": f"SharedKey {ACCOUNT}:{signature}"}


async def ask(files, method, target, headers=None, body=b"", date=None):
    """Send a signed request; `target` is put on the wire as it is."""
    headers = signed(method, target, headers or {}, len(body), date=date)
    url = URL(files.url + target, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, data=io.BytesIO(body)) as response,
    ):
        return response.status, response.headers, await response.read(), response.reason


async def test_an_error_is_xml_with_a_byte_order_mark(files):
    status, headers, body, reason = await ask(files, "GET", f"/{ACCOUNT}/work/none.txt")
    assert status == 404
    assert headers["x-ms-error-code"] == "ResourceNotFound"
    assert reason == "The specified resource does not exist."
    assert body.startswith(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error>')
    assert re.search(
        rb"<Code>ResourceNotFound</Code><Message>The specified resource does not exist.\n"
        rb"RequestId:[0-9a-f-]{36}\nTime:\d{4}-\d\d-\d\dT[\d:]{8}\.\d{7}Z</Message>",
        body,
    )


async def test_a_head_error_has_its_code_in_the_header_alone(files):
    status, headers, body, _ = await ask(files, "HEAD", f"/{ACCOUNT}/work/none.txt")
    assert (status, headers["x-ms-error-code"], body) == (404, "ResourceNotFound", b"")


async def test_every_answer_names_request_version_and_server(files):
    _, headers, _, _ = await ask(
        files, "GET", f"/{ACCOUNT}/work?restype=share", {"x-ms-client-request-id": "mine"}
    )
    assert headers["x-ms-client-request-id"] == "mine"
    assert headers["x-ms-version"] == "2026-10-06"
    assert headers["x-ms-request-id"]
    assert "Date" in headers


@pytest.mark.parametrize(
    "way",
    ["../../secret", "%2e%2e/%2E%2E/secret", "a/..%2f..%2fsecret", "..%5c..%5csecret", "./secret"],
)
async def test_no_way_leads_out_of_the_share(files, way):
    (files.root / "secret").write_text("s")
    for method in ("GET", "PUT", "DELETE"):
        status, headers, _, _ = await ask(
            files,
            method,
            f"/{ACCOUNT}/work/{way}",
            {"x-ms-type": "file", "x-ms-content-length": "0"},
        )
        assert status == 400
        assert headers["x-ms-error-code"] == "InvalidFileOrDirectoryPathName"
    assert (files.root / "secret").read_text() == "s"


async def test_a_link_out_of_the_share_is_hidden_and_refused(files, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("s")
    (files.folder() / "link").symlink_to(outside)
    (files.folder() / "file").symlink_to(outside / "secret.txt")
    (files.folder() / "real.txt").write_text("r")
    (files.folder() / "inside").symlink_to("real.txt")
    for name in ("link/secret.txt", "file", "link/new.txt"):
        for method in ("GET", "PUT"):
            status, *_ = await ask(
                files,
                method,
                f"/{ACCOUNT}/work/{name}",
                {"x-ms-type": "file", "x-ms-content-length": "0"},
            )
            assert status == 400, name
    _, _, body, _ = await ask(files, "GET", f"/{ACCOUNT}/work?restype=directory&comp=list")
    assert re.findall(rb"<Name>(.*?)</Name>", body) == [b"inside", b"real.txt"]
    status, _, body, _ = await ask(files, "GET", f"/{ACCOUNT}/work/inside")
    assert (status, body) == (200, b"r")
    assert sorted(p.name for p in outside.iterdir()) == ["secret.txt"]


async def test_a_body_over_four_mebibytes_is_refused(files):
    (files.folder() / "f").write_bytes(bytes(8))
    size = 4 * 1024 * 1024 + 1
    status, headers, _, _ = await ask(
        files,
        "PUT",
        f"/{ACCOUNT}/work/f?comp=range",
        {"x-ms-range": f"bytes=0-{size - 1}", "x-ms-write": "update"},
        bytes(size),
    )
    assert (status, headers["x-ms-error-code"]) == (413, "RequestBodyTooLarge")


async def test_a_damaged_body_is_refused_and_nothing_written(files):
    (files.folder() / "f").write_bytes(b"old")
    status, headers, _, _ = await ask(
        files,
        "PUT",
        f"/{ACCOUNT}/work/f?comp=range",
        {"x-ms-range": "bytes=0-2", "x-ms-write": "update", "content-md5": "AAAA"},
        b"new",
    )
    assert (status, headers["x-ms-error-code"]) == (400, "Md5Mismatch")
    assert (files.folder() / "f").read_bytes() == b"old"


async def test_an_old_version_may_not_create_with_a_body(files):
    status, headers, _, _ = await ask(
        files,
        "PUT",
        f"/{ACCOUNT}/work/f",
        {"x-ms-version": "2024-11-04", "x-ms-type": "file", "x-ms-content-length": "3"},
        b"abc",
    )
    assert (status, headers["x-ms-error-code"]) == (400, "InvalidHeaderValue")
    assert not (files.folder() / "f").exists()


async def test_an_unknown_operation_names_itself(files):
    status, headers, body, _ = await ask(files, "PUT", f"/{ACCOUNT}/work?restype=share&comp=lease")
    assert (status, headers["x-ms-error-code"]) == (501, "NotImplemented")
    assert b"PUT share comp=lease" in body


async def test_an_old_date_is_refused(files):
    status, headers, _, _ = await ask(
        files,
        "GET",
        f"/{ACCOUNT}/work?restype=share",
        date=formatdate(1_600_000_000, usegmt=True),
    )
    assert (status, headers["x-ms-error-code"]) == (403, "AuthenticationFailed")


async def test_a_request_without_credentials_is_challenged(files):
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{files.account_url}/work?restype=share")
        assert answer.status == 401
        assert answer.headers["x-ms-error-code"] == "NoAuthenticationInformation"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
        answer.release()


async def test_an_unknown_account_is_refused(files):
    status, headers, _, _ = await ask(files, "GET", "/nobody/work?restype=share")
    assert (status, headers["x-ms-error-code"]) == (403, "AuthenticationFailed")


async def test_a_connection_cut_in_a_body_writes_nothing(files):
    (files.folder() / "f").write_bytes(b"old")
    target = f"/{ACCOUNT}/work/f?comp=range"
    headers = signed("PUT", target, {"x-ms-range": "bytes=0-2", "x-ms-write": "update"}, 3)
    lines = [f"PUT {target} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in headers.items())]
    host, port = files.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(("\r\n".join(lines) + "\r\n\r\nn").encode())
        await asyncio.sleep(0.2)  # until the request has come, and stands without its body
    await asyncio.sleep(0.1)
    assert (files.folder() / "f").read_bytes() == b"old"


@pytest.mark.parametrize(
    "name", ["a:b", "a*b", "a?b", 'a"b', "a<b", "a|b", "a\nb", "n" * 256, "..."]
)
def test_names_that_smb_forbids_are_refused(name):
    with pytest.raises(FilesError) as refused:
        parse_address(f"/acct/share/{quote(name, safe='')}", keep_trailing_dots=True)
    assert refused.value.code == "InvalidFileOrDirectoryPathName"


def test_dots_at_the_end_are_cut_unless_kept(tmp_path):
    assert parse_address("/acct/share/a.../b.", keep_trailing_dots=False).names == ("a", "b")
    assert parse_address("/acct/share/a.../b.", keep_trailing_dots=True).names == ("a...", "b.")


def test_a_place_says_whether_something_can_be_created_there(tmp_path):
    (tmp_path / "Dir").mkdir()
    assert locate(tmp_path, ("dir", "new")).parent_exists
    assert locate(tmp_path, ("dir", "new")).path == tmp_path / "Dir" / "new"
    assert not locate(tmp_path, ("none", "new")).parent_exists


@pytest.mark.parametrize(
    "changed",
    [
        {"Authorization": "SharedKey tunesmithtest:s\u00fc"},
        {"x-ms-date": "Mon, 01 Jan 2024 00:00:00 -0000"},
        {"x-ms-date": "yesterday"},
    ],
)
async def test_nonsense_in_what_proves_the_client_is_refused_like_a_wrong_key(files, changed):
    target = f"/{ACCOUNT}/work?restype=share"
    headers = {**signed("GET", target, {}, 0), **changed}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{files.url}{target}", headers=headers) as answer,
    ):
        assert (answer.status, answer.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
