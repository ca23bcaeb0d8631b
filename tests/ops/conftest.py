"""A real local target for all tests of a session: azurebox as its own process, jobs as processes.

The jobs run in azurebox's bare Python image with `tiny_trainer.py` as their command, which keeps
the contract of a trainer without training.
"""

from __future__ import annotations

import asyncio
import os
import signal

import psutil
import pytest
from local_target import COMMANDS, kill_azurebox, make_project, set_commands
from tunesmith.core.reporter import RecordingReporter
from tunesmith.ops.context import Context
from tunesmith.ops.infra import Apply, apply
from tunesmith.ops.registry import ProjectParams


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    """Home and cache of the whole session; what was started there is ended at its end."""
    root = tmp_path_factory.mktemp("tunesmith")
    yield root / "home", root / "cache"
    kill_azurebox(root / "home", signal.SIGTERM)
    for process in psutil.process_iter(["pid"]):
        try:
            if str(root) in " ".join([*process.cmdline(), process.cwd()]):
                process.kill()
        except (psutil.Error, OSError):
            continue


@pytest.fixture
def ctx(places):
    home, cache = places
    return Context(RecordingReporter(), home, cache)


@pytest.fixture(scope="session")
def provisioned_template(places, tmp_path_factory):
    """A provisioned project, made once."""
    folder = make_project(tmp_path_factory.mktemp("projects") / "shared")
    home, cache = places
    context = Context(RecordingReporter(), home, cache)
    asyncio.run(apply(context, Apply(project=str(folder))))
    set_commands(folder, COMMANDS)
    return folder


@pytest.fixture
def project(provisioned_template):
    """The shared provisioned project with its usual commands."""
    set_commands(provisioned_template, COMMANDS)
    return provisioned_template


@pytest.fixture
def params(project):
    return ProjectParams(project=str(project))


@pytest.fixture
def fresh_project(tmp_path):
    """A project of this test alone, not provisioned."""
    return make_project(tmp_path / "own")


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
