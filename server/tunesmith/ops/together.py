"""Several pieces of work at once, of which none goes on after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all. When one fails, or on cancel, the others are cancelled and awaited first.

    Raises: what the first to fail raised, as it is (a TaskGroup would wrap it).
    """
    tasks = [asyncio.create_task(piece) for piece in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
