"""From a URL's path to a place inside a share's folder, and never outside of it.

Names compare without regard to case and keep the case of their creation, as in the service.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from azurebox.files.errors import FilesError

MAX_NAME_CHARS = 255
MAX_PATH_CHARS = 2048
_FORBIDDEN = re.compile(r'["|<>:*?\x00-\x1f\x7f]')
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_SHARE = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL names: /{account}[/{share}[/{names}...]]; `share` is "" for the account itself."""

    account: str
    share: str
    names: tuple[str, ...]


def parse_address(raw_path: str, *, keep_trailing_dots: bool) -> Address:
    """Split a path as it stands in the URL, percent-encoded.

    A backslash separates names as a slash does, encoded or not. Dots at the end of a name are cut
    off unless the client asks to keep them.
    Raises: FilesError("InvalidFileOrDirectoryPathName" | "InvalidResourceName").
    """
    try:
        decoded = unquote(raw_path, errors="strict")
    except UnicodeDecodeError:
        raise FilesError("InvalidFileOrDirectoryPathName") from None
    parts = [part for part in re.split(r"[/\\]", decoded) if part]
    account, share = (*parts[:2], "", "")[:2]
    if (account and not _ACCOUNT.fullmatch(account)) or (share and not _SHARE.fullmatch(share)):
        raise FilesError("InvalidResourceName")
    names = tuple(_checked(name, keep_trailing_dots) for name in parts[2:])
    if sum(map(len, names)) + len(names) > MAX_PATH_CHARS:
        raise FilesError("InvalidFileOrDirectoryPathName")
    return Address(account, share, names)


def _checked(name: str, keep_trailing_dots: bool) -> str:
    if set(name) == {"."} or _FORBIDDEN.search(name) or len(name) > MAX_NAME_CHARS:
        raise FilesError("InvalidFileOrDirectoryPathName")
    return name if keep_trailing_dots else name.rstrip(".")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a share: `path` on disk with the case that names have there, `key` to compare by.

    `parent_exists` says whether something can be created at `path`. `escapes`: a symbolic link on
    the way leads out of the share, so nothing may be read or written there.
    """

    path: Path
    key: str
    parent_exists: bool
    escapes: bool


def locate(share_folder: Path, names: tuple[str, ...]) -> Place:
    """Find `names` below the folder, name by name; what does not exist keeps the case asked for."""
    path = share_folder
    missing = 0
    for name in names:
        if missing:
            missing += 1
            path = path / name
            continue
        found = _in_folder(path, name)
        path = path / (found or name)
        missing = 0 if found else 1
    return Place(
        path,
        "/".join(names).casefold(),
        parent_exists=missing == 0 or (missing == 1 and path.parent.is_dir()),
        escapes=_escapes(share_folder, path),
    )


def _in_folder(folder: Path, name: str) -> str | None:
    """Return the name as it stands on disk, or None."""
    if os.path.lexists(folder / name):
        return name
    try:
        present = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    folded = name.casefold()
    return next((other for other in present if other.casefold() == folded), None)


def _escapes(share_folder: Path, path: Path) -> bool:
    real_share = os.path.realpath(share_folder)
    real = os.path.realpath(path)
    return real != real_share and not real.startswith(real_share + os.sep)
