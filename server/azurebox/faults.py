"""Faults on demand: a test asks for the nth matching request to fail as the cloud's would."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from azurebox.errors import ArmError


@dataclass(frozen=True, slots=True)
class Fault:
    """`match` is searched in "METHOD path"; the `nth` such request (1 = the next) is hit.

    `delay_s` waits first; `status` 0 means a delay alone, the request then goes its way.
    """

    match: re.Pattern[str]
    nth: int
    status: int
    code: str
    message: str
    retry_after_s: int | None
    delay_s: float

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Fault:
        """Read {"match","nth"?,"status"?,"code"?,"message"?,"retryAfter"?,"delay_s"?}.

        Raises: ArmError(400, "InvalidFault") naming what is wrong.
        """
        try:
            fault = cls(
                match=re.compile(str(body["match"]), re.IGNORECASE),
                nth=int(body.get("nth", 1)),
                status=int(body.get("status", 0 if "delay_s" in body else 500)),
                code=str(body.get("code", "InternalServerError")),
                message=str(body.get("message", "A fault that was asked for.")),
                retry_after_s=int(body["retryAfter"]) if "retryAfter" in body else None,
                delay_s=float(body.get("delay_s", 0)),
            )
        except (KeyError, TypeError, ValueError, re.error) as error:
            raise ArmError(400, "InvalidFault", f"This is no fault: {error!r}.") from error
        if fault.nth < 1 or not (fault.status == 0 or 400 <= fault.status <= 599):
            raise ArmError(400, "InvalidFault", "nth starts at 1, status is 0 or 400 to 599.")
        return fault


class Faults:
    """The faults waiting to strike; each strikes once."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Let the fault wait for its request."""
        self._waiting.append((fault, 0))

    def clear(self) -> None:
        """Forget all waiting faults."""
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)

    async def strike(self, method: str, path: str) -> None:
        """Count the request against every fault; raises ArmError when one is due."""
        due: Fault | None = None
        left: list[tuple[Fault, int]] = []
        for fault, seen in self._waiting:
            if fault.match.search(f"{method} {path}"):
                seen += 1
                if seen >= fault.nth and due is None:
                    due = fault
                    continue
            left.append((fault, seen))
        self._waiting = left
        if due is None:
            return
        if due.delay_s:
            await asyncio.sleep(due.delay_s)
        if due.status:
            headers = {} if due.retry_after_s is None else {"Retry-After": str(due.retry_after_s)}
            raise ArmError(due.status, due.code, due.message, headers=headers)
