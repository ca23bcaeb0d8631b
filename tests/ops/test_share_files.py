"""The Files port on the real SDK against azurebox's files service."""

import asyncio
import hashlib
import os
import platform
import sys

import pytest
from aiohttp import web
from files_service import ACCOUNT, KEY, RunningFiles
from tunesmith.azure.files import ShareFiles
from tunesmith.core.errors import ShareError
from tunesmith.core.targets import CloudProfile

MIB = 1024 * 1024


def profile(service):
    return CloudProfile(
        arm_url="",
        authority_url="",
        arm_scope="",
        files_url=service.url + "/{account}",
        portal_url="",
        ca_file=service.ca_file,
        credential="azurebox",
        tenant_id=None,
        subscription_id="s",
        resource_group="g",
        location="l",
        endpoint_scheme="http",
        poll_interval_s=0.1,
    )


@pytest.fixture
def service(tmp_path):
    with RunningFiles(tmp_path / "files", tls_folder=tmp_path) as running:
        running.folder().mkdir(parents=True)
        yield running


@pytest.fixture
async def files(service):
    share = ShareFiles(profile(service), ACCOUNT, KEY, "work")
    yield share
    await share.close()


@pytest.mark.parametrize("size", [0, 5, 4 * MIB, 4 * MIB + 1, 21 * MIB + 3])
async def test_what_is_written_is_read_back(service, files, tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "local").write_bytes(content)
    arrived = []
    sent = await files.write("a/b/c.bin", tmp_path / "local", arrived.append)
    assert sent.sha256 == hashlib.sha256(content).hexdigest()
    assert sum(arrived) == size
    assert (service.folder() / "a/b/c.bin").read_bytes() == content
    assert await files.read("a/b/c.bin") == content
    fetched = await files.download("a/b/c.bin", tmp_path / "deep/back")
    assert fetched == sent
    assert (tmp_path / "deep/back").read_bytes() == content
    assert [f.etag for f in await files.tree("a")] == [sent.etag]
    assert os.listdir(service.folder() / ".tunesmith/uploads") == []


async def test_a_small_file_takes_two_requests(service, files):
    await files.write("x/1", b"1")
    service.seen.clear()
    await files.write("x/2", b"2")
    assert len(service.seen) == 2


async def test_parts_are_read_by_offset(files):
    await files.write("log.txt", b"0123456789")
    assert await files.read("log.txt", 3, 4) == b"3456"
    assert await files.read("log.txt", 7) == b"789"
    assert await files.read("log.txt", 7, 100) == b"789"
    assert await files.read("log.txt", 10) == b""
    assert await files.read("log.txt", 99, 3) == b""
    assert await files.read("none.txt") is None
    assert await files.size("log.txt") == 10
    assert await files.size("none.txt") is None


async def test_a_folder_is_made_once_with_its_parents(files):
    made = await asyncio.gather(*(files.make_directory("runs/r1/starts") for _ in range(10)))
    assert sorted(made) == [False] * 9 + [True]
    assert await files.folders("runs/r1") == ["starts"]
    assert await files.folders("nowhere") == []
    assert await files.exists("runs/r1/starts")
    assert not await files.exists("runs/r2")


async def test_two_clients_agree_on_who_made_a_folder(service, files):
    other = ShareFiles(profile(service), ACCOUNT, KEY, "work")
    try:
        made = await asyncio.gather(files.make_directory("runs/r"), other.make_directory("runs/r"))
    finally:
        await other.close()
    assert sorted(made) == [False, True]


async def test_the_tree_lists_every_file_below_a_prefix(service, files):
    for path in ("a/1", "a/b/2", "c/3"):
        await files.write(path, path.encode())
    (service.folder() / "a/b/by-job").write_bytes(b"x")
    listed = await files.tree("a")
    assert [(f.path, f.size_bytes) for f in listed] == [("a/1", 3), ("a/b/2", 5), ("a/b/by-job", 1)]
    assert await files.tree("none") == []


async def test_files_and_empty_folders_are_deleted(files):
    await files.write("d/f", b"")
    assert not await files.delete_folder("d")
    assert await files.delete("d/f")
    assert not await files.delete("d/f")
    assert await files.delete_folder("d")
    await files.write("d/g", b"again, in a folder that is gone")
    assert await files.read("d/g") == b"again, in a folder that is gone"


async def test_a_folder_removed_behind_the_client_is_made_again(service, files):
    await files.write("d/f", b"1")
    (service.folder() / "d/f").unlink()
    (service.folder() / "d").rmdir()
    (service.folder() / ".tunesmith/uploads").rmdir()
    await files.write("d/f", b"2")
    assert (service.folder() / "d/f").read_bytes() == b"2"


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("what", ["comp=rename", "comp=range", "PUT"])
async def test_a_lost_request_or_reply_is_repeated_and_harmless(service, files, what, cut):
    content = os.urandom(9 * MIB)
    await files.write("f.bin", b"old")
    cuts = []

    async def lose_once(request: web.Request):
        if not cuts and what in f"{request.method} {request.path_qs}":
            cuts.append(request.path_qs)
            if cut == "after":
                # The service acts, and its answer never arrives.
                await request.app.router.resolve(request)
                await request.match_info.handler(request)
            request.transport.abort()
            return web.Response()
        return None

    service.gatekeeper = lose_once
    await files.write("f.bin", content)
    assert cuts
    assert (service.folder() / "f.bin").read_bytes() == content


async def test_a_failing_upload_leaves_the_old_file_whole(service, files):
    await files.write("f.bin", b"old")

    async def refuse(request: web.Request):
        if "comp=range" in request.path_qs and "4194304" in request.headers.get("x-ms-range", ""):
            request.transport.abort()
            return web.Response()
        return None

    service.gatekeeper = refuse
    with pytest.raises(ShareError) as refused:
        await files.write("f.bin", os.urandom(9 * MIB))
    assert refused.value.code in ("share.cutOff", "share.unreachable")
    assert refused.value.retryable
    service.gatekeeper = None
    assert await files.read("f.bin") == b"old"
    assert await files.clear_uploads() == 0


async def test_bytes_damaged_on_the_way_are_never_taken(service, files):
    async def damage(request: web.Request):
        if request.method == "PUT" and request.content_length == 5:
            request._read_bytes = b"jello"
        return None

    service.gatekeeper = damage
    with pytest.raises(ShareError) as refused:
        await files.write("f.txt", b"hello")
    assert refused.value.code == "share.notVerified"
    service.gatekeeper = None
    assert await files.read("f.txt") is None


async def test_what_killed_uploads_left_is_cleared_and_living_ones_go_on(service, files):
    left = service.folder() / ".tunesmith/uploads"
    left.mkdir(parents=True)
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await dead.wait()
    for name in (
        f"{machine}-{dead.pid}-aa",
        f"{machine}-{os.getppid()}-bb",
        "othermachine-1-cc",
        "othermachine-1-dd",
    ):
        (left / name).write_bytes(b"half")
    os.utime(left / "othermachine-1-dd", (1e9, 1e9))
    assert await files.clear_uploads() == 2
    assert sorted(os.listdir(left)) == sorted([f"{machine}-{os.getppid()}-bb", "othermachine-1-cc"])


async def test_an_upload_whose_temporary_file_is_taken_away_begins_again(service, files):
    content = os.urandom(9 * MIB)
    taken = []

    async def take(request: web.Request):
        if "comp=range" in request.path_qs and not taken:
            for file in (service.folder() / ".tunesmith/uploads").iterdir():
                taken.append(file)
                file.unlink()
        return None

    service.gatekeeper = take
    await files.write("f.bin", content)
    assert taken
    assert (service.folder() / "f.bin").read_bytes() == content


async def test_a_busy_service_is_asked_again(service, files):
    refusals = []

    async def busy(request: web.Request):
        if len(refusals) < 2 and request.method == "PUT":
            refusals.append(request.path)
            return web.Response(status=503, headers={"x-ms-error-code": "ServerBusy"})
        return None

    service.gatekeeper = busy
    await files.write("f", b"1")
    assert len(refusals) == 2
    assert await files.read("f") == b"1"


async def test_refusals_are_told_apart(service, files, tmp_path):
    wrong = ShareFiles(profile(service), ACCOUNT, "d3Jvbmc=", "work")
    gone = ShareFiles(profile(service), ACCOUNT, KEY, "none")
    dead = ShareFiles(
        profile(type(service)(tmp_path, url="https://127.0.0.1:1", ca_file=service.ca_file)),
        ACCOUNT,
        KEY,
        "work",
    )
    try:
        for share, code in (
            (wrong, "share.noAccess"),
            (gone, "share.missing"),
            (dead, "share.unreachable"),
        ):
            for call in (share.tree(), share.write("f", b"1"), share.read("f"), share.size("f")):
                with pytest.raises(ShareError) as refused:
                    await call
                assert refused.value.code == code
                assert KEY not in str(refused.value)
    finally:
        for share in (wrong, gone, dead):
            await share.close()


async def test_a_local_file_that_cannot_be_read_is_named(files, tmp_path):
    with pytest.raises(ShareError) as refused:
        await files.write("f", tmp_path / "none")
    assert refused.value.code == "share.localUnreadable"
    assert str(tmp_path / "none") in refused.value.message


async def test_asking_a_log_for_news_takes_one_request(service, files):
    await files.write("log.txt", b"0123456789")
    service.seen.clear()
    assert await files.read("log.txt", 10, 1000) == b""
    assert await files.read("log.txt", 4, 1000) == b"456789"
    assert await files.read("none.txt", 0, 1000) is None
    assert len(service.seen) == 3
