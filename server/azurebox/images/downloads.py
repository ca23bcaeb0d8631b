"""How much pip is about to download, before it does."""

from __future__ import annotations

import json
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_HEAD_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """`known_bytes` of `count` files; `unknown` of them did not tell their size.

    `has_cuda`: NVIDIA's libraries are among them.
    """

    count: int
    known_bytes: int
    unknown: int
    has_cuda: bool

    def __str__(self) -> str:
        least = "at least " if self.unknown else ""
        return f"{self.count} packages, {least}{size_text(self.known_bytes)} to download"


def plan_downloads(
    pip: Sequence[str], arguments: Sequence[str], keep_open: Sequence[int] = ()
) -> DownloadPlan | None:
    """Ask pip what `install arguments` would fetch, and the index how large that is.

    Returns None when pip does not say; the install itself then tells why. Blocks for seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        asked = subprocess.run(
            [*pip, "install", "--quiet", "--dry-run", "--report", str(report), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=keep_open,
            check=False,
        )
        if asked.returncode != 0 or not report.exists():
            return None
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    urls = [str(item["download_info"]["url"]) for item in installs]
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(_size_bytes, urls))
    known = [size for size in sizes if size is not None]
    names = [str(item["metadata"]["name"]).lower().replace("_", "-") for item in installs]
    has_cuda = any(name.startswith("nvidia-") for name in names)
    return DownloadPlan(len(urls), sum(known), len(sizes) - len(known), has_cuda)


def size_text(size_bytes: int) -> str:
    """Return "1.4 GB" or "23 MB" (powers of ten)."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"


def _size_bytes(url: str) -> int | None:
    parts = urllib.parse.urlsplit(url)
    try:
        if parts.scheme == "file":
            return Path(urllib.request.url2pathname(parts.path)).stat().st_size
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=_HEAD_TIMEOUT_S) as answer:
            length = answer.headers.get("Content-Length")
            return int(length) if length else None
    except (OSError, ValueError):
        return None
