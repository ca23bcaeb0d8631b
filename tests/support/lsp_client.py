"""A small LSP client over a subprocess, which keeps JSON as it came."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWER_S = 60.0


class RpcError(Exception):
    def __init__(self, error: dict[str, Any]) -> None:
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")
        super().__init__(f"{self.code}: {self.message} {self.data}")


@dataclass
class LspClient:
    process: asyncio.subprocess.Process
    notifications: list[dict[str, Any]] = field(default_factory=list)
    received_at: list[float] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    _next: int = 0
    _waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: asyncio.Task[None] | None = None
    _errors: asyncio.Task[bytes] | None = None

    @classmethod
    async def start(
        cls, home: Path, *, cache: Path | None = None, command: list[str] | None = None
    ) -> LspClient:
        command = command or [sys.executable, "-m", "tunesmith", "lsp"]
        env = os.environ | {
            "TUNESMITH_HOME": str(home),
            "TUNESMITH_CACHE": str(cache or home / "cache"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
        )
        client = cls(process)
        client._reader = asyncio.create_task(client._read())
        assert process.stderr is not None
        client._errors = asyncio.create_task(process.stderr.read())
        return client

    async def initialize(self) -> dict[str, Any]:
        result = await self.request(
            "initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": {}}
        )
        self.notify("initialized", {})
        return result

    def send(self, method: str, params: Any) -> tuple[int, asyncio.Future[Any]]:
        self._next += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = answer
        self._write({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})
        return self._next, answer

    async def request(self, method: str, params: Any = None) -> Any:
        _, answer = self.send(method, params)
        return await asyncio.wait_for(answer, ANSWER_S)

    def notify(self, method: str, params: Any) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params})

    def cancel(self, request: int) -> None:
        self.notify("$/cancelRequest", {"id": request})

    def of(self, method: str) -> list[dict[str, Any]]:
        return [n["params"] for n in self.notifications if n["method"] == method]

    async def wait_for(self, method: str, condition: Any = lambda _: True) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_S
        while True:
            for params in self.of(method):
                if condition(params):
                    return params
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), deadline - time.monotonic())

    async def stop(self) -> int:
        """Leave as an editor does; returns the exit code."""
        await self.request("shutdown")
        self.notify("exit", None)
        return await self.ended()

    async def ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), 15)
        assert self._reader is not None
        await self._reader
        return code

    async def stderr(self) -> str:
        assert self._errors is not None
        return (await self._errors).decode()

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()
        await self.stderr()

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps(message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while (header := await stream.readline()).strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not header:
                for answer in self._waiting.values():
                    if not answer.done():
                        answer.set_exception(ConnectionError("the server is gone"))
                        answer.exception()
                return
            body = await stream.readexactly(length)
            self.bodies.append(body.decode())
            message = json.loads(body)
            if "method" in message:
                self.notifications.append(message)
                self.received_at.append(time.monotonic())
                self._arrived.set()
            elif "error" in message:
                self._waiting.pop(message["id"]).set_exception(RpcError(message["error"]))
            else:
                self._waiting.pop(message["id"]).set_result(message["result"])
