"""What `doctor` looks at, one function a check; none of them changes anything."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tunesmith.core.doctor import Finding
from tunesmith.core.errors import TunesmithError
from tunesmith.core.messages import text
from tunesmith.core.size_text import size_text
from tunesmith.core.targets import TargetStatus
from tunesmith.ops.local_target import NEEDED, local_status

if TYPE_CHECKING:
    from tunesmith.ops.context import Context

GIB = 1024**3
DISK_WANTED_BYTES = 8 * GIB
"""Both images (about 5 GiB with the CPU build of torch), a model and a run's checkpoints."""
MEMORY_WANTED_BYTES = 3 * GIB
"""Peak of a fine-tuning of the bundled 135M model, with the desktop beside it."""


async def diagnose(ctx: Context) -> tuple[Finding, ...]:
    """Run every check, in the order in which a user should mend them."""
    try:
        status: TargetStatus | str = await local_status(ctx)
    except TunesmithError as e:
        status = e.message
    except OSError as e:
        status = str(e)
    findings = [
        _system(),
        _python(),
        find_home(ctx.home),
        _disk(ctx.cache),
        _memory(),
        await asyncio.to_thread(_mount),
        _images(status),
        _azurebox(status),
        await asyncio.to_thread(_node),
    ]
    return tuple(findings)


def _system() -> Finding:
    name = platform.platform(terse=True)
    if sys.platform == "win32":
        return Finding("system", "warning", text("doctor.windows", name=name), "wsl --install")
    return Finding("system", "ok", name)


def _python() -> Finding:
    version = platform.python_version()
    try:
        import ensurepip as _  # noqa: F401
    except ImportError:
        fix = "sudo apt-get install -y python3-venv"
        return Finding("python", "error", text("doctor.noVenv", version=version), fix)
    return Finding("python", "ok", version)


def find_home(home: Path) -> Finding:
    """Look whether state can be kept there; the place need not be made yet."""
    place = home
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        detail = text("doctor.homeReadOnly", path=home)
        return Finding("state", "error", detail, "export TUNESMITH_HOME=/a/writable/folder")
    return Finding("state", "ok", str(home))


def _disk(cache: Path) -> Finding:
    place = cache
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < DISK_WANTED_BYTES:
        detail = text("doctor.diskLow", free=size_text(free), wanted=size_text(DISK_WANTED_BYTES))
        return Finding("disk", "warning", detail, "export TUNESMITH_CACHE=/a/larger/disk")
    return Finding("disk", "ok", text("doctor.free", free=size_text(free)))


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    detail = text("doctor.free", free=size_text(available))
    if available < MEMORY_WANTED_BYTES:
        wanted = size_text(MEMORY_WANTED_BYTES)
        detail = text("doctor.memoryLow", free=size_text(available), wanted=wanted)
        return Finding("memory", "warning", detail, text("doctor.memoryFix"))
    return Finding("memory", "ok", detail)


def _mount() -> Finding:
    """Try what a container start does: a mount namespace of its own."""
    program = shutil.which("unshare")
    if program is None:
        detail = text("doctor.mountFallback", reason=text("doctor.noUnshare"))
        return Finding("mounts", "warning", detail, "sudo apt-get install -y util-linux")
    flags = "-m" if hasattr(os, "geteuid") and os.geteuid() == 0 else "-Urm"
    done = subprocess.run(
        [program, flags, "true"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["exit code"])[0]
        detail = text("doctor.mountFallback", reason=reason)
        return Finding(
            "mounts", "warning", detail, "sudo sysctl kernel.unprivileged_userns_clone=1"
        )
    return Finding("mounts", "ok", text("doctor.mounts"))


def _images(status: TargetStatus | str) -> Finding:
    fix = "tunesmith target prepare"
    if isinstance(status, str):
        return Finding("images", "error", status, fix)
    missing = [i.name for i in status.images if not i.ready]
    if missing:
        detail = text("target.imagesMissing", names=", ".join(missing))
        return Finding("images", "warning", detail, fix)
    return Finding("images", "ok", ", ".join(NEEDED))


def _azurebox(status: TargetStatus | str) -> Finding:
    if isinstance(status, str):
        return Finding("azurebox", "error", status, "tunesmith target prepare")
    if not status.arm_url:
        return Finding("azurebox", "ok", text("target.stopped"))
    return Finding("azurebox", "ok", status.arm_url)


def _node() -> Finding:
    """Node is needed for the editor extension's tests only."""
    program = shutil.which("node")
    if program is None:
        return Finding("node", "ok", text("doctor.noNode"))
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    version = done.stdout.strip()
    major = int(version.lstrip("v").split(".")[0] or 0) if version.startswith("v") else 0
    if major < 20:
        return Finding("node", "warning", text("doctor.nodeOld", version=version), "nvm install 20")
    return Finding("node", "ok", version)
