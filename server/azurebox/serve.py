"""`azurebox serve`: the listeners, the state folder, the life of the process.

What it puts together stands in `box.py`; what containers do outlives it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import ssl
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from azurebox.atomic import write_private
from azurebox.box import Box
from azurebox.providers.addresses import Addresses
from azurebox.state import Identity, Ports, StateFolder, StateLock
from azurebox.tls import ensure_certificates

log = logging.getLogger(__name__)

EXIT_REFUSED = 1
EXIT_RUNS_ALREADY = 3
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """`port` and `http_port`: 0 takes the remembered port, else a free one."""

    state: Path
    cache: Path
    port: int
    http_port: int
    subscription: str | None
    idle_exit_s: float


class PortInUse(Exception):
    """A port that was asked for belongs to somebody else."""


async def serve(options: ServeOptions) -> int:
    """Run until told to stop or idle for long enough. Returns the exit code."""
    folder = StateFolder.open(options.state)
    lock = StateLock(folder)
    if not lock.acquire():
        known = folder.running()
        where = known.get("arm_url", "an address it has not written yet")
        _say(f"azurebox already runs on {folder.root}: {where}, process {known.get('pid', '?')}.")
        return EXIT_RUNS_ALREADY
    try:
        return await _serve_locked(folder, options)
    except PortInUse as error:
        _say(str(error))
        return EXIT_REFUSED
    finally:
        lock.release()


async def _serve_locked(folder: StateFolder, options: ServeOptions) -> int:
    identity = folder.identity(options.subscription)
    sockets = _bind_all(identity.ports, options)
    ports = Ports(*(s.getsockname()[1] for s in sockets))
    if ports != identity.ports:
        identity = replace(identity, ports=ports)
        folder.remember(identity)
    tls = ensure_certificates(folder.keys)
    addresses = Addresses(
        arm_url=f"https://{HOST}:{ports.arm}",
        files_url=f"https://{HOST}:{ports.files}/{{account}}",
        pages_url=f"http://{HOST}:{ports.http}",
    )
    box = Box(folder, options.cache, identity, addresses)
    stop = box.stop
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: Ctrl+C arrives as KeyboardInterrupt
            break

    arm, files, pages = sockets
    context = tls.server_context()
    runners = [
        await _listen(box.arm_app(), [(arm, context)]),
        await _listen(box.files_app(), [(files, context)]),
        await _listen(box.arm_app(), [(pages, None)]),
    ]
    try:
        await box.start()
        info = _info(identity, addresses, tls.ca_file)
        write_private(folder.info_file, json.dumps(info, indent=1).encode())
        _announce(info)
        idle = asyncio.create_task(_watch_idle(box, options.idle_exit_s))
        await stop.wait()
        idle.cancel()
        log.info("azurebox stops; containers go on")
    finally:
        for runner in runners:
            await runner.cleanup()
        await box.close()
    return 0


def _bind_all(remembered: Ports, options: ServeOptions) -> tuple[socket.socket, ...]:
    """Bind the three listeners. Raises: PortInUse for a port the user asked for."""
    return (
        _bind(options.port, remembered.arm, "--port"),
        _bind(0, remembered.files, "--port"),
        _bind(options.http_port, remembered.http, "--http-port"),
    )


def _bind(wanted: int, remembered: int, option: str) -> socket.socket:
    """Bind the wanted port; without one, the remembered port or, where that is taken, any."""
    for port in (wanted,) if wanted else (remembered, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # on Windows the option would allow two servers on one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            if wanted:
                raise PortInUse(
                    f"Port {wanted} on {HOST} cannot be used ({error.strerror}); choose another"
                    f" with {option}, or leave {option} out to have a free one chosen."
                ) from error
            log.warning("port %s is taken by another program; choosing a new one", port)
    raise PortInUse(f"No free port on {HOST}; close some programs and start again.")


async def _listen(
    app: web.Application, sockets: list[tuple[socket.socket, ssl.SSLContext | None]]
) -> web.AppRunner:
    # Azure Files stores contents as they are sent; ARM's clients compress nothing.
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=2.0)
    await runner.setup()
    for listener, context in sockets:
        await web.SockSite(runner, listener, ssl_context=context).start()
    return runner


def _info(identity: Identity, addresses: Addresses, ca_file: Path) -> dict[str, Any]:
    return {
        "arm_url": addresses.arm_url,
        "arm_http_url": addresses.pages_url,
        "login_url": addresses.arm_url,
        "files_url": addresses.files_url,
        "pages_url": addresses.pages_url + "/",
        "ca_file": str(ca_file),
        "tenant_id": identity.tenant_id,
        "subscription_id": identity.subscription_id,
        "client_id": identity.client_id,
        "client_secret": identity.client_secret,
        "pid": os.getpid(),
        "started_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _announce(info: dict[str, Any]) -> None:
    """Print the one JSON line; a starter that went away is no reason to end."""
    try:
        sys.stdout.write(json.dumps(info) + "\n")
        sys.stdout.flush()
    except OSError:
        log.warning("nobody reads the start line")


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


async def _watch_idle(box: Box, idle_exit_s: float) -> None:
    """Stop the box once nothing was asked and nothing ran for `idle_exit_s` seconds."""
    idle_since = time.monotonic()
    while not box.stop.is_set():
        await asyncio.sleep(min(5.0, max(0.05, idle_exit_s / 4)))
        if box.is_busy():
            idle_since = time.monotonic()
        if time.monotonic() - max(idle_since, box.last_request_at) >= idle_exit_s:
            log.info("idle for %.0f s", idle_exit_s)
            box.stop.set()
