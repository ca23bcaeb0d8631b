"""Fixtures of the tests that talk to a real azurebox process."""

from __future__ import annotations

import subprocess
import sys

import pytest
from box_process import BoxProcess, Workspace


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache of images that has the small one, so that no test waits for its pull."""
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-m", "azurebox", "pull", "python", "--cache", str(cache)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return cache


@pytest.fixture(scope="module")
def box(tmp_path_factory, cache):
    box = BoxProcess(tmp_path_factory.mktemp("box") / "state", cache).start()
    yield box
    box.stop_everything()


@pytest.fixture(scope="module")
def lab(box):
    return Workspace(box)
