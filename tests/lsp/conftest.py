"""A server per test, started as an editor would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lsp_client import LspClient


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LspClient]:
    client = await LspClient.start(tmp_path / "home")
    await client.initialize()
    yield client
    await client.close()
