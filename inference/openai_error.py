"""The body of a refusal, as OpenAI's clients expect it."""

from __future__ import annotations

from starlette.responses import JSONResponse


def error_response(
    status: int,
    message: str,
    kind: str = "invalid_request_error",
    *,
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return an error in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status, headers)
