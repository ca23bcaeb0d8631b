"""Holds out an evaluation set, so that no question stands, a little reworded, on both sides.

Rows whose questions are nearly the same form a group, and a group is never cut. An answer that
would vanish from training altogether is held out only when there is no other choice: the
held-out loss shall say how well new wordings are understood, not how well facts are guessed.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chat_data import Row

# Share of common shingles from which two questions count as one. The later values are for sets
# made from one pattern ("What does the X cost?"), which the first would put into a single group.
THRESHOLDS = (0.6, 0.75, 0.9)
_BANDS = 20
_ROWS_A_BAND = 2


@dataclass(frozen=True)
class Split:
    """Both sides in the order of the file; `threshold` is the likeness no pair across reaches."""

    train: list[Row]
    held_out: list[Row]
    threshold: float


def split(rows: Sequence[Row], fraction: float, seed: int) -> Split:
    """Hold out about `fraction` of the rows; nothing when there are fewer than ten."""
    wanted = round(len(rows) * fraction)
    if wanted < 1 or len(rows) < 10:
        return Split(list(rows), [], THRESHOLDS[0])
    held: set[int] = set()
    for threshold in THRESHOLDS:
        held = _hold_out(rows, wanted, threshold, seed)
        if len(held) * 2 >= wanted:
            break
    train = [row for i, row in enumerate(rows) if i not in held]
    return Split(train, [row for i, row in enumerate(rows) if i in held], threshold)


def _hold_out(rows: Sequence[Row], wanted: int, threshold: float, seed: int) -> set[int]:
    groups = groups_of_similar([row.question for row in rows], threshold)
    random.Random(seed).shuffle(groups)
    left = Counter(_normal(row.answer) for row in rows)
    held: set[int] = set()
    for keeps_answers in (True, False):
        for group in groups:
            if len(held) >= wanted:
                break
            if group[0] in held or len(held) + len(group) > max(wanted * 1.5, wanted + 1):
                continue
            leaving = Counter(_normal(rows[i].answer) for i in group)
            if keeps_answers and any(left[a] <= n for a, n in leaving.items()):
                continue
            held.update(group)
            left -= leaving
    return held


def groups_of_similar(questions: Sequence[str], threshold: float) -> list[list[int]]:
    """Return the indices of the questions in groups of near duplicates, in a fixed order.

    Candidates come from hashes of shingles (MinHash bands), so that large sets stay quick; a
    pair at the threshold is missed in less than one case of a thousand, one well above never.
    """
    shingles = [shingles_of(q) for q in questions]
    parent = list(range(len(questions)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, own in enumerate(shingles):
        for band, key in enumerate(_bands(own)):
            buckets[(band, *key)].append(i)
    for members in buckets.values():
        for a, b in _pairs(members):
            if root(a) != root(b) and similarity(shingles[a], shingles[b]) >= threshold:
                parent[max(root(a), root(b))] = min(root(a), root(b))
    groups: dict[int, list[int]] = defaultdict(list)
    for i in range(len(questions)):
        groups[root(i)].append(i)
    return list(groups.values())


def leaks(parts: Split) -> list[tuple[Row, Row]]:
    """Return all pairs of a training row and a held-out row that ask nearly the same.

    Compares every pair: for tests and small sets.
    """
    seen = [(row, shingles_of(row.question)) for row in parts.train]
    return [
        (row, other)
        for other in parts.held_out
        for row, own in seen
        if similarity(own, shingles_of(other.question)) >= parts.threshold
    ]


def shingles_of(text: str) -> frozenset[str]:
    """Return the words of a text and its pairs of neighbouring words, without case and marks."""
    words = _normal(text).split()
    return frozenset(words) | {f"{a} {b}" for a, b in itertools.pairwise(words)}


def similarity(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the share of common shingles, 0 to 1 (Jaccard)."""
    return len(a & b) / len(a | b) if a or b else 1.0


def _normal(text: str) -> str:
    return re.sub(r"\W+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _bands(shingles: frozenset[str]) -> list[tuple[int, ...]]:
    hashes = [
        int.from_bytes(hashlib.blake2b(s.encode(), digest_size=8).digest(), "big") for s in shingles
    ]
    lowest = []
    for k in range(_BANDS * _ROWS_A_BAND):
        mixer = 0x9E3779B97F4A7C15 * (2 * k + 1)
        lowest.append(min(((h ^ mixer) * 0xBF58476D1CE4E5B9) & (2**64 - 1) for h in hashes or [0]))
    return [tuple(lowest[i : i + _ROWS_A_BAND]) for i in range(0, len(lowest), _ROWS_A_BAND)]


def _pairs(members: Sequence[int]) -> Iterable[tuple[int, int]]:
    # Hundreds in one bucket are all alike: a chain joins them as well as all pairs would.
    if len(members) > 200:
        return itertools.pairwise(members)
    return ((a, b) for i, a in enumerate(members) for b in members[i + 1 :])
