"""The HTTP API: OpenAI's chat completions, the list of models, health, and signing in.

Every refusal of /v1 has the body that OpenAI's clients expect.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from auth import LINK_SECONDS, SESSION_SECONDS, Keyring
from engine import AnswerEvents, Engine, Finished, GenerationFailed, Piece, PromptRefused, QueueFull
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from gate import sign_in_page
from openai_error import error_response
from openai_request import BadRequest, ChatRequest, read_request
from service import BASE, TUNED, Service

MAX_BODY_BYTES = 1 << 20
RETRY_AFTER_S = 5


def make_router(service: Service, keyring: Keyring) -> APIRouter:
    """Return the routes. `service` may still be loading; they say so."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse(service.health(), 503 if service.status == "loading" else 200)

    @router.post("/auth/links")
    async def make_link(request: Request) -> JSONResponse:
        if refused := check_key(request, keyring):
            return refused
        return JSONResponse(
            {"path": f"/auth/{keyring.make_link()}", "expires_in_s": LINK_SECONDS},
            headers={"Cache-Control": "no-store"},
        )

    @router.get("/auth/{token}")
    async def redeem_link(token: str, request: Request) -> Response:
        session = keyring.redeem_link(token)
        if session is None:
            return sign_in_page("This link was used already, or its minute is over.", 403)
        response = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
        # A proxy (the cloud's ingress) ends TLS and says so here.
        scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
        response.set_cookie(
            keyring.cookie_name,
            session,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=scheme == "https",
        )
        return response

    @router.get("/v1/models")
    async def list_models(request: Request) -> JSONResponse:
        if refused := check_key(request, keyring):
            return refused
        return JSONResponse(
            {"object": "list", "data": [describe_model(service, name) for name in service.models]}
        )

    @router.get("/v1/models/{name}")
    async def get_model(name: str, request: Request) -> JSONResponse:
        if refused := check_key(request, keyring):
            return refused
        known = service.find_model(name)
        if known is None:
            return unknown_model(service, name)
        return JSONResponse(describe_model(service, known))

    @router.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        if refused := check_key(request, keyring):
            return refused
        try:
            chat = read_request(await read_json(request))
            if service.engine is None:
                return not_ready(service)
            name = service.find_model(chat.model or None)
            if name is None:
                return unknown_model(service, str(chat.model))
            answer = start_answer(service.engine, chat, tuned=name != BASE)
        except BadRequest as error:
            return error_response(error.status, str(error), param=error.param, code=error.code)
        except PromptRefused as error:
            return error_response(400, str(error), param="messages")
        except QueueFull as error:
            return error_response(
                429,
                f"{error} Try again in {RETRY_AFTER_S} seconds.",
                "rate_limit_error",
                code="queue_full",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": name,
        }
        if chat.stream:
            return StreamingResponse(
                stream_events(answer, head, include_usage=chat.include_usage),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
            )
        return await whole_answer(request, answer, head)

    @router.api_route(
        "/v1/{path:path}",
        methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        include_in_schema=False,
    )
    async def unknown_path(path: str, request: Request) -> JSONResponse:
        allowed = "POST" if path == "chat/completions" else "GET"
        if path in ("chat/completions", "models") or re.fullmatch("models/[^/]+", path):
            return error_response(
                405,
                f"/v1/{path} takes {allowed}, not {request.method}.",
                code="method_not_allowed",
                headers={"Allow": allowed},
            )
        return error_response(
            404, f"There is no {request.method} /v1/{path} here.", code="unknown_url"
        )

    return router


def check_key(request: Request, keyring: Keyring) -> JSONResponse | None:
    """Return the refusal for a request without the key."""
    if keyring.is_key(request.headers.get("authorization", "")):
        return None
    return error_response(
        401,
        "The API key is missing or wrong. Send it as 'Authorization: Bearer <key>'.",
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def describe_model(service: Service, name: str) -> dict[str, Any]:
    """Return one entry of the list of models; `root` tells what stands behind the name."""
    assert service.run is not None
    return {
        "id": name,
        "object": "model",
        "created": service.run.created_s,
        "owned_by": "tunesmith",
        "root": service.run.base_model,
    }


def unknown_model(service: Service, name: str) -> JSONResponse:
    """Return the refusal for a model that is not served."""
    known = " and ".join(service.models) or "none"
    if len(service.models) > 1:
        known = f"{service.models[0]} (or {TUNED}) and {service.models[1]}"
    return error_response(
        404,
        f"There is no model '{name}' here; served: {known}.",
        param="model",
        code="model_not_found",
    )


def not_ready(service: Service) -> JSONResponse:
    """Return the refusal of an app that has no model loaded."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if service.status == "loading" else None
    return error_response(
        503, service.detail, "service_unavailable", code=service.status, headers=headers
    )


async def read_json(request: Request) -> Any:
    """Return the body as JSON, reading no more than MAX_BODY_BYTES."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BadRequest(f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
    try:
        value = json.loads(body)
        # Half of a surrogate pair is legal in JSON, but no text: no tokenizer takes it.
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from error


def start_answer(engine: Engine, chat: ChatRequest, *, tuned: bool) -> AnswerEvents:
    """Return the answer's events. The answer may be shorter than wanted where the context ends.

    Raises: BadRequest when the prompt fills the context, PromptRefused, QueueFull.
    """
    prompt = engine.model.render(chat.messages)
    room = engine.model.context_tokens - len(prompt)
    if room < 1:
        raise BadRequest(
            f"The messages have {len(prompt)} tokens; the model's context holds "
            f"{engine.model.context_tokens}, and the answer needs room in it.",
            "messages",
            "context_length_exceeded",
        )
    sampling = replace(chat.sampling, max_tokens=min(chat.sampling.max_tokens, room))
    return engine.generate(prompt, sampling, tuned=tuned)


async def stream_events(
    answer: AnswerEvents, head: dict[str, Any], *, include_usage: bool
) -> AsyncIterator[str]:
    """Yield the answer as server-sent events."""

    def chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> str:
        body = {**head, "object": "chat.completion.chunk", "choices": choices}
        if include_usage:
            body["usage"] = usage
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    def choice(delta: dict[str, str], reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]

    async with aclosing(answer):
        yield chunk(choice({"role": "assistant", "content": ""}))
        try:
            async for event in answer:
                if isinstance(event, Piece):
                    yield chunk(choice({"content": event.text}))
                    continue
                yield chunk(choice({}, event.reason))
                if include_usage:
                    yield chunk([], usage_of(event))
        except GenerationFailed as error:
            body = {"message": str(error), "type": "server_error", "param": None, "code": None}
            yield f"data: {json.dumps({'error': body})}\n\n"
            return
        yield "data: [DONE]\n\n"


async def whole_answer(request: Request, answer: AnswerEvents, head: dict[str, Any]) -> Response:
    """Return the answer in one piece; a client that hangs up meanwhile stops the work."""
    collecting = asyncio.ensure_future(collect(answer))
    leaving = asyncio.ensure_future(wait_for_disconnect(request))
    try:
        await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            return Response(status_code=499)  # nobody reads it
        text, end = collecting.result()
    except GenerationFailed as error:
        return error_response(500, str(error), "server_error")
    finally:
        for task in (collecting, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, GenerationFailed):
                await task
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": end.reason}
    return JSONResponse(
        {**head, "object": "chat.completion", "choices": [choice], "usage": usage_of(end)}
    )


async def collect(answer: AnswerEvents) -> tuple[str, Finished]:
    """Return the whole text and how it ended."""
    text = ""
    async with aclosing(answer):
        async for event in answer:
            if isinstance(event, Finished):
                return text, event
            text += event.text
    raise GenerationFailed("The answer had no end.")


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client has hung up; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def usage_of(end: Finished) -> dict[str, int]:
    """Return the token counts; the token that ends an answer counts as made."""
    return {
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.completion_tokens,
        "total_tokens": end.prompt_tokens + end.completion_tokens,
    }
