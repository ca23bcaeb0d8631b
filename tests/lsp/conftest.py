"""Servers started as an editor would, and one real local target for all tests of a session."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from local_target import kill_azurebox, make_project
from lsp_client import LspClient
from tunesmith.core.reporter import RecordingReporter
from tunesmith.ops.context import Context
from tunesmith.ops.infra import Apply, apply


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LspClient]:
    client = await LspClient.start(tmp_path / "home")
    await client.initialize()
    yield client
    await client.close()


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Home and cache of the session; what was started there is ended at its end."""
    root = tmp_path_factory.mktemp("tunesmith-lsp")
    yield root / "home", root / "cache"
    kill_azurebox(root / "home", signal.SIGTERM)
    for process in psutil.process_iter(["pid"]):
        try:
            if str(root) in " ".join([*process.cmdline(), process.cwd()]):
                process.kill()
        except (psutil.Error, OSError):
            continue


@pytest.fixture(scope="session")
def project(places: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A provisioned project whose job trains nothing, quickly."""
    folder = make_project(tmp_path_factory.mktemp("projects") / "shared")
    asyncio.run(apply(Context(RecordingReporter(), *places), Apply(project=str(folder))))
    return folder


@pytest.fixture
async def editor(places: tuple[Path, Path]) -> AsyncIterator[LspClient]:
    """A server on the session's local target."""
    home, cache = places
    client = await LspClient.start(home, cache=cache)
    await client.initialize()
    yield client
    await client.close()
