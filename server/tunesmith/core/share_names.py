"""Names that a share cannot hold, or that mean two things on it: they stay at home, with a reason.

Source: "Naming and referencing shares, directories, files" of Azure Files; Windows' reserved names,
which a share holds but no Windows machine can open. Names there compare without regard to case.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from tunesmith.core.messages import text

_FORBIDDEN = re.compile(r'["\\|<>:*?\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_MAX_NAME = 255
_MAX_PATH = 2048


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that stays at home; `reason` is a sentence for the user."""

    path: str
    reason: str


def fold(path: str) -> str:
    """Return what two paths have in common that are one on a share, or on another system."""
    return unicodedata.normalize("NFC", path).casefold()


def check_names(paths: Iterable[str]) -> tuple[tuple[str, ...], tuple[Refused, ...]]:
    """Split paths into those that can be sent, sorted, and those that cannot.

    Of paths that differ only in case the first in order is sent.
    """
    good: list[str] = []
    refused: list[Refused] = []
    spelling: dict[str, tuple[str, bool]] = {}
    for path in sorted(paths):
        reason = _hostile(path) or _clash(path, spelling)
        if reason:
            refused.append(Refused(path, reason))
            continue
        good.append(path)
        parts = path.split("/")
        for n in range(1, len(parts) + 1):
            prefix = "/".join(parts[:n])
            spelling[fold(prefix)] = (prefix, n == len(parts))
    return tuple(good), tuple(refused)


def _hostile(path: str) -> str:
    if len(path) > _MAX_PATH:
        return text("share.refused.longPath", limit=_MAX_PATH)
    for name in path.split("/"):
        if found := _FORBIDDEN.search(name):
            return text("share.refused.character", character=repr(found[0])[1:-1])
        if name.endswith((".", " ")):
            return text("share.refused.ending")
        if _RESERVED.fullmatch(name):
            return text("share.refused.reserved", name=name)
        if len(name) > _MAX_NAME:
            return text("share.refused.longName", limit=_MAX_NAME)
        try:
            name.encode()
        except UnicodeEncodeError:
            return text("share.refused.noText")
    return ""


def _clash(path: str, spelling: dict[str, tuple[str, bool]]) -> str:
    parts = path.split("/")
    for n in range(1, len(parts) + 1):
        prefix = "/".join(parts[:n])
        other, is_file = spelling.get(fold(prefix), (prefix, n == len(parts)))
        if other != prefix or is_file != (n == len(parts)):
            return text("share.refused.clash", other=other)
    return ""
