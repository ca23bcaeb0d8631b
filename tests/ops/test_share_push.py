"""Push and pull on the real SDK against azurebox's files service: every byte, cut off anywhere."""

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import asdict

import pytest
from aiohttp import web
from files_service import ACCOUNT, KEY, RunningFiles
from test_share_files import profile
from tunesmith.azure.files import ShareFiles
from tunesmith.core.errors import ShareError
from tunesmith.core.manifest import read_manifest
from tunesmith.core.reporter import RecordingReporter
from tunesmith.ops.pulling import apply_pull, plan_pull
from tunesmith.ops.pushing import apply_push, plan_push

MIB = 1024 * 1024


class World:
    """A workspace, a share, and a client of it."""

    def __init__(self, service, root):
        self.service = service
        self.root = root
        self.share = service.folder()
        self.files = ShareFiles(profile(service), ACCOUNT, KEY, "work")
        self.reporter = RecordingReporter()

    def write(self, path, content="x"):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def by_job(self, path, content="job"):
        """A job writes into the mounted share."""
        file = self.share / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    async def plan(self, **options):
        return await plan_push(
            self.files, self.root, target="local", reporter=self.reporter, **options
        )

    async def push(self, **options):
        return await apply_push(self.files, await self.plan(**options), self.reporter)

    async def pull(self, run, **options):
        prepared = await plan_pull(self.files, self.root, run, target="local", **options)
        return await apply_pull(self.files, prepared, self.reporter)

    def here(self):
        return tree(self.root)

    def there(self):
        return tree(self.share)


def tree(root):
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if not path.startswith(".tunesmith"):
                with open(os.path.join(root, path), "rb") as file:
                    found[path] = file.read()
    return found


@pytest.fixture
async def world(tmp_path):
    (tmp_path / "tls").mkdir()
    with RunningFiles(tmp_path / "files", tls_folder=tmp_path / "tls") as service:
        service.folder().mkdir(parents=True)
        (tmp_path / "ws").mkdir()
        made = World(service, tmp_path / "ws")
        yield made
        await made.files.close()


async def test_a_push_mirrors_the_workspace_and_a_second_one_asks_little(world):
    for n in range(30):
        world.write(f"d{n % 4}/deep/f{n}.txt", f"content {n}")
    world.write("big.bin", os.urandom(9 * MIB))
    world.write("empty", "")
    first = await world.push()
    assert (first.files, first.deleted, first.applied) == (32, 0, True)
    assert world.there() == world.here()
    manifest = read_manifest((world.share / ".tunesmith/manifest.json").read_bytes())
    assert set(manifest.files) == set(world.here())
    world.service.seen.clear()
    second = await world.push()
    assert (second.files, second.deleted) == (0, 0)
    assert len(world.service.seen) == 1 + 9  # the manifest, and one listing for each folder
    assert not second.plan.changes


async def test_edits_moves_and_deletions_follow(world):
    for n in range(20):
        world.write(f"f{n}", "one")
    world.write("folder/a", "a")
    await world.push()
    world.write("f1", "two")
    (world.root / "f2").rename(world.root / "moved")
    (world.root / "f3").unlink()
    (world.root / "f4").unlink()
    world.write("f4/now/a/folder", "y")
    (world.root / "folder/a").unlink()
    (world.root / "folder").rmdir()
    world.write("folder", "now a file")
    result = await world.push()
    assert world.there() == world.here()
    assert (result.files, result.deleted) == (4, 4)


async def test_what_jobs_write_stays(world):
    world.write("a", "1")
    await world.push()
    world.by_job("runs/r1/log.txt")
    world.by_job("model-cache/m/w.bin")
    world.by_job("made-by-job.txt")
    world.write("runs/r1/log.txt", "local copy")
    (world.root / "a").unlink()
    world.write("b", "2")
    await world.push()
    assert world.there() == {
        "b": b"2",
        "runs/r1/log.txt": b"job",
        "model-cache/m/w.bin": b"job",
        "made-by-job.txt": b"job",
    }


async def test_a_file_changed_on_the_share_is_a_conflict_until_it_is_decided(world):
    world.write("a", "1")
    world.write("b", "1")
    await world.push()
    world.by_job("a", "2")
    world.write("b", "new")
    with pytest.raises(ShareError) as refused:
        await world.push()
    assert refused.value.code == "share.conflict"
    assert refused.value.fix.args["force"] is True
    assert world.there() == {"a": b"2", "b": b"1"}
    await world.push(force=True)
    assert world.there() == {"a": b"1", "b": b"new"}
    assert not (await world.plan()).plan.changes


async def test_a_file_that_a_job_wrote_alike_is_no_conflict(world):
    world.write("a", "1")
    await world.push()
    world.by_job("a", "1")
    assert not (await world.plan()).plan.changes


async def test_an_emptied_workspace_deletes_nothing(world):
    for n in range(12):
        world.write(f"f{n}")
    await world.push()
    for n in range(12):
        (world.root / f"f{n}").unlink()
    with pytest.raises(ShareError) as refused:
        await world.push()
    assert refused.value.code == "share.halted"
    assert len(world.there()) == 12
    await world.push(force=True)
    assert world.there() == {}


async def test_a_share_made_anew_is_filled_again(world):
    world.write("a", "1")
    await world.push()
    for file in (world.share / "a", world.share / ".tunesmith/manifest.json"):
        file.unlink()
    await world.push()
    assert world.there() == {"a": b"1"}


async def test_another_machine_sees_what_is_the_same_and_what_is_not(world, tmp_path):
    world.write("same", "1")
    world.write("differs", "1")
    await world.push()
    other = World(world.service, tmp_path / "other")
    try:
        other.write("same", "1")
        other.write("differs", "2")
        other.write("new", "3")
        plan = (await other.plan()).sync
        assert [c.path for c in plan.conflicts] == ["differs"]
        assert [u.path for u in plan.uploads] == ["new"]
        assert plan.unchanged == ("same",)
    finally:
        await other.files.close()


async def test_refused_names_are_told_and_keep_what_is_there(world):
    world.write("ok.txt", "1")
    world.write("a:b.txt", "1")
    await world.push()
    assert world.there() == {"ok.txt": b"1"}
    assert any("a:b.txt" in warning for warning in world.reporter.warnings)
    with pytest.raises(ShareError) as refused:
        await world.push(named=["a:b.txt"])
    assert refused.value.code == "share.cannotSend"


async def test_a_lost_connection_leaves_whole_files_and_the_next_push_ends_it(world):
    for n in range(25):
        world.write(f"d/f{n}", os.urandom(2000 + n))
    world.write("big.bin", os.urandom(9 * MIB))
    before = {}
    dice = random.Random(7)
    for _ in range(3):
        count, limit = 0, dice.randrange(2, 40)

        async def cut(request: web.Request, limit=limit):
            nonlocal count
            count += request.method == "PUT"
            if count > limit:
                request.transport.abort()
                return web.Response()
            return None

        world.service.gatekeeper = cut
        with pytest.raises(ShareError):
            await world.push()
        world.service.gatekeeper = None
        for path, content in world.there().items():
            assert content in (world.here()[path], before.get(path)), path
        before = world.there()
        world.write("d/f3", os.urandom(2003))  # edited between two tries
        world.write("big.bin", os.urandom(9 * MIB))
    await world.push()
    assert world.there() == world.here()
    assert os.listdir(world.share / ".tunesmith/uploads") == []


KILLED = """
import asyncio, json, sys
from pathlib import Path
from tunesmith.azure.files import ShareFiles
from tunesmith.core.reporter import RecordingReporter
from tunesmith.core.targets import CloudProfile
from tunesmith.ops.pushing import apply_push, plan_push

profile, account, key, root = json.loads(sys.argv[1])

async def main():
    files, reporter = ShareFiles(CloudProfile(**profile), account, key, "work"), RecordingReporter()
    push = await plan_push(files, Path(root), target="local", reporter=reporter)
    print("planned", flush=True)
    await apply_push(files, push, reporter)
    print("done", flush=True)

asyncio.run(main())
"""


async def test_a_push_killed_at_any_moment_is_gone_on_with(world):
    """Kill moments are drawn over the duration of the sending, as the first push shows it."""
    dice = random.Random(11)
    facts = [asdict(profile(world.service)), ACCOUNT, KEY, str(world.root)]
    world.write("big.bin", os.urandom(9 * MIB))
    for n in range(60):
        world.write(f"d{n % 5}/f{n}", os.urandom(700 + n))
    before, killed, duration_s = {}, 0, 0.5
    for _ in range(3):
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            KILLED,
            json.dumps(facts),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert await started.stdout.readline() == b"planned\n"
        await asyncio.sleep(dice.uniform(0, duration_s))
        if started.returncode is None:
            started.kill()
        output, errors = await started.communicate()
        assert errors == b""
        killed += output == b""
        for path, content in world.there().items():
            assert content in (world.here()[path], before.get(path)), path
        before = world.there()
        world.write("big.bin", os.urandom(9 * MIB))
        for n in range(0, 60, 3):  # the next try finds other content than this one sent
            world.write(f"d{n % 5}/f{n}", os.urandom(700 + n))
    assert killed
    await world.push()
    assert world.there() == world.here()
    assert os.listdir(world.share / ".tunesmith/uploads") == []


async def test_a_cancelled_push_stops_soon_and_goes_on_later(world):
    for n in range(40):
        world.write(f"f{n}", os.urandom(500))

    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    async def slow(request: web.Request):
        await asyncio.sleep(0.05)
        if len(world.there()) >= 3:
            loop.call_soon_threadsafe(arrived.set)

    world.service.gatekeeper = slow
    task = asyncio.create_task(world.push())
    await arrived.wait()
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 2
    world.service.gatekeeper = None
    world.service.seen.clear()
    result = await world.push()
    assert result.files < 40
    assert world.there() == world.here()


async def test_progress_ends_with_everything_sent(world):
    world.write("a", os.urandom(3000))
    world.write("b", os.urandom(5000))
    await world.push()
    last = world.reporter.steps[-1]
    assert (last.done, last.total) == (8000, 8000)


async def test_a_pull_brings_a_run_without_checkpoints(world):
    world.by_job("runs/r1/adapter/weights.bin", os.urandom(9 * MIB))
    world.by_job("runs/r1/log.txt", "log")
    world.by_job("runs/r1/checkpoint-5/optimizer.pt", "big")
    world.by_job("runs/r2/log.txt", "other")
    result = await world.pull("r1")
    assert (result.files, result.applied) == (2, True)
    there = world.there()
    assert world.here() == {
        path: there[path] for path in ("runs/r1/adapter/weights.bin", "runs/r1/log.txt")
    }
    assert (await world.pull("r1")).files == 0
    world.by_job("runs/r1/log.txt", "log and more")
    assert (await world.pull("r1", checkpoints=True)).files == 2
    assert world.here()["runs/r1/log.txt"] == b"log and more"
    with pytest.raises(ShareError) as refused:
        await world.pull("r9")
    assert refused.value.code == "share.nothingToPull"


async def test_a_pull_keeps_what_was_edited_here(world):
    world.by_job("runs/r1/notes.txt", "1")
    await world.pull("r1")
    world.write("runs/r1/notes.txt", "mine")
    world.by_job("runs/r1/notes.txt", "2")
    result = await world.pull("r1")
    assert result.conflicts == ("runs/r1/notes.txt",)
    assert world.here() == {"runs/r1/notes.txt": b"mine"}


async def test_a_pull_cut_off_leaves_no_half_file_and_goes_on(world):
    for n in range(6):
        world.by_job(f"runs/r1/f{n}.bin", os.urandom(5 * MIB))
    count = 0

    async def cut(request: web.Request):
        nonlocal count
        count += request.method == "GET" and "f" in request.path and "comp" not in request.query
        if count > 6:
            request.transport.abort()
            return web.Response()
        return None

    world.service.gatekeeper = cut
    with pytest.raises(ShareError):
        await world.pull("r1")
    there = world.there()
    assert all(content == there[path] for path, content in world.here().items())
    world.service.gatekeeper = None
    await world.pull("r1")
    assert world.here() == there
