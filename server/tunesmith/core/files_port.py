"""The port to a file share: what operations need of it, whoever implements it.

Paths are relative to the share's root, with "/" between names and none in front; "" is the root.
Every method may be called concurrently; the implementation bounds how many requests are in flight.
Raises, all of them: ShareError with "share.unreachable", "share.cutOff", "share.noAccess",
"share.missing", "share.full", "share.inUse" or "share.refused".
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of the share. `modified_at`: its last write, seconds since 1970 by the far clock.

    `etag` changes with every change of the file and says nothing else.
    """

    path: str
    size_bytes: int
    modified_at: float
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Transferred:
    """A file that was sent or fetched as a whole; `etag` is the far file's."""

    sha256: str
    size_bytes: int
    etag: str


class Files(Protocol):
    """One file share."""

    async def tree(self, prefix: str = "", skip: Collection[str] = ()) -> list[RemoteFile]:
        """Return every file below the folder `prefix`, sorted by path; [] without such a folder.

        `skip`: folders, from the share's root and without regard to case, that are not looked into.
        What changes meanwhile may or may not be seen.
        """
        ...

    async def folders(self, prefix: str = "") -> list[str]:
        """Return the names of the folders directly in `prefix`, sorted; [] when there is none."""
        ...

    async def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return bytes [start, start + length), or up to the end; b"" past it; None: no such file.

        A file that grows while it is read is read as long as it was at the start of the call.
        """
        ...

    async def write(
        self, path: str, content: bytes | Path, sent: Callable[[int], None] | None = None
    ) -> Transferred:
        """Create or replace a file, making its folders.

        The far side shows the old file or the whole new one, never a part: the content goes to a
        temporary name, is verified there, and is renamed. A local Path is read in blocks. `sent` is
        told the bytes of each block that has arrived.
        Raises: ShareError("share.notVerified") when the far side holds other bytes than were sent,
        ShareError("share.changedWhileRead") when a local file changed under the upload.
        """
        ...

    async def download(
        self, path: str, to: Path, received: Callable[[int], None] | None = None
    ) -> Transferred | None:
        """Bring a file to the local path `to` (temporary name, then rename); None: no such file.

        Raises: ShareError("share.notVerified") when bytes were damaged on the way,
        ShareError("share.changedWhileRead") when the far file changed meanwhile.
        """
        ...

    async def delete(self, path: str) -> bool:
        """Delete one file; False when it was not there."""
        ...

    async def delete_folder(self, path: str) -> bool:
        """Delete one empty folder; False when it is not there or not empty."""
        ...

    async def make_directory(self, path: str) -> bool:
        """Create a folder, its parents too; False when the folder itself existed.

        Exactly one of several concurrent callers gets True: this is how a run id is locked.
        """
        ...

    async def exists(self, path: str) -> bool:
        """Return whether there is a file or a folder at `path`."""
        ...

    async def size(self, path: str) -> int | None:
        """Return a file's size in bytes; None when there is no such file."""
        ...

    async def clear_uploads(self) -> int:
        """Delete what writes that never ended have left behind; return how many files it was."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
