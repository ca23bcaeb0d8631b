"""What is sent to the share: bytes or a local file, read once, in blocks, and hashed on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tunesmith.core.errors import ShareError

BLOCK_BYTES = 4 * 1024 * 1024
"""The service takes no more in one request."""


class Source:
    """Content to send, read once and in order; knows its SHA-256 at the end."""

    def __init__(self, stream: BinaryIO | None, content: bytes, size_bytes: int, path: str) -> None:
        self.size_bytes = size_bytes
        self._stream = stream
        self._content = content
        self._position = 0
        self._path = path
        self._hash = hashlib.sha256()
        self._before = os.fstat(stream.fileno()) if stream else None

    def next_block(self) -> bytes:
        """Return up to 4 MiB.

        Raises: ShareError("share.changedWhileRead") when the file has become shorter.
        """
        wanted = min(BLOCK_BYTES, self.size_bytes - self._position)
        if self._stream is None:
            block = self._content[self._position : self._position + wanted]
        else:
            block = self._stream.read(wanted)
        if len(block) != wanted:
            raise ShareError("share.changedWhileRead", path=self._path)
        self._position += wanted
        self._hash.update(block)
        return block

    def finish(self) -> str:
        """Return the SHA-256 in hex. Raises: ShareError("share.changedWhileRead")."""
        if self._stream is not None and self._before is not None:
            after = os.fstat(self._stream.fileno())
            was = (self._before.st_size, self._before.st_mtime_ns)
            if (after.st_size, after.st_mtime_ns) != was:
                raise ShareError("share.changedWhileRead", path=self._path)
        return self._hash.hexdigest()


@contextmanager
def source_of(content: bytes | Path, path: str) -> Generator[Source]:
    """Open the content. `path`: its name on the share, for errors.

    Raises: ShareError("share.localUnreadable").
    """
    if isinstance(content, bytes):
        yield Source(None, content, len(content), path)
        return
    try:
        stream = content.open("rb")
    except OSError as e:
        raise ShareError("share.localUnreadable", file=content, reason=e.strerror or e) from e
    with stream:
        yield Source(stream, b"", os.fstat(stream.fileno()).st_size, path)
