"""Right answers, base against tuned: held-out questions on the sample facts, and general ones.

Runs the demo's own project (`make demo`) with the same operations and reads the comparison that
the run keeps; a second call reuses the finished run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def tunesmith(*arguments: str, project: Path) -> dict[str, object]:
    """Run one command with --json and return its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith.cli", *arguments, "--json", "-y", "-C", str(project)],
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def main(folder: str = "demo") -> None:
    """Print the table of right answers and the run's own figures."""
    project = Path(folder)
    if not (project / "finetuning" / "olive-config.json").exists():
        subprocess.run(
            [sys.executable, "-m", "tunesmith.cli", "project", "create", folder], check=True
        )
        tunesmith("infra", "apply", project=project)
        tunesmith("run", "start", project=project)
        tunesmith("run", "logs", "--follow", project=project)
    answers = tunesmith("run", "compare", project=project)
    run = tunesmith("run", "show", project=project)
    print("| questions | base | tuned |")
    print("|---|---|---|")
    for name, kind in (("held-out questions on the facts", "facts"), ("general", "general")):
        total, base, tuned = (answers[f"{kind}{part}"] for part in ("Total", "Base", "Tuned"))
        print(f"| {name} | {base} of {total} | {tuned} of {total} |")
    print(
        f"\nRun {run['id']}: {run['method']}, {run['steps']} steps, held-out loss {run['evalLoss']}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
