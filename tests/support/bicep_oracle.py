"""Microsoft's own template engine, inside the Bicep compiler, asked for what templates mean."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from resources_app import SCHEMA

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
MOST_OUTPUTS = 60
"""A template may have 64 outputs."""


def find_bicep() -> str | None:
    """Return the compiler's path: BICEP, the PATH, the Azure CLI's copy, then ../shared/tools."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "tools" / "bicep"
    places = [
        os.environ.get("BICEP"),
        shutil.which("bicep"),
        str(Path.home() / ".azure" / "bin" / "bicep"),
        str(beside),
    ]
    return next((p for p in places if p and os.access(p, os.X_OK)), None)


class Bicep:
    """Runs the compiler; about 1.3 s a call, whatever the size."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._count = 0

    def snapshot(self, template: dict) -> dict:
        """Evaluate a template for a group. Raises: AssertionError with what the engine says."""
        self._count += 1
        here = self._folder / str(self._count)
        here.mkdir()
        (here / "t.json").write_text(json.dumps(template), encoding="utf-8")
        (here / "t.bicepparam").write_text("using 't.json'\n", encoding="utf-8")
        place = ["--subscription-id", SUBSCRIPTION, "--resource-group", "g1"]
        what = ["snapshot", "t.bicepparam", "--mode", "overwrite", "--location", "eastus"]
        done = subprocess.run(
            [self._program, *what, *place],
            cwd=here,
            env={**os.environ, "HOME": str(self._folder)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        written = here / "t.snapshot.json"
        assert written.exists(), (done.stdout + done.stderr)[:2000]
        return json.loads(written.read_text(encoding="utf-8"))

    def evaluate(self, expressions: list[str]) -> list:
        """Return the values of expressions without brackets.

        Raises: AssertionError naming the first expression that the engine refuses.
        """
        assert len(expressions) <= MOST_OUTPUTS
        outputs = {
            f"o{at}": {"type": "array", "value": f"[createArray({expression})]"}
            for at, expression in enumerate(expressions)
        }
        template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "languageVersion": "2.0"}
        try:
            answer = self.snapshot({**template, "resources": {}, "outputs": outputs})
        except AssertionError as error:
            if len(expressions) == 1:
                raise AssertionError(f"the engine refuses {expressions[0]}: {error}") from None
            half = len(expressions) // 2
            return self.evaluate(expressions[:half]) + self.evaluate(expressions[half:])
        return [answer["outputs"][f"o{at}"][0] for at in range(len(expressions))]


@pytest.fixture(scope="session")
def bicep(tmp_path_factory) -> Bicep:
    program = find_bicep()
    if program is None:
        reason = "No Bicep compiler found (set BICEP): templates are not compared with ARM's engine"
        pytest.skip(reason)
    return Bicep(program, tmp_path_factory.mktemp("bicep"))
