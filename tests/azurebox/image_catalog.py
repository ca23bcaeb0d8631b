"""A catalogue of tiny images, and wheels made on the spot: no network."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path


def make_wheel(folder: Path, name: str, version: str, *, pth: str = "") -> Path:
    """Write a wheel with one module, whose VERSION says which, and one console script."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"import sys\nVERSION = {version!r}\n"
        "def main():\n    print(VERSION, sys.prefix)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-tool = {name}:main\n",
    }
    if pth:
        files[f"{name}.pth"] = pth
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(file, "w") as wheel:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            wheel.writestr(path, text)
    return file


def make_catalog(folder: Path, lock: str, short: str = "tiny") -> Path:
    """Write a catalogue with one image of that lock."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{short}.lock").write_text(lock)
    entry = {
        "short": short,
        "name": f"docker.io/test/{short}:1",
        "lock": f"{short}.lock",
        "without_dependencies": [],
        "download_bytes": {},
        "disk_bytes": {},
    }
    file = folder / "catalog.json"
    file.write_text(json.dumps({"v": 1, "images": [entry]}))
    return file
