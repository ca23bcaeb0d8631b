"""Errors in ARM's shape."""

from __future__ import annotations

from typing import Any


class ArmError(Exception):
    """An answer that is an error: HTTP status, ARM code and message; `details` and
    `additional_info` are put into the body as they are."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: list[dict[str, Any]] | None = None,
        additional_info: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or []
        self.additional_info = additional_info or []
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """Return {"error": {...}} as ARM sends it."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = self.details
        if self.additional_info:
            error["additionalInfo"] = self.additional_info
        return {"error": error}
