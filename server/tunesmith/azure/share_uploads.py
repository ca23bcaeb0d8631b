"""Uploads: to a temporary name, verified there by MD5, then renamed.

A killed upload leaves one nameless file behind and the old content in its place. (Clients that
create the real name at full size first leave a file of zeros, and take it for done.)
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.fileshare.aio import ShareFileClient

from tunesmith.azure.file_source import BLOCK_BYTES, source_of
from tunesmith.azure.share_connection import ShareConnection, raise_if_share_is_gone
from tunesmith.azure.share_errors import error_code
from tunesmith.azure.share_folders import ShareFolders, parent_of
from tunesmith.core.errors import ShareError
from tunesmith.core.files_port import RemoteFile, Transferred

UPLOADS = ".tunesmith/uploads"
ABANDONED_AFTER_S = 86_400
"""When another machine's temporary file counts as left behind."""
_BLOCKS_OF_ONE_FILE = 4
_ATTEMPTS = 3
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_being_written: set[str] = set()
"""Names of this process's temporary files."""


class ShareUploads:
    """Writes files to one share."""

    def __init__(self, connection: ShareConnection, folders: ShareFolders) -> None:
        self._connection = connection
        self._folders = folders

    async def write(
        self, path: str, content: bytes | Path, sent: Callable[[int], None] | None = None
    ) -> Transferred:
        """Send, verify, rename, as the port says.

        Two requests for a file up to 4 MiB, one more for each 4 MiB of a larger one.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            written = await self._write_once(path, content, sent if attempt == 1 else None)
            if written is not None:
                return written
        raise ShareError("share.notVerified", path=path, reason="the upload vanished")

    async def _write_once(
        self, path: str, content: bytes | Path, sent: Callable[[int], None] | None
    ) -> Transferred | None:
        """Write, verify, rename; None when the temporary file was taken away meanwhile."""
        await self._folders.ensure(UPLOADS)
        name = f"{_MACHINE}-{os.getpid()}-{secrets.token_hex(6)}"
        temporary = f"{UPLOADS}/{name}"
        _being_written.add(name)
        file = self._connection.client.get_file_client(temporary)
        try:
            digest, size, file_id = await self._upload(file, path, content, sent)
            etag = await self._rename(file, path, file_id)
        except _VanishedError:
            return None
        except ShareError:
            await self._drop(temporary)
            raise
        finally:
            _being_written.discard(name)
        if etag is None:
            return None
        return Transferred(digest, size, etag)

    async def _upload(
        self,
        file: ShareFileClient,
        path: str,
        content: bytes | Path,
        sent: Callable[[int], None] | None,
    ) -> tuple[str, int, str]:
        """Send the content to the temporary file; return its SHA-256, size and the file's id."""
        with source_of(content, path) as source:
            size = source.size_bytes
            data = await asyncio.to_thread(source.next_block) if size <= BLOCK_BYTES else None
            created = await self._create(file, path, size, data or None)
            if data is not None:
                tell(sent, len(data))
                return source.finish(), size, created
            pending = asyncio.Semaphore(_BLOCKS_OF_ONE_FILE)
            sending: set[asyncio.Task[None]] = set()

            async def send(start: int, block: bytes) -> None:
                try:
                    async with self._connection.asking(path):
                        try:
                            await file.upload_range(block, start, len(block), validate_content=True)
                        except ResourceNotFoundError as e:
                            raise_if_share_is_gone(e)
                            raise _VanishedError from e
                    tell(sent, len(block))
                finally:
                    pending.release()

            try:
                for start in range(0, size, BLOCK_BYTES):
                    await pending.acquire()
                    _raise_failed(sending)
                    block = await asyncio.to_thread(source.next_block)
                    sending.add(asyncio.create_task(send(start, block)))
                await asyncio.gather(*sending)
            finally:
                for task in sending:
                    task.cancel()
                await asyncio.gather(*sending, return_exceptions=True)
            return source.finish(), size, created

    async def _create(self, file: ShareFileClient, path: str, size: int, data: bytes | None) -> str:
        options: dict[str, Any] = {"data": data, "validate_content": "md5"} if data else {}
        for attempt in (1, 2):
            async with self._connection.asking(path):
                try:
                    created: dict[str, Any] = await file.create_file(size, **options)
                except ResourceNotFoundError as e:
                    raise_if_share_is_gone(e)
                    if attempt == 2:
                        raise
                else:
                    return str(created.get("file_id") or "")
            self._folders.forget(UPLOADS)
            await self._folders.ensure(UPLOADS)
        raise AssertionError("unreachable")

    async def _rename(self, file: ShareFileClient, path: str, file_id: str) -> str | None:
        """Give the temporary file its name; return its ETag, None when it is not there any more."""
        answers: list[Any] = []
        for attempt in (1, 2):
            await self._folders.ensure(parent_of(path))
            async with self._connection.asking(path):
                try:
                    await file.rename_file(path, overwrite=True, raw_response_hook=answers.append)
                except ResourceNotFoundError as e:
                    raise_if_share_is_gone(e)
                    if error_code(e) == "ParentNotFound" and attempt == 1:
                        self._folders.forget(parent_of(path))
                        continue
                    # A reply may have been lost: then the file has its name already.
                    return await self._etag_of(path, file_id)
            return str(answers[-1].http_response.headers["ETag"])
        return None

    async def _etag_of(self, path: str, file_id: str) -> str | None:
        try:
            found: Any = await self._connection.client.get_file_client(path).get_file_properties()
        except ResourceNotFoundError:
            return None
        return str(found.etag) if file_id and str(found.file_id) == file_id else None

    async def _drop(self, temporary: str) -> None:
        # What stays in spite of it is cleared by the next push.
        with suppress(ShareError, ResourceNotFoundError):
            async with self._connection.asking(temporary):
                await self._connection.client.get_file_client(temporary).delete_file()


class _VanishedError(Exception):
    """The temporary file was deleted under the upload."""


def is_abandoned(file: RemoteFile) -> bool:
    """Return whether nobody writes this temporary file any more."""
    name = file.path.rpartition("/")[2]
    machine, _, rest = name.partition("-")
    pid = rest.partition("-")[0]
    if machine == _MACHINE and pid.isdecimal():
        is_ours = int(pid) == os.getpid()
        return name not in _being_written if is_ours else not psutil.pid_exists(int(pid))
    return time.time() - file.modified_at > ABANDONED_AFTER_S


def _raise_failed(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error


def tell(listener: Callable[[int], None] | None, count: int) -> None:
    """Tell a listener, if there is one, of bytes that have arrived."""
    if listener is not None:
        listener(count)
