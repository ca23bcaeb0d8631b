"""The port `Files` on Azure Files, over REST with the account's key.

A write goes to a temporary name below `.tunesmith/uploads`, is checked there by MD5 range by range,
and is renamed: a killed upload leaves one nameless file behind and the old content in its place.
(Clients that create the real name at full size first leave a file of zeros, and take it for done.)
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import psutil
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.fileshare.aio import ShareClient, ShareFileClient

from tunesmith.azure.file_source import BLOCK_BYTES, source_of
from tunesmith.azure.share_errors import error_code, share_told
from tunesmith.core.errors import ShareError
from tunesmith.core.files_port import RemoteFile, Transferred
from tunesmith.core.targets import CloudProfile

MAX_IN_FLIGHT = 16
"""Requests at once. One share takes about 1,000 a second, one connection far fewer."""
UPLOADS = ".tunesmith/uploads"
_BLOCKS_OF_ONE_FILE = 4
ABANDONED_AFTER_S = 86_400
"""When another machine's temporary file counts as left behind."""
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_being_written: set[str] = set()
"""Names of this process's temporary files."""
_ATTEMPTS = 3


class ShareFiles:
    """One share. Opens connections with the first request; `close` ends them."""

    def __init__(self, profile: CloudProfile, account: str, key: str, share: str) -> None:
        """`key`: base64, kept in memory only."""
        # The SDK's own first wait is 15 s: one hiccup would stall everything behind it. Waits are
        # initial_backoff + increment_base ** n, give or take the jitter, in seconds.
        options: dict[str, Any] = {
            "initial_backoff": 1,
            "increment_base": 2,
            "random_jitter_range": 1,
            "retry_total": 5,
            "logging_enable": False,
        }
        if profile.credential == "azurebox":  # on this machine what fails twice stays broken
            options |= {"initial_backoff": 0.1, "increment_base": 0, "random_jitter_range": 0}
            options["retry_total"] = 2
        if profile.ca_file:
            options["connection_verify"] = profile.ca_file
        self.share = share
        self._client = ShareClient(
            profile.files_url.format(account=account),
            share,
            credential=AzureNamedKeyCredential(account, key),
            **options,
        )
        self._gate = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._made: dict[str, asyncio.Task[bool]] = {}
        self._known_folders: set[str] = {""}

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
        async with self._file(path) as file:
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
        """See the port. Two requests for a file up to 4 MiB, plus one for each 4 MiB of more."""
        for attempt in range(1, _ATTEMPTS + 1):
            written = await self._write_once(path, content, sent if attempt == 1 else None)
            if written is not None:
                return written
        raise ShareError("share.notVerified", path=path, reason="the upload vanished")

    async def download(
        self, path: str, to: Path, received: Callable[[int], None] | None = None
    ) -> Transferred | None:
        """See the port."""
        async with self._file(path) as file:
            first = await self._get(file, path, 0, BLOCK_BYTES)
            if first is None:
                return None
            content, size, etag = first
            if not content:  # an empty file has no first byte to ask for
                async with self._asking(path):
                    found: Any = await file.get_file_properties()
                if found.size:
                    raise ShareError("share.changedWhileRead", path=path)
                etag = str(found.etag)
            to.parent.mkdir(parents=True, exist_ok=True)
            temporary = to.with_name(f".{to.name}.{secrets.token_hex(4)}.part")
            try:
                with _created(temporary) as local:
                    await asyncio.to_thread(_write_at, local, 0, content)
                    _tell(received, len(content))
                    pending = asyncio.Semaphore(_BLOCKS_OF_ONE_FILE)

                    async def fetch(start: int) -> None:
                        async with pending:
                            block = await self._get(file, path, start, BLOCK_BYTES)
                            wanted = min(BLOCK_BYTES, size - start)
                            if block is None or block[2] != etag or len(block[0]) != wanted:
                                raise ShareError("share.changedWhileRead", path=path)
                            await asyncio.to_thread(_write_at, local, start, block[0])
                            _tell(received, len(block[0]))

                    await _all(fetch(start) for start in range(BLOCK_BYTES, size, BLOCK_BYTES))
                digest = await asyncio.to_thread(_finish, temporary, to)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return Transferred(digest, size, etag)

    async def delete(self, path: str) -> bool:
        """See the port."""
        async with self._asking(path):
            try:
                await self._client.get_file_client(path).delete_file()
            except ResourceNotFoundError as e:
                _raise_if_share_is_gone(e)
                return False
        return True

    async def delete_folder(self, path: str) -> bool:
        """See the port."""
        async with self._asking(path):
            try:
                await self._client.get_directory_client(path).delete_directory()
            except ResourceNotFoundError as e:
                _raise_if_share_is_gone(e)
                return False
            except HttpResponseError as e:
                if error_code(e) == "DirectoryNotEmpty" or e.status_code == 409:
                    return False
                raise
        self._forget_folder(path)
        return True

    async def make_directory(self, path: str) -> bool:
        """See the port."""
        path = path.strip("/")
        await self._ensure_folder(_parent(path))
        made = await self._create_folder(path)
        if made is None:  # the parent is gone that was there before
            self._forget_folder(_parent(path))
            await self._ensure_folder(_parent(path))
            made = await self._create_folder(path)
        self._known_folders.add(path)
        return bool(made)

    async def exists(self, path: str) -> bool:
        """See the port."""
        if await self.size(path) is not None:
            return True
        async with self._asking(path):
            try:
                await self._client.get_directory_client(path).get_directory_properties()
            except ResourceNotFoundError as e:
                _raise_if_share_is_gone(e)
                return False
        return True

    async def size(self, path: str) -> int | None:
        """See the port."""
        if not path.strip("/"):
            return None
        async with self._asking(path):
            try:
                found = await self._client.get_file_client(path).get_file_properties()
            except ResourceNotFoundError as e:
                _raise_if_share_is_gone(e)
                return None
        return int(found.size)

    async def clear_uploads(self) -> int:
        """See the port. What a living process or another machine is writing now stays."""
        left = [file for file in await self.tree(UPLOADS) if _is_abandoned(file)]
        deleted = await asyncio.gather(*(self.delete(file.path) for file in left))
        return sum(deleted)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _list(self, folder: str) -> tuple[list[RemoteFile], list[str]]:
        files: list[RemoteFile] = []
        folders: list[str] = []
        async with self._asking(folder):
            client = self._client.get_directory_client(folder)
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
                _raise_if_share_is_gone(e)
                return [], []
        self._known_folders.add(folder)
        self._known_folders.update(_join(folder, name) for name in folders)
        return files, folders

    async def _get(
        self, file: ShareFileClient, path: str, start: int, length: int
    ) -> tuple[bytes, int, str] | None:
        """Fetch one range of at most 4 MiB, checked by MD5; return it with file size and ETag.

        b"" when the range begins at or after the end, and then size and ETag mean nothing; None
        when there is no such file.
        """
        async with self._asking(path):
            try:
                got: Any = await file.download_file(
                    offset=start, length=length, validate_content=True
                )
                content: bytes = await got.readall()
            except ResourceNotFoundError as e:
                _raise_if_share_is_gone(e)
                return None
            except HttpResponseError as e:
                if e.status_code != 416:
                    raise
                return b"", start, ""
        total = str(got.properties.content_range or "").rpartition("/")[2]
        return content, int(total or len(content)), str(got.properties.etag)

    async def _write_once(
        self, path: str, content: bytes | Path, sent: Callable[[int], None] | None
    ) -> Transferred | None:
        """Write, verify, rename; None when the temporary file was taken away meanwhile."""
        await self._ensure_folder(UPLOADS)
        name = f"{_MACHINE}-{os.getpid()}-{secrets.token_hex(6)}"
        temporary = f"{UPLOADS}/{name}"
        _being_written.add(name)
        async with self._file(temporary) as file:
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
                _tell(sent, len(data))
                return source.finish(), size, created
            pending = asyncio.Semaphore(_BLOCKS_OF_ONE_FILE)
            sending: set[asyncio.Task[None]] = set()

            async def send(start: int, block: bytes) -> None:
                try:
                    async with self._asking(path):
                        try:
                            await file.upload_range(block, start, len(block), validate_content=True)
                        except ResourceNotFoundError as e:
                            _raise_if_share_is_gone(e)
                            raise _VanishedError from e
                    _tell(sent, len(block))
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
            async with self._asking(path):
                try:
                    created: dict[str, Any] = await file.create_file(size, **options)
                except ResourceNotFoundError as e:
                    _raise_if_share_is_gone(e)
                    if attempt == 2:
                        raise
                else:
                    return str(created.get("file_id") or "")
            self._forget_folder(UPLOADS)
            await self._ensure_folder(UPLOADS)
        raise AssertionError("unreachable")

    async def _rename(self, file: ShareFileClient, path: str, file_id: str) -> str | None:
        """Give the temporary file its name; return its ETag, None when it is not there any more."""
        answers: list[Any] = []
        for attempt in (1, 2):
            await self._ensure_folder(_parent(path))
            async with self._asking(path):
                try:
                    await file.rename_file(path, overwrite=True, raw_response_hook=answers.append)
                except ResourceNotFoundError as e:
                    _raise_if_share_is_gone(e)
                    if error_code(e) == "ParentNotFound" and attempt == 1:
                        self._forget_folder(_parent(path))
                        continue
                    # A reply may have been lost: then the file has its name already.
                    return await self._etag_of(path, file_id)
            return str(answers[-1].http_response.headers["ETag"])
        return None

    async def _etag_of(self, path: str, file_id: str) -> str | None:
        try:
            found: Any = await self._client.get_file_client(path).get_file_properties()
        except ResourceNotFoundError:
            return None
        return str(found.etag) if file_id and str(found.file_id) == file_id else None

    async def _drop(self, temporary: str) -> None:
        with suppress(ShareError):  # the next push clears what is left
            await self.delete(temporary)

    async def _ensure_folder(self, folder: str) -> None:
        """Make a folder with its parents, once however many ask."""
        if folder in self._known_folders:
            return
        task = self._made.get(folder)
        if task is None or task.cancelled():
            task = asyncio.create_task(self.make_directory(folder))
            self._made[folder] = task
        try:
            await asyncio.shield(task)
        finally:
            if task.done() and self._made.get(folder) is task:
                del self._made[folder]

    async def _create_folder(self, path: str) -> bool | None:
        """Return True when it was made, False when it was there, None without its parent."""
        async with self._asking(path):
            try:
                await self._client.get_directory_client(path).create_directory()
            except ResourceExistsError:
                return False
            except ResourceNotFoundError as e:
                _raise_if_share_is_gone(e)
                return None
        return True

    def _forget_folder(self, folder: str) -> None:
        below = f"{folder}/"
        self._known_folders = {
            known
            for known in self._known_folders
            if not known or not (known == folder or known.startswith(below))
        }

    @asynccontextmanager
    async def _asking(self, path: str) -> AsyncGenerator[None]:
        async with self._gate:
            with share_told(self.share, path):
                yield

    @asynccontextmanager
    async def _file(self, path: str) -> AsyncGenerator[ShareFileClient]:
        # Borrows the share's connections, so there is nothing to close.
        yield self._client.get_file_client(path)


class _VanishedError(Exception):
    """The temporary file was deleted under the upload."""


def _is_abandoned(file: RemoteFile) -> bool:
    """Return whether nobody writes this temporary file any more."""
    name = file.path.rpartition("/")[2]
    machine, _, rest = name.partition("-")
    pid = rest.partition("-")[0]
    if machine == _MACHINE and pid.isdecimal():
        is_ours = int(pid) == os.getpid()
        return name not in _being_written if is_ours else not psutil.pid_exists(int(pid))
    return time.time() - file.modified_at > ABANDONED_AFTER_S


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


def _raise_failed(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error


def _raise_if_share_is_gone(e: ResourceNotFoundError) -> None:
    if error_code(e) == "ShareNotFound":
        raise e


def _tell(listener: Callable[[int], None] | None, count: int) -> None:
    if listener is not None:
        listener(count)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
