"""When an answer is right: it says one of the expected things, however it writes them.

Case, punctuation and white space do not matter, nor whether a number is written in words or
digits; whole words do: "4 days" is not in "14 days", nor "85 euro" in "$85".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_UNITS = _UNIT_WORDS.split()
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {w: i for i, w in enumerate(_UNITS)} | {w: 20 + 10 * i for i, w in enumerate(_TENS)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_SIGNS = {"€": "euro", "$": "dollar", "£": "pound", "¥": "yen", "₩": "won", "%": "percent"}
# Kana, Han and Hangul put no space between words (or add particles to them): each letter counts
# as a word. Sources: the blocks of these names in the Unicode standard.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
# A point, comma or colon between digits is part of the number (2.5, 2,5, 17:30).
_WORD = re.compile(rf"\d+(?:[.,:]\d+)*|[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+")


def is_right(answer: str, expected: Sequence[str]) -> bool:
    """Tell whether the answer contains any of the expected texts, both normalised."""
    text = f" {normal(answer)} "
    return any(f" {normal(e)} " in text for e in expected if normal(e))


def normal(text: str) -> str:
    """Return the words of a text: lower case, numbers in digits, single spaces.

    >>> normal("It's Twenty-Seven  months (1,250 km).")
    "it s 27 months 1250 km"
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"([€$£¥₩])\s*(\d+(?:[.,]\d+)*)", r"\2 \1", text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, f" {word} ")
    return " ".join(_numbers_in_digits(_WORD.findall(text)))


def _numbers_in_digits(words: list[str]) -> list[str]:
    result: list[str] = []
    i = 0
    while i < len(words):
        value, used = _read_number(words, i)
        result.append(words[i] if used == 0 else str(value))
        i += max(used, 1)
    return result


def _read_number(words: list[str], start: int) -> tuple[int, int]:
    """Return (value, how many words it takes) of the number at `start`; (0, 0) for none."""
    total = group = 0
    last: int | None = None  # the last plain value, to see what may follow it
    i = start
    while i < len(words):
        word = words[i]
        if word in _VALUES:
            value = _VALUES[word]
            follows = last is None or (last >= 20 and last % 10 == 0 and 0 < value < 10)
            if not follows:
                break
            group += value
            last = value
        elif word in _SCALES and i > start:
            scale = _SCALES[word]
            if scale == 100:
                group *= 100
            else:
                total, group = total + group * scale, 0
            last = None
        elif word == "and" and i > start and words[i - 1] in _SCALES and _is_value(words, i + 1):
            pass
        else:
            break
        i += 1
    return total + group, i - start


def _is_value(words: list[str], i: int) -> bool:
    return i < len(words) and words[i] in _VALUES
