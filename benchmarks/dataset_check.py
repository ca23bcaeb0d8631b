"""Time of checking 100,000 rows, against only parsing the same file with orjson in the same run."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from tunesmith.ops.dataset_file import check_dataset

ROWS = 100_000
ROUNDS = 5


def write_rows(file: Path) -> None:
    """Write a chat dataset of ROWS rows, no two of them alike."""
    answer = {"role": "assistant", "content": "word " * 20}
    with file.open("w", encoding="utf-8") as out:
        for n in range(ROWS):
            messages = [{"role": "user", "content": f"Question {n}?"}, answer]
            out.write(json.dumps({"messages": messages}) + "\n")


def parse_only(file: Path) -> None:
    """Parse every row and look at nothing."""
    with file.open("rb") as lines:
        for line in lines:
            orjson.loads(line)


def check(file: Path) -> None:
    """Check the file as `project check` does, without counting tokens."""
    summary = check_dataset(file, shown_as=file.name).summary
    assert summary.usable_rows == ROWS, summary


def seconds(work: Callable[[Path], None], file: Path) -> float:
    """Return how long `work` takes once."""
    began = time.perf_counter()
    work(file)
    return time.perf_counter() - began


def main() -> None:
    """Print the table; both take turns so that a busy machine slows both."""
    ours: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.jsonl"
        write_rows(file)
        for _ in range(ROUNDS):
            bare.append(seconds(parse_only, file))
            ours.append(seconds(check, file))
    ours_s, bare_s = statistics.median(ours), statistics.median(bare)
    print("| what | tunesmith | rival | ratio |")
    print("|---|---|---|---|")
    print(
        f"| checking {ROWS:,} rows, against `orjson.loads` on each | {ours_s:.2f} s"
        f" | {bare_s:.2f} s | {ours_s / bare_s:.1f} |"
    )


if __name__ == "__main__":
    main()
