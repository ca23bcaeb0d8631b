"""Whether a replica is ready: its own http probe, else whether its port is open."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from azurebox.providers.common import JsonObject, items, section


async def is_ready(container: JsonObject, port: int, *, has_ingress: bool) -> bool:
    """Try once.

    A Readiness or Startup probe with httpGet counts from 200 to 399; without one, an app with
    ingress is ready when its port takes a connection, and any other as soon as it runs.
    """
    probes = [
        p
        for kind in ("Readiness", "Startup")
        for p in items(container, "probes")
        if str(p.get("type", "")).lower() == kind.lower() and section(p, "httpGet")
    ]
    if probes:
        return await _answers(port, section(probes[0], "httpGet"))
    return not has_ingress or await _is_open(port)


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _answers(port: int, get: JsonObject) -> bool:
    headers: dict[str, Any] = {
        str(h.get("name")): str(h.get("value")) for h in items(get, "httpHeaders")
    }
    url = f"http://127.0.0.1:{port}/{str(get.get('path') or '/').lstrip('/')}"
    timeout = aiohttp.ClientTimeout(total=2.0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            return 200 <= answer.status < 400
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
