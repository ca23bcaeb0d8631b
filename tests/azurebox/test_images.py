"""Pulling: environments built from locks, once, whole, and found again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest
from azurebox.images import accelerator, pull
from azurebox.images.downloads import plan_downloads, size_text
from azurebox.images.images import Environment, Images, PullFailed, UnknownImage
from image_catalog import make_catalog, make_wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def settings(wheels: Path) -> dict[str, str]:
    """Return the variables that make pip see these wheels and nothing else."""
    return {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_EXTRA_INDEX_URL": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


@pytest.fixture(autouse=True)
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "tiny", "1.0")
    for name, value in settings(folder).items():
        monkeypatch.setenv(name, value)
    return folder


def command(catalog: Path, cache: Path) -> list[str]:
    python = [sys.executable, "-m", "azurebox.images.cli", "pull", "tiny"]
    return [*python, "--cache", str(cache), "--catalog", str(catalog)]


@dataclass(frozen=True)
class Pulled:
    """A pull killed in the middle, then three at the same time, then one more."""

    environment: Environment
    was_ready_after_kill: bool
    together: list[tuple[int, str, str]]
    last: subprocess.CompletedProcess[str]
    last_took_s: float


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulled]:
    folder = tmp_path_factory.mktemp("pulled")
    make_wheel(folder / "wheels", "tiny", "1.0")
    catalog, cache = make_catalog(folder / "c", "tiny==1.0\n"), folder / "cache"
    images = Images(cache, catalog)
    environment = images.environment(images.find("tiny"))
    run, env = command(catalog, cache), os.environ | settings(folder / "wheels")
    with subprocess.Popen(run, stderr=subprocess.DEVNULL, env=env) as killed:
        end_s = time.monotonic() + 20
        while not (environment.path / "lib").exists():
            assert time.monotonic() < end_s
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    (environment.path / "half").touch()
    was_ready = environment.is_ready
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    together = [subprocess.Popen(run, text=True, env=env, **pipes) for _ in range(3)]
    told = [process.communicate() for process in together]
    ends = [(p.returncode, *t) for p, t in zip(together, told, strict=True)]
    started_s = time.monotonic()
    last = subprocess.run(run, capture_output=True, text=True, env=env, check=False)
    yield Pulled(environment, was_ready, ends, last, time.monotonic() - started_s)


def test_killed_pull_counts_for_nothing_and_is_built_anew(pulled: Pulled) -> None:
    assert not pulled.was_ready_after_kill
    assert sum("interrupted" in err for _, _, err in pulled.together) == 1
    assert not (pulled.environment.path / "half").exists()
    assert pulled.environment.is_ready


def test_of_pulls_at_the_same_time_one_builds(pulled: Pulled) -> None:
    assert [code for code, _, _ in pulled.together] == [0, 0, 0]
    assert len({out for _, out, _ in pulled.together}) == 1
    assert sum("packages: 1 packages" in err for _, _, err in pulled.together) == 1
    assert sum("already there" in err for _, _, err in pulled.together) == 2


def test_pull_prints_where_the_environment_is(pulled: Pulled) -> None:
    told = json.loads(pulled.last.stdout)
    assert told["ready"]
    assert told["path"] == str(pulled.environment.path)
    version = [told["python"], "-c", "import tiny; print(tiny.VERSION)"]
    assert subprocess.run(version, capture_output=True, text=True).stdout == "1.0\n"


def test_second_pull_does_nothing(pulled: Pulled) -> None:
    assert "already there" in pulled.last.stderr
    assert pulled.last_took_s < 2


async def test_failed_pull_says_what_to_all_who_wait_and_leaves_the_image_missing(
    tmp_path: Path,
) -> None:
    images = Images(tmp_path / "cache", make_catalog(tmp_path / "c", "not-there==9\n"))
    lines: list[str] = []
    both = (images.ensure("tiny", lines.append), images.ensure("tiny", lines.append))
    for error in await asyncio.gather(*both, return_exceptions=True):
        assert isinstance(error, PullFailed)
        assert re.search(r"not-there==9.*pull again", str(error))
    assert sum(line.startswith("tiny: Python") for line in lines) == 1
    assert not images.environment(images.find("tiny")).is_ready


async def test_pull_ends_with_azurebox(tmp_path: Path) -> None:
    images = Images(tmp_path / "cache", make_catalog(tmp_path / "c", "tiny==1.0\n"))
    began = asyncio.Event()
    waiting = asyncio.create_task(images.ensure("tiny", lambda _: began.set()))
    await asyncio.wait_for(began.wait(), 10)
    await images.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    end_s = time.monotonic() + 20
    while building := [p for p in psutil.process_iter() if str(tmp_path) in " ".join(_argv(p))]:
        assert time.monotonic() < end_s, building
        await asyncio.sleep(0.05)
    assert not images.environment(images.find("tiny")).is_ready


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_full_disk_is_noticed_before_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Images(tmp_path)
    environment = images.environment(images.find("training"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1_000_000))
    with pytest.raises(PullFailed, match=r"2\.0 GB on disk.* has 1 MB left"):
        pull.pull(environment, lambda _: None)
    assert not environment.path.exists()


def test_hash_follows_the_requirements_not_the_comments(tmp_path: Path) -> None:
    def hash_of(lock: str) -> str:
        images = Images(tmp_path, make_catalog(tmp_path / "c", lock))
        return images.environment(images.find("tiny")).hash

    assert hash_of("tiny==1.0\n") == hash_of("# a remark\ntiny==1.0  # and another\n\n")
    assert hash_of("tiny==1.0\n") != hash_of("tiny==2.0\n")


@pytest.mark.parametrize(
    "reference", ["python", "python:3.11-slim", "docker.io/library/python:3.11-slim"]
)
def test_image_is_found_by_each_of_its_names(tmp_path: Path, reference: str) -> None:
    assert Images(tmp_path).find(reference).short == "python"


def test_unknown_image_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownImage, match=r"nothing:1.*training, inference, python"):
        Images(tmp_path).find("nothing:1")


def test_images_are_listed_as_json(tmp_path: Path) -> None:
    python = [sys.executable, "-m", "azurebox.images.cli", "images", "--json"]
    listed = subprocess.run([*python, "--cache", str(tmp_path)], capture_output=True, check=True)
    rows = json.loads(listed.stdout)
    assert [row["short"] for row in rows] == ["training", "inference", "python"]
    assert {row["ready"] for row in rows} == {False}
    assert set(rows[0]) == {
        *("name", "short", "ready", "path", "python", "hash", "download_bytes"),
    }


@pytest.mark.parametrize("short", ["training", "inference"])
def test_lock_is_exact_and_names_no_index_and_no_build(short: str, tmp_path: Path) -> None:
    requirements = Images(tmp_path).find(short).requirements()
    assert len(requirements) > 50
    for line in requirements:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9a-z.]+", line), line


@pytest.mark.parametrize(
    ("short", "file"),
    [
        ("training", "finetuning/requirements.txt"),
        ("inference", "inference/requirements.txt"),
    ],
)
def test_image_satisfies_what_its_code_asks_for(short: str, file: str, tmp_path: Path) -> None:
    if not (ROOT / file).exists():
        pytest.skip(f"{file} is not there")
    image = Images(tmp_path).find(short)
    pins = [*image.requirements(), *image.without_dependencies]
    locked = {
        canonicalize_name(name): version for name, _, version in (p.partition("==") for p in pins)
    }
    for line in (ROOT / file).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-"):
            wanted = Requirement(text)
            version = locked.get(canonicalize_name(wanted.name))
            assert version, f"{short}.lock lacks {wanted.name}"
            assert wanted.specifier.contains(version), f"{text} is not met by {version}"


def test_plan_knows_the_size_before_the_download(wheels: Path) -> None:
    plan = plan_downloads([sys.executable, "-m", "pip"], ["tiny==1.0"])
    assert plan is not None
    size = next(wheels.glob("tiny-1.0*")).stat().st_size
    assert (plan.count, plan.known_bytes, plan.unknown, plan.has_cuda) == (1, size, 0, False)


def test_plan_sees_nvidias_libraries(wheels: Path) -> None:
    make_wheel(wheels, "nvidia_thing", "1")
    plan = plan_downloads([sys.executable, "-m", "pip"], ["nvidia-thing"])
    assert plan is not None
    assert plan.has_cuda


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(999, "1 kB"), (23_400_000, "23 MB"), (1_440_000_000, "1.4 GB")]
)
def test_sizes_read_well(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


def test_cpu_index_is_used_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/torch/" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AZUREBOX_TORCH_CPU_INDEX", url)
        if sys.platform == "linux":
            assert pull._torch_options("cpu", print) == ["--index-url", url]  # pyright: ignore
        assert pull._torch_options("cuda", print) == []  # pyright: ignore
        server.shutdown()
    said: list[str] = []
    assert pull._torch_options("cpu", said.append) == []  # pyright: ignore
    if sys.platform == "linux":
        assert "not reached" in said[0]


def test_driver_decides_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/proc/driver/nvidia/gpus").exists():
        pytest.skip("this machine has a card")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerator.detect_accelerator() == "cpu"
    tool = tmp_path / "nvidia-smi"
    for answer, kind in (("echo 'GPU 0: some card'", "cuda"), ("exit 9", "cpu")):
        tool.write_text(f"#!/bin/sh\n{answer}\n")
        tool.chmod(0o755)
        assert accelerator.detect_accelerator() == kind


def test_pips_lines_are_shown_without_wheel_tags() -> None:
    line = "Downloading hf_xet-1.8.0-cp38-abi3-manylinux2014_x86_64.whl (4.3 MB)"
    assert pull._shortened(line) == "Downloading hf_xet-1.8.0 (4.3 MB)"  # pyright: ignore
