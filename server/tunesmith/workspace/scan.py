"""What of a workspace goes to the share: its files, hashed, without what stays at home."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.ignore import GIT_FILE, OWN_FILE, IgnoreRules, is_never_sent, is_output
from tunesmith.core.manifest import Entry
from tunesmith.core.messages import text
from tunesmith.core.share_names import Refused, check_names
from tunesmith.workspace.stat_cache import StatCache


@dataclass(frozen=True, slots=True)
class Scan:
    """`files` by path, "/" between names. `refused`: files that cannot be sent, with reasons."""

    files: dict[str, Entry]
    refused: tuple[Refused, ...]
    rules: IgnoreRules


def scan_workspace(
    root: Path,
    named: Iterable[str],
    cache: StatCache,
    hashed: Callable[[str, int], None] | None = None,
) -> Scan:
    """Walk the workspace and hash what changed; blocking, meant for a thread.

    `named`: paths that the run config names, sent although rules leave them out; those outside of
    the workspace are passed over. `hashed` is told each path with its size.
    """
    rules = read_rules(root, named)
    refused: list[Refused] = []
    paths = _walk(root, "", rules, refused)
    good, hostile = check_names(paths)
    files: dict[str, Entry] = {}
    for path in good:
        try:
            digest, size = cache.sha256_of(root / path, path)
        except OSError as e:
            refused.append(Refused(path, text("share.refused.unreadable", reason=e.strerror or e)))
            continue
        files[path] = Entry(digest, size)
        if hashed is not None:
            hashed(path, size)
    cache.save()
    return Scan(files, (*refused, *hostile), rules)


def read_rules(root: Path, named: Iterable[str] = ()) -> IgnoreRules:
    """Read the ignore files of the workspace. A file that cannot be read counts as empty."""
    git: dict[str, str] = {}
    inside = [_relative(root, name) for name in named]
    rules = IgnoreRules(
        own=_text(root / OWN_FILE), named=frozenset(name for name in inside if name)
    )
    pending = [""]
    while pending:
        folder = pending.pop()
        if (root / folder / GIT_FILE).is_file():
            git[folder] = _text(root / folder / GIT_FILE)
            rules = IgnoreRules(git, rules.own, rules.named)
        for name in _subfolders(root / folder):
            path = f"{folder}/{name}".lstrip("/")
            if not (is_never_sent(path) or is_output(path)) and not rules.is_ignored(
                path, is_folder=True
            ):
                pending.append(path)
    return rules


def _walk(root: Path, folder: str, rules: IgnoreRules, refused: list[Refused]) -> list[str]:
    found: list[str] = []
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except OSError as e:
        refused.append(Refused(folder, text("share.refused.unreadable", reason=e.strerror or e)))
        return []
    for entry in entries:
        path = f"{folder}/{entry.name}".lstrip("/")
        if entry.is_dir(follow_symlinks=False):
            if not rules.leaves_out(path + "/.") or rules.leads_to_named(path):
                found += _walk(root, path, rules, refused)
        elif rules.leaves_out(path):
            continue
        elif entry.is_symlink() and entry.is_dir():
            refused.append(Refused(path, text("share.refused.folderLink")))
        elif entry.is_file():
            found.append(path)
        else:
            refused.append(Refused(path, text("share.refused.noFile")))
    return found


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _relative(root: Path, name: str) -> str:
    """Return the path inside the workspace as "a/b", "" for one that lies outside."""
    if not name:
        return ""
    place = Path(os.path.normpath(root / name))
    if not place.exists() or not place.is_relative_to(root) or place == root:
        return ""
    return place.relative_to(root).as_posix()


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig", errors="replace")
    except OSError:
        return ""
