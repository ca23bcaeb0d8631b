"""Images: what an image reference stands for on this machine, and whether it is there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import signal
import sys
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from azurebox.images.accelerator import Accelerator, detect_accelerator

CATALOG = Path(__file__).with_name("catalog.json")
# Part of the hash: raise it when `pull` builds something else from the same lock.
_RECIPE = 1


class UnknownImage(LookupError):
    """No image of that name; the message lists those that there are."""


class PullFailed(RuntimeError):
    """The environment could not be built; the message says which step and what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """One entry of the catalogue.

    `lock`: a file of exact requirements, None for the bare language. `without_dependencies`:
    requirements installed last and alone. `download_bytes` and `disk_bytes`: for this machine's
    build of PyTorch, None where unknown.
    """

    name: str
    short: str
    lock: Path | None
    without_dependencies: tuple[str, ...]
    download_bytes: int | None
    disk_bytes: int | None

    def requirements(self) -> list[str]:
        """Return the lock's lines without comments."""
        if self.lock is None:
            return []
        lines = (line.partition("#")[0].strip() for line in self.lock.read_text().splitlines())
        return [line for line in lines if line]


@dataclass(frozen=True, slots=True)
class Environment:
    """A pulled image: the folder of a virtual environment. `hash` names its content."""

    image: Image
    path: Path
    hash: str

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.path / "bin" / "python3"

    @property
    def site_packages(self) -> Path:
        """Where its packages are."""
        return Path(sysconfig.get_path("purelib", "venv", vars=self._bases))

    @property
    def complete_marker(self) -> Path:
        """The file that is written last."""
        return self.path / ".complete"

    @property
    def is_ready(self) -> bool:
        """Whether it was built to its end."""
        return self.complete_marker.exists()

    @property
    def _bases(self) -> dict[str, str]:
        return {"base": str(self.path), "platbase": str(self.path)}


class Images:
    """The catalogue's images and their environments below `cache`. One event loop."""

    def __init__(self, cache: Path, catalog: Path = CATALOG) -> None:
        self._folder = cache / "images"
        self._cache = cache
        self._catalog = catalog
        self._accelerator: Accelerator | None = None
        self._pulls: dict[str, asyncio.Task[None]] = {}

    def all(self) -> list[Image]:
        """Return every image, in the catalogue's order."""
        entries = json.loads(self._catalog.read_text(encoding="utf-8"))["images"]
        return [
            Image(
                entry["name"],
                entry["short"],
                self._catalog.parent / entry["lock"] if entry["lock"] else None,
                tuple(entry["without_dependencies"]),
                entry["download_bytes"].get(self._detect()),
                entry["disk_bytes"].get(self._detect()),
            )
            for entry in entries
        ]

    def find(self, reference: str) -> Image:
        """Return the image by its full reference or its short name.

        `docker.io/` and `docker.io/library/` may be left out, as in Docker.
        Raises: UnknownImage.
        """
        wanted = _normal_reference(reference)
        for image in self.all():
            if reference == image.short or wanted == _normal_reference(image.name):
                return image
        known = ", ".join(image.short for image in self.all())
        raise UnknownImage(
            f'Failed to pull image "{reference}": it is not in the catalogue (known: {known})'
        )

    def environment(self, image: Image) -> Environment:
        """Return where the image's environment is, or will be, on this machine."""
        digest = hashlib.sha256()
        for part in (
            "\n".join(image.requirements()).encode(),
            "\n".join(image.without_dependencies).encode(),
            f"{sys.implementation.cache_tag}-{platform.system()}-{platform.machine()}".encode(),
            sys.base_prefix.encode(),
            self._detect().encode() if image.lock else b"",
            str(_RECIPE).encode(),
        ):
            digest.update(len(part).to_bytes(8) + part)
        hash = digest.hexdigest()[:12]
        return Environment(image, self._folder / f"{image.short}-{hash}", hash)

    async def ensure(self, reference: str, on_progress: Callable[[str], None]) -> Environment:
        """Return the image's environment, pulled first when it is missing.

        Callers that want the same image share one pull; only the first one sees its lines.
        Raises: UnknownImage, PullFailed.
        """
        environment = self.environment(self.find(reference))
        if environment.is_ready:
            return environment
        pull = self._pulls.get(environment.hash)
        if pull is None:
            pull = asyncio.create_task(self._pull(environment.image, on_progress))
            self._pulls[environment.hash] = pull
            pull.add_done_callback(lambda done: self._forget(environment.hash, done))
        # One waiting container given up must not end the pull for the others.
        await asyncio.shield(pull)
        return environment

    async def aclose(self) -> None:
        """End the pulls that are under way. What they built so far is built anew next time."""
        for pull in list(self._pulls.values()):
            pull.cancel()
            with suppress(asyncio.CancelledError, PullFailed):
                await pull

    def _forget(self, hash: str, pull: asyncio.Task[None]) -> None:
        del self._pulls[hash]
        if not pull.cancelled():
            pull.exception()  # looked at: whoever waited for it may have given up

    def _detect(self) -> Accelerator:
        if self._accelerator is None:
            self._accelerator = detect_accelerator()
        return self._accelerator

    async def _pull(self, image: Image, on_progress: Callable[[str], None]) -> None:
        arguments = self._pull_command(image)
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that it can be ended with the pip below it
        )
        assert process.stderr is not None
        last = ""
        try:
            async for line in process.stderr:
                last = line.decode("utf-8", "replace").rstrip()
                on_progress(last)
            code = await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
            raise
        if code != 0:
            raise PullFailed(last or f"the pull of {image.short} ended with exit code {code}")

    def _pull_command(self, image: Image) -> Sequence[str]:
        command = [sys.executable, "-m", "azurebox.images.cli", "pull", image.short]
        return [*command, "--cache", str(self._cache), "--catalog", str(self._catalog)]


def _normal_reference(reference: str) -> str:
    for prefix in ("docker.io/library/", "docker.io/"):
        reference = reference.removeprefix(prefix)
    return reference
