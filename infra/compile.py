"""Compile the Bicep templates to the JSON that is deployed, and lock both.

    python3 infra/compile.py            compile, then rewrite provision/templates.lock.json
    python3 infra/compile.py --check    change nothing; exit 1 when JSON or lock is stale

Provisioning deploys the compiled JSON, so that nobody needs the Bicep compiler. The lock holds the
SHA-256 of every Bicep and JSON file: a Bicep that was edited but not compiled is seen. Standard
library only; it works in a project as it does in the product's own repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

INFRA = Path(__file__).resolve().parent
PROVISION = INFRA / "provision"
TEMPLATES = ("finetuning", "inference")
LOCK = "templates.lock.json"


def find_bicep() -> Path | None:
    """Return the compiler: `BICEP`, then the PATH, then the Azure CLI's copy, then a shared one."""
    named = os.environ.get("BICEP") or shutil.which("bicep")
    if named:
        return Path(named)
    name = "bicep.exe" if os.name == "nt" else "bicep"
    for place in (
        Path.home() / ".azure" / "bin" / name,
        INFRA.parent.parent / "shared" / "tools" / name,
    ):
        if place.is_file():
            return place
    return None


def build_template(bicep: Path, source: Path, target: Path) -> None:
    """Write the ARM JSON of `source`. Raises: RuntimeError with the compiler's own words."""
    done = subprocess.run(
        [bicep, "build", source, "--outfile", target], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())


def plan_lock(provision: Path) -> dict[str, object]:
    """Return what the lock should say about the files as they are now.

    Hashes are taken over LF line ends, so that a Windows checkout has the same ones.
    """
    files = [*provision.rglob("*.bicep"), *(provision / f"{name}.json" for name in TEMPLATES)]
    hashes = {
        file.relative_to(provision).as_posix(): hashlib.sha256(
            file.read_bytes().replace(b"\r\n", b"\n")
        ).hexdigest()
        for file in files
    }
    return {"v": 1, "sha256": dict(sorted(hashes.items()))}


def is_stale(bicep: Path, name: str) -> bool:
    """Tell whether the committed JSON of a template differs from what its Bicep compiles to."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / f"{name}.json"
        build_template(bicep, PROVISION / f"{name}.bicep", fresh)
        return fresh.read_bytes() != (PROVISION / f"{name}.json").read_bytes()


def main(argv: list[str] | None = None) -> int:
    """Run the command line; see the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, report what is stale")
    check = parser.parse_args(argv).check
    bicep = find_bicep()
    if bicep is None:
        print(
            "No Bicep compiler was found. Install it with 'az bicep install', or name one in the "
            "environment variable BICEP.",
            file=sys.stderr,
        )
        return 1
    lock = PROVISION / LOCK
    try:
        if check:
            stale = [f"{name}.json" for name in TEMPLATES if is_stale(bicep, name)]
            if json.loads(lock.read_text("utf-8")) != plan_lock(PROVISION):
                stale.append(LOCK)
            if stale:
                print(f"Stale: {', '.join(stale)}. Run 'python3 infra/compile.py'.")
            return 1 if stale else 0
        for name in TEMPLATES:
            build_template(bicep, PROVISION / f"{name}.bicep", PROVISION / f"{name}.json")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    lock.write_text(json.dumps(plan_lock(PROVISION), indent=2) + "\n", "utf-8")
    print(f"Compiled {' and '.join(TEMPLATES)} with {bicep} and wrote {LOCK}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
