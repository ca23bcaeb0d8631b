"""Reads a dataset from disk for the checks in core; every way that reading fails is a problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunesmith.core.dataset import DatasetCheck, check_rows, problem_of_file, refused

CHUNK_BYTES = 1024 * 1024


def check_dataset(path: Path, *, shown_as: str, max_seq_len: int | None = None) -> DatasetCheck:
    """Check the file at `path`, called `shown_as` in the problems.

    Never raises for a bad file. Blocks, 100,000 rows for about a second: call it in a thread.
    """
    try:
        return check_rows(_chunks(path), file=shown_as, max_seq_len=max_seq_len)
    except FileNotFoundError:
        return refused(shown_as, problem_of_file(shown_as, "dataset.notFound"))
    except IsADirectoryError:
        return refused(shown_as, problem_of_file(shown_as, "dataset.directory"))
    except OSError as error:
        # Windows answers "permission denied" for a folder.
        code = "dataset.directory" if path.is_dir() else "dataset.unreadable"
        reason = (error.strerror or str(error)).lower()
        return refused(shown_as, problem_of_file(shown_as, code, reason=reason))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
