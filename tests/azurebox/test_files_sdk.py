"""The files service under the unmodified Azure SDK, blocking and async."""

import asyncio
import datetime
import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.storage.fileshare import (
    AccountSasPermissions,
    ContentSettings,
    ResourceTypes,
    ShareClient,
    ShareSasPermissions,
    generate_account_sas,
    generate_share_sas,
)
from files_service import ACCOUNT, KEY, RunningFiles

MIB = 1024 * 1024


@pytest.fixture
def files(tmp_path):
    with RunningFiles(tmp_path / "files") as service:
        with service.client() as share:
            share.create_share()
        yield service


@pytest.fixture
def share(files):
    with files.client() as client:
        yield client


def test_a_share_is_a_folder_with_quota_and_metadata(files, share):
    assert files.folder().is_dir()
    share.set_share_quota(7)
    share.set_share_metadata({"purpose": "tests"})
    properties = share.get_share_properties()
    assert properties.quota == 7
    assert properties.metadata == {"purpose": "tests"}
    assert properties.etag.startswith('"0x')
    with pytest.raises(ResourceExistsError) as refused:
        share.create_share()
    assert refused.value.error_code == "ShareAlreadyExists"


def test_shares_are_listed_and_a_deleted_one_is_gone(files, share):
    with files.client("other") as other:
        other.create_share(metadata={"a": "b"})
    with files.service_client() as service:
        listed = {s.name: s.metadata for s in service.list_shares(include_metadata=True)}
        assert set(listed) == {"work", "other"}
        assert listed["other"] == {"a": "b"}
    share.delete_share()
    with pytest.raises(ResourceNotFoundError) as refused:
        share.get_share_properties()
    assert refused.value.error_code == "ShareNotFound"
    assert not files.folder().exists()


@pytest.mark.parametrize("size", [0, 1, 4 * MIB - 1, 4 * MIB, 9 * MIB + 17])
def test_an_uploaded_file_comes_back_and_lies_on_disk(files, share, size):
    content = os.urandom(size)
    file = share.get_file_client("data.bin")
    file.upload_file(content, validate_content=True)
    assert (files.folder() / "data.bin").read_bytes() == content
    assert file.download_file().readall() == content
    properties = file.get_file_properties()
    assert properties.size == size
    assert properties.content_settings.content_type == "application/octet-stream"


def test_create_with_body_takes_one_request(files, share):
    files.seen.clear()
    share.get_file_client("one.txt").create_file(5, data=b"hello")
    assert len(files.seen) == 1
    assert (files.folder() / "one.txt").read_bytes() == b"hello"


def test_a_created_file_has_its_full_size_in_zeros(files, share):
    share.get_file_client("big.bin").create_file(3 * MIB)
    assert (files.folder() / "big.bin").read_bytes() == bytes(3 * MIB)
    assert list(share.get_file_client("big.bin").list_ranges()) == []


def test_ranges_are_written_read_and_cleared(files, share):
    file = share.get_file_client("r.bin")
    file.create_file(10)
    file.upload_range(b"abcdef", offset=2, length=6)
    assert file.download_file(offset=1, length=4).readall() == b"\0abc"
    with pytest.raises(HttpResponseError) as refused:
        file.upload_range(b"xyz", offset=8, length=3)
    assert refused.value.error_code == "InvalidRange"
    with pytest.raises(HttpResponseError) as refused:
        file.download_file(offset=10, length=1)
    assert refused.value.error_code == "InvalidRange"
    assert (files.folder() / "r.bin").read_bytes() == b"\0\0abcdef\0\0"


def test_clearing_writes_zeros(files, share):
    file = share.get_file_client("c.bin")
    file.upload_file(b"x" * 2048)
    file.clear_range(offset=512, length=1024)
    assert (files.folder() / "c.bin").read_bytes() == b"x" * 512 + bytes(1024) + b"x" * 512


def test_metadata_and_headers_outlive_writes_and_resizing(share):
    file = share.get_file_client("m.txt")
    md5 = bytearray(hashlib.md5(b"hello").digest())
    file.upload_file(
        b"hello",
        metadata={"run": "r1", "under_score": "x", "b_a": "1", "ba": "2"},
        content_settings=ContentSettings(content_type="text/plain", content_md5=md5),
    )
    before = file.get_file_properties()
    assert before.metadata == {"run": "r1", "under_score": "x", "b_a": "1", "ba": "2"}
    assert before.content_settings.content_type == "text/plain"
    assert before.content_settings.content_md5 == md5
    file.resize_file(3)
    file.set_file_metadata({"run": "r2"})
    after = file.get_file_properties()
    assert after.size == 3
    assert after.metadata == {"run": "r2"}
    assert after.etag != before.etag


def test_a_file_changed_behind_the_service_loses_what_was_known_of_it(files, share):
    file = share.get_file_client("m.txt")
    file.upload_file(
        b"hello",
        metadata={"a": "b"},
        content_settings=ContentSettings(content_md5=bytearray(16), content_type="text/x"),
    )
    (files.folder() / "m.txt").write_bytes(b"other content")
    properties = file.get_file_properties()
    assert properties.size == 13
    assert properties.metadata == {}
    assert properties.content_settings.content_md5 is None
    assert file.download_file().readall() == b"other content"


def test_last_write_time_can_be_set_and_kept(share):
    when = datetime.datetime(2024, 6, 20, 4, 27, 43, 414637, datetime.UTC)
    file = share.get_file_client("t.txt")
    file.create_file(4, data=b"abcd", file_last_write_time=when)
    assert file.get_file_properties().last_write_time.replace(tzinfo=datetime.UTC) == when
    file.upload_range(b"x", 0, 1, file_last_write_mode="Preserve")
    assert file.get_file_properties().last_write_time.replace(tzinfo=datetime.UTC) == when
    file.upload_range(b"x", 0, 1)
    assert file.get_file_properties().last_write_time.replace(tzinfo=datetime.UTC) > when


def test_folders_are_made_listed_and_deleted_only_when_empty(share):
    folder = share.get_directory_client("a")
    with pytest.raises(ResourceNotFoundError) as refused:
        folder.get_subdirectory_client("b").get_subdirectory_client("c").create_directory()
    assert refused.value.error_code == "ParentNotFound"
    created = folder.create_directory(metadata={"k": "v"})
    assert created["file_attributes"] == "Directory"
    folder.upload_file("f.txt", b"1")
    assert folder.get_directory_properties().metadata == {"k": "v"}
    with pytest.raises(ResourceExistsError) as refused:
        folder.create_directory()
    assert refused.value.error_code == "ResourceAlreadyExists"
    with pytest.raises(HttpResponseError) as refused:
        folder.delete_directory()
    assert refused.value.error_code == "DirectoryNotEmpty"
    folder.delete_file("f.txt")
    folder.delete_directory()
    assert not folder.exists()


def test_a_listing_comes_in_pages_and_with_what_was_asked_for(share):
    folder = share.get_directory_client("many")
    folder.create_directory()
    names = [f"file {n:03} & 'ü'.txt" for n in range(23)]
    for name in names:
        folder.get_file_client(name).create_file(3, data=b"abc")
    folder.create_subdirectory("sub")
    pages = list(folder.list_directories_and_files(results_per_page=10).by_page())
    listed = [[item.name for item in page] for page in pages]
    assert list(map(len, listed)) == [10, 10, 4]
    assert sorted(name for page in listed for name in page) == sorted([*names, "sub"])
    items = list(
        folder.list_directories_and_files(
            "file 00", include=["timestamps", "Etag", "Attributes", "PermissionKey"]
        )
    )
    assert [item.name for item in items] == names[:10]
    assert all(item.size == 3 and item.etag and item.last_write_time for item in items)


def test_rename_moves_content_and_metadata_and_replaces_only_when_told(files, share):
    share.create_directory("d")
    file = share.get_file_client("d/new.tmp")
    file.upload_file(b"new", metadata={"k": "v"})
    share.get_file_client("d/old.txt").upload_file(b"old")
    with pytest.raises(ResourceExistsError):
        file.rename_file("d/old.txt")
    renamed = file.rename_file("d/old.txt", overwrite=True)
    assert renamed.get_file_properties().metadata == {"k": "v"}
    assert (files.folder() / "d/old.txt").read_bytes() == b"new"
    assert not file.exists()
    moved = share.get_directory_client("d").rename_directory("e")
    assert moved.get_file_client("old.txt").get_file_properties().metadata == {"k": "v"}
    with pytest.raises(ResourceNotFoundError) as refused:
        renamed.rename_file("nowhere/x")
    assert refused.value.error_code == "ResourceNotFound"


def test_names_compare_without_case_and_keep_it(files, share):
    share.create_directory("Data")
    share.get_file_client("Data/Train.JSONL").upload_file(b"1")
    assert share.get_file_client("dATA/train.jsonl").download_file().readall() == b"1"
    share.get_file_client("data/TRAIN.jsonl").upload_file(b"2")
    assert os.listdir(files.folder() / "Data") == ["Train.JSONL"]
    share.get_file_client("data/train.jsonl").rename_file("data/train.jsonl", overwrite=True)
    assert os.listdir(files.folder() / "Data") == ["train.jsonl"]


def test_a_copy_has_the_bytes_of_its_source(share):
    source = share.get_file_client("s.bin")
    source.upload_file(b"content", metadata={"a": "b"})
    target = share.get_file_client("t.bin")
    assert target.start_copy_from_url(source.url)["copy_status"] == "success"
    assert target.download_file().readall() == b"content"
    assert target.get_file_properties().metadata == {"a": "b"}


def test_a_wrong_key_is_refused(files):
    with (
        files.client(key="d3Jvbmc=") as client,
        pytest.raises(ClientAuthenticationError) as refused,
    ):
        client.get_share_properties()
    assert refused.value.status_code == 403
    assert refused.value.error_code == "AuthenticationFailed"


def _soon():
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)


def test_an_account_signature_opens_what_it_grants(files):
    sas = generate_account_sas(
        ACCOUNT,
        KEY,
        ResourceTypes(object=True),
        AccountSasPermissions(read=True, write=True),
        _soon(),
    )
    with ShareClient(files.account_url, "work", credential=sas) as client:
        file = client.get_file_client("a.txt")
        file.upload_file(b"1")
        assert file.download_file().readall() == b"1"
        with pytest.raises(HttpResponseError) as refused:
            file.delete_file()
        assert refused.value.error_code == "AuthorizationPermissionMismatch"
        with pytest.raises(HttpResponseError) as refused:
            client.get_share_properties()
        assert refused.value.error_code == "AuthorizationResourceTypeMismatch"


def test_a_share_signature_is_checked_and_expires(files):
    def client(expiry, key=KEY):
        sas = generate_share_sas(
            ACCOUNT, "work", key, ShareSasPermissions(read=True, list=True), expiry
        )
        return ShareClient(files.account_url, "work", credential=sas)

    with client(_soon()) as good:
        assert list(good.list_directories_and_files()) == []
    for bad in (client(_soon() - datetime.timedelta(hours=2)), client(_soon(), "d3Jvbmc=")):
        with bad, pytest.raises(ClientAuthenticationError) as refused:
            list(bad.list_directories_and_files())
        assert refused.value.error_code == "AuthenticationFailed"


class _Token:
    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **_):
        assert scopes == ("https://storage.azure.com/.default",)
        return AccessToken(self.token, 4_000_000_000)


def test_a_token_opens_files_only_with_the_intent(tmp_path):
    with RunningFiles(tmp_path / "files", tls_folder=tmp_path, token="good") as files:
        with files.client(connection_verify=files.ca_file) as share:
            share.create_share()

        def client(token):
            return ShareClient(
                files.account_url,
                "work",
                credential=_Token(token),
                token_intent="backup",
                connection_verify=files.ca_file,
                retry_total=0,
            )

        with client("good") as share:
            file = share.get_file_client("a.txt")
            file.upload_file(b"1")
            assert file.download_file().readall() == b"1"
        with client("bad") as share, pytest.raises(HttpResponseError) as refused:
            share.get_file_client("a.txt").get_file_properties()
        assert refused.value.status_code == 401
        with client("good") as share, pytest.raises(HttpResponseError) as refused:
            file = share.get_file_client("a.txt")
            file.file_request_intent = None
            file.get_file_properties()
        assert refused.value.status_code == 400


async def test_many_async_writers_leave_every_file_right(files):
    contents = {f"d{n % 7}/f{n}.bin": os.urandom(50 + n * 31) for n in range(120)}
    async with files.async_client() as share:
        for n in range(7):
            await share.create_directory(f"d{n}")
        gate = asyncio.Semaphore(16)

        async def send(path, content):
            async with gate, share.get_file_client(path) as file:
                await file.upload_file(content)

        await asyncio.gather(*(send(*item) for item in contents.items()))
        async with share.get_file_client("d3/f3.bin") as file:
            assert await (await file.download_file()).readall() == contents["d3/f3.bin"]
        listed = [
            e.name async for e in share.get_directory_client("d0").list_directories_and_files()
        ]
        assert len(listed) == 18
    for path, content in contents.items():
        assert (files.folder() / path).read_bytes() == content


def test_of_many_creators_of_one_folder_exactly_one_wins(files, share):
    start = threading.Barrier(8)

    def create(_):
        with files.client() as client:
            start.wait()
            try:
                client.create_directory("lock")
            except ResourceExistsError:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


def test_ranges_of_one_file_written_at_once_do_not_mix(files, share):
    share.get_file_client("big.bin").create_file(8 * MIB)

    def write(n):
        with files.client() as client, client.get_file_client("big.bin") as file:
            file.upload_range(bytes([n]) * MIB, offset=n * MIB, length=MIB)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    content = (files.folder() / "big.bin").read_bytes()
    assert content == b"".join(bytes([n]) * MIB for n in range(8))
