"""One question to the endpoint, over the same API that any program would use."""

from __future__ import annotations

import time

import aiohttp

from tunesmith.core.endpoints import EndpointAnswer
from tunesmith.core.errors import EndpointError
from tunesmith.core.json_values import at, items, mapping, whole, words
from tunesmith.ops.endpoint_health import healthy_endpoint, read_key
from tunesmith.ops.session import Session

_TIMEOUT = aiohttp.ClientTimeout(total=180.0)
BASE = "base"
MAX_TOKENS = 64


async def ask_endpoint(session: Session, question: str, *, base: bool) -> EndpointAnswer:
    """Return the answer, greedy, so that the same question gets the same answer.

    Raises: EndpointError("endpoint.notDeployed" | "endpoint.notHealthy" | "endpoint.askRefused").
    """
    found = await healthy_endpoint(session)
    body = {
        "model": BASE if base else found.run_id,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }
    headers = {"Authorization": f"Bearer {await read_key(session, found)}"}
    started = time.monotonic()
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as http,
            http.post(f"{found.url}/v1/chat/completions", json=body) as response,
        ):
            status, answer = response.status, mapping(await response.json(content_type=None))
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as e:
        raise EndpointError("endpoint.askRefused", reason=type(e).__name__) from e
    if status >= 400:
        reason = words(at(answer, "error", "message")) or f"HTTP {status}"
        raise EndpointError("endpoint.askRefused", reason=reason)
    choices = items(answer.get("choices"))
    return EndpointAnswer(
        words(answer.get("model")),
        words(at(mapping(choices[0]), "message", "content")) if choices else "",
        whole(at(answer, "usage", "completion_tokens")),
        round(time.monotonic() - started, 2),
    )
