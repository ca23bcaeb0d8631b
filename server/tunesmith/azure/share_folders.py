"""The folders of a share: each is made once, however many files want it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from tunesmith.azure.share_connection import ShareConnection, raise_if_share_is_gone


class ShareFolders:
    """Remembers which folders are there; what was seen may vanish, then `forget` it."""

    def __init__(self, connection: ShareConnection) -> None:
        self._connection = connection
        self._made: dict[str, asyncio.Task[bool]] = {}
        self._known: set[str] = {""}

    def saw(self, folders: Iterable[str]) -> None:
        """Take folders as there, out of a listing."""
        self._known.update(folders)

    async def make(self, path: str) -> bool:
        """Create a folder and its parents; False when the folder itself existed."""
        path = path.strip("/")
        await self.ensure(parent_of(path))
        made = await self._create(path)
        if made is None:  # the parent is gone that was there before
            self.forget(parent_of(path))
            await self.ensure(parent_of(path))
            made = await self._create(path)
        self._known.add(path)
        return bool(made)

    async def ensure(self, folder: str) -> None:
        """Make a folder with its parents, once however many ask."""
        if folder in self._known:
            return
        task = self._made.get(folder)
        if task is None or task.cancelled():
            task = asyncio.create_task(self.make(folder))
            self._made[folder] = task
        try:
            await asyncio.shield(task)
        finally:
            if task.done() and self._made.get(folder) is task:
                del self._made[folder]

    async def _create(self, path: str) -> bool | None:
        """Return True when it was made, False when it was there, None without its parent."""
        async with self._connection.asking(path):
            try:
                await self._connection.client.get_directory_client(path).create_directory()
            except ResourceExistsError:
                return False
            except ResourceNotFoundError as e:
                raise_if_share_is_gone(e)
                return None
        return True

    def forget(self, folder: str) -> None:
        """Count a folder and what is below it as unknown."""
        below = f"{folder}/"
        self._known = {
            known
            for known in self._known
            if not known or not (known == folder or known.startswith(below))
        }

    async def close(self) -> None:
        """End what nobody waits for any more."""
        tasks = list(self._made.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def parent_of(path: str) -> str:
    """Return the folder above a path, "" for the root."""
    return path.rpartition("/")[0]
