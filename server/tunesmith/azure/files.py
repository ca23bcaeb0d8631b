"""The port `Files` on Azure Files, over REST with the account's key."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.fileshare.aio import ShareFileClient

from tunesmith.azure.file_source import BLOCK_BYTES
from tunesmith.azure.share_connection import ShareConnection, raise_if_share_is_gone
from tunesmith.azure.share_errors import error_code
from tunesmith.azure.share_folders import ShareFolders
from tunesmith.azure.share_uploads import UPLOADS, ShareUploads, is_abandoned, tell
from tunesmith.core.errors import ShareError
from tunesmith.core.files_port import RemoteFile, Transferred
from tunesmith.core.targets import CloudProfile

_BLOCKS_OF_ONE_FILE = 4


class ShareFiles:
    """One share. Opens connections with the first request; `close` ends them."""

    def __init__(self, profile: CloudProfile, account: str, key: str, share: str) -> None:
        """`key`: base64, kept in memory only."""
        self._connection = ShareConnection(profile, account, key, share)
        self._folders = ShareFolders(self._connection)
        self._uploads = ShareUploads(self._connection, self._folders)

    async def tree(self, prefix: str = "", skip: Collection[str] = ()) -> list[RemoteFile]:
        """See the port. One request a folder, and one more for every 5,000 entries."""
        found: list[RemoteFile] = []
        skipped = {path.casefold() for path in skip}

        async def visit(folder: str) -> None:
            files, folders = await self._list(folder)
            found.extend(files)
            inner = (_join(folder, name) for name in folders)
            await asyncio.gather(*(visit(path) for path in inner if path.casefold() not in skipped))

        await visit(prefix.strip("/"))
        return sorted(found, key=lambda file: file.path)

    async def folders(self, prefix: str = "") -> list[str]:
        """See the port."""
        return sorted((await self._list(prefix.strip("/")))[1])

    async def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        """See the port."""
        if length == 0:
            return b"" if await self.size(path) is not None else None
        blocks: list[bytes] = []
        position, end = start, start + length if length is not None else None
        file = self._connection.client.get_file_client(path)
        while end is None or position < end:
            wanted = BLOCK_BYTES if end is None else min(BLOCK_BYTES, end - position)
            block = await self._get(file, path, position, wanted)
            if block is None:
                return None if not blocks else b"".join(blocks)
            content, size, _ = block
            end = size if end is None else min(end, size)
            if not content:
                break
            blocks.append(content)
            position += len(content)
        return b"".join(blocks)

    async def write(
        self, path: str, content: bytes | Path, sent: Callable[[int], None] | None = None
    ) -> Transferred:
        """See the port."""
        return await self._uploads.write(path, content, sent)

    async def download(
        self, path: str, to: Path, received: Callable[[int], None] | None = None
    ) -> Transferred | None:
        """See the port."""
        file = self._connection.client.get_file_client(path)
        first = await self._get(file, path, 0, BLOCK_BYTES)
        if first is None:
            return None
        content, size, etag = first
        if not content:  # an empty file has no first byte to ask for
            async with self._connection.asking(path):
                found: Any = await file.get_file_properties()
            if found.size:
                raise ShareError("share.changedWhileRead", path=path)
            etag = str(found.etag)
        to.parent.mkdir(parents=True, exist_ok=True)
        temporary = to.with_name(f".{to.name}.{secrets.token_hex(4)}.part")
        try:
            with _created(temporary) as local:
                await asyncio.to_thread(_write_at, local, 0, content)
                tell(received, len(content))
                pending = asyncio.Semaphore(_BLOCKS_OF_ONE_FILE)

                async def fetch(start: int) -> None:
                    async with pending:
                        block = await self._get(file, path, start, BLOCK_BYTES)
                        wanted = min(BLOCK_BYTES, size - start)
                        if block is None or block[2] != etag or len(block[0]) != wanted:
                            raise ShareError("share.changedWhileRead", path=path)
                        await asyncio.to_thread(_write_at, local, start, block[0])
                        tell(received, len(block[0]))

                await _all(fetch(start) for start in range(BLOCK_BYTES, size, BLOCK_BYTES))
            digest = await asyncio.to_thread(_finish, temporary, to)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return Transferred(digest, size, etag)

    async def delete(self, path: str) -> bool:
        """See the port."""
        async with self._connection.asking(path):
            try:
                await self._connection.client.get_file_client(path).delete_file()
            except ResourceNotFoundError as e:
                raise_if_share_is_gone(e)
                return False
        return True

    async def delete_folder(self, path: str) -> bool:
        """See the port."""
        async with self._connection.asking(path):
            try:
                await self._connection.client.get_directory_client(path).delete_directory()
            except ResourceNotFoundError as e:
                raise_if_share_is_gone(e)
                return False
            except HttpResponseError as e:
                if error_code(e) == "DirectoryNotEmpty" or e.status_code == 409:
                    return False
                raise
        self._folders.forget(path)
        return True

    async def make_directory(self, path: str) -> bool:
        """See the port."""
        return await self._folders.make(path)

    async def exists(self, path: str) -> bool:
        """See the port."""
        if await self.size(path) is not None:
            return True
        async with self._connection.asking(path):
            try:
                await self._connection.client.get_directory_client(path).get_directory_properties()
            except ResourceNotFoundError as e:
                raise_if_share_is_gone(e)
                return False
        return True

    async def size(self, path: str) -> int | None:
        """See the port."""
        if not path.strip("/"):
            return None
        async with self._connection.asking(path):
            try:
                found = await self._connection.client.get_file_client(path).get_file_properties()
            except ResourceNotFoundError as e:
                raise_if_share_is_gone(e)
                return None
        return int(found.size)

    async def clear_uploads(self) -> int:
        """See the port. What a living process or another machine is writing now stays."""
        left = [file for file in await self.tree(UPLOADS) if is_abandoned(file)]
        deleted = await asyncio.gather(*(self.delete(file.path) for file in left))
        return sum(deleted)

    async def close(self) -> None:
        """Close the connections."""
        await self._folders.close()
        await self._connection.close()

    async def _list(self, folder: str) -> tuple[list[RemoteFile], list[str]]:
        files: list[RemoteFile] = []
        folders: list[str] = []
        async with self._connection.asking(folder):
            client = self._connection.client.get_directory_client(folder)
            try:
                listed: Any = client.list_directories_and_files(include=["timestamps", "Etag"])
                items: AsyncIterator[Any] = listed
                async for item in items:
                    if item.is_directory:
                        folders.append(str(item.name))
                    else:
                        path = _join(folder, str(item.name))
                        files.append(
                            RemoteFile(path, int(item.size), _seconds(item), str(item.etag))
                        )
            except ResourceNotFoundError as e:
                raise_if_share_is_gone(e)
                return [], []
        self._folders.saw([folder, *(_join(folder, name) for name in folders)])
        return files, folders

    async def _get(
        self, file: ShareFileClient, path: str, start: int, length: int
    ) -> tuple[bytes, int, str] | None:
        """Fetch one range of at most 4 MiB, checked by MD5; return it with file size and ETag.

        b"" when the range begins at or after the end, and then size and ETag mean nothing; None
        when there is no such file.
        """
        async with self._connection.asking(path):
            try:
                got: Any = await file.download_file(
                    offset=start, length=length, validate_content=True
                )
                content: bytes = await got.readall()
            except ResourceNotFoundError as e:
                raise_if_share_is_gone(e)
                return None
            except HttpResponseError as e:
                if e.status_code != 416:
                    raise
                return b"", start, ""
        total = str(got.properties.content_range or "").rpartition("/")[2]
        return content, int(total or len(content)), str(got.properties.etag)


def _created(file: Path) -> BinaryIO:
    return file.open("xb")


def _write_at(stream: BinaryIO, start: int, block: bytes) -> None:
    stream.seek(start)
    stream.write(block)


def _finish(temporary: Path, to: Path) -> str:
    """Hash what arrived, make it durable and give it its name."""
    with temporary.open("rb+") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    temporary.replace(to)
    return digest


def _seconds(item: Any) -> float:
    written: datetime | str = item.last_write_time or item.last_modified
    # The listing's times arrive as text with seven digits, the SDK converts them only elsewhere.
    time = datetime.fromisoformat(written) if isinstance(written, str) else written
    return time.timestamp()


async def _all(work: Iterator[Any]) -> None:
    """Await all; when one fails the others are cancelled and awaited before it is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
