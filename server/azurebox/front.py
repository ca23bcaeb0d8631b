"""The front door of ARM: routes by pattern, checks the token and the api-version, shapes errors.

It knows no resource type. Providers, deployments, Entra and the control API add their routes.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import unquote

from aiohttp import web

from azurebox.errors import ArmError
from azurebox.faults import Faults

log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[web.StreamResponse]]

# A template may be 4 MB; ARM's own limit for any request.
MAX_BODY_BYTES = 4 * 1024 * 1024


class TokenChecker(Protocol):
    """Whoever knows which bearer tokens are good."""

    def check(self, authorization: str | None) -> None:
        """Raises: ArmError(401) with a WWW-Authenticate header for anything but a good token."""
        ...


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    segments: tuple[str, ...]
    handler: Handler
    is_open: bool
    has_version: bool

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Return the named segments, None when the path is another one."""
        names: dict[str, str] = {}
        for index, want in enumerate(self.segments):
            if want.startswith("{*"):
                names[want[2:-1]] = "/".join(segments[index:])
                return names
            if index >= len(segments):
                return None
            have = segments[index]
            if want.startswith("{"):
                if not have:
                    return None
                names[want[1:-1]] = have
            elif want.lower() != have.lower():
                return None
        return names if len(segments) == len(self.segments) else None

    @property
    def looseness(self) -> tuple[int, ...]:
        """Sorts routes that match the same path: fixed segments before named ones before a tail."""
        return tuple(
            2 if s.startswith("{*") else 1 if s.startswith("{") else 0 for s in self.segments
        )


class Router:
    """Routes in ARM's manner: path segments compare without regard to case.

    Of several patterns that match, the one with the earlier fixed segment wins, so
    ".../deployments/{name}/validate" goes before ".../deployments/{name}/{action}".
    """

    def __init__(
        self, tokens: TokenChecker, faults: Faults | None = None, subscription: str | None = None
    ) -> None:
        """`subscription`: the only id that "{sub}" in a pattern may stand for; None: any."""
        self._tokens = tokens
        self._subscription = subscription
        self._faults = Faults() if faults is None else faults
        self._routes: list[_Route] = []
        self.last_request_at = time.monotonic()
        """Monotonic seconds of the latest request, for the idle clock."""

    def add(
        self,
        method: str,
        pattern: str,
        handler: Handler,
        *,
        is_open: bool = False,
        has_version: bool = True,
    ) -> None:
        """Answer `method` on `pattern` with `await handler(request, **names)`.

        Pattern: "/subscriptions/{sub}/resourcegroups/{group}", with "{*rest}" for a tail of any
        length (also none). Names arrive percent-decoded. `is_open`: no bearer token asked for;
        `has_version`: api-version is required.
        """
        self._routes.append(
            _Route(method.upper(), tuple(_split(pattern)), handler, is_open, has_version)
        )

    def app(self) -> web.Application:
        """The aiohttp application that answers with these routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_add_headers)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.last_request_at = time.monotonic()
        try:
            return await self._answer(request)
        except ArmError as error:
            return web.json_response(error.body(), status=error.status, headers=error.headers)
        except web.HTTPRequestEntityTooLarge as error:
            return web.json_response(
                ArmError(413, "RequestContentTooLarge", str(error.text)).body(), status=413
            )
        except ConnectionError:
            return client_gone()
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            error = ArmError(
                500,
                "InternalServerError",
                f"azurebox failed on {request.method} {request.path}. Its log has the cause.",
            )
            return web.json_response(error.body(), status=500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        segments = [unquote(s) for s in _split(request.rel_url.raw_path)]
        found = [
            (route, names)
            for route in self._routes
            if route.method == request.method and (names := route.match(segments)) is not None
        ]
        route, names = min(found, key=lambda f: f[0].looseness) if found else (None, {})
        if route is None or not route.is_open:
            self._tokens.check(request.headers.get("Authorization"))
        if route is None:
            raise ArmError(
                501,
                "NotImplemented",
                f"azurebox does not know {request.method} {request.path}"
                f" (api-version {request.query.get('api-version', 'missing')}).",
                headers={"x-ms-failure-cause": "gateway"},
            )
        if not request.path.lower().startswith("/_box/"):
            await self._faults.strike(request.method, request.path)
        if route.has_version and not route.is_open:
            api_version(request)
        self._check_subscription(names.get("sub"))
        return await route.handler(request, **names)

    def _check_subscription(self, asked: str | None) -> None:
        known = self._subscription
        if asked is not None and known is not None and asked.lower() != known.lower():
            raise ArmError(
                404,
                "SubscriptionNotFound",
                f"The subscription '{asked}' could not be found.",
                headers={"x-ms-failure-cause": "gateway"},
            )


def api_version(request: web.Request) -> str:
    """Return the request's api-version.

    Raises: ArmError(400) MissingApiVersionParameter or InvalidApiVersionParameter.
    """
    version = request.query.get("api-version", "")
    if not version:
        raise ArmError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(-[A-Za-z]+)?", version):
        raise ArmError(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. It must be of the form 'yyyy-MM-dd' or"
            " 'yyyy-MM-dd-preview'.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    return version


async def json_body(request: web.Request) -> dict[str, Any]:
    """Return the request's JSON object, {} for an empty body.

    Raises: ArmError(400, "InvalidRequestContent") for anything else.
    """
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw.decode("utf-8-sig"))
    except ValueError as error:
        raise ArmError(
            400,
            "InvalidRequestContent",
            f"The request content was invalid and could not be deserialized: '{error}'.",
        ) from error
    if not isinstance(body, dict):
        raise ArmError(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: 'not a JSON object'.",
        )
    return cast(dict[str, Any], body)


def json_answer(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer as ARM sends it."""
    return web.json_response(body, status=status, headers=headers)


def client_gone() -> web.Response:
    """What a handler returns when its client has left: aiohttp drops it without a word, where an
    exception would fill the log."""
    return web.Response(status=499)


def public_url(request: web.Request) -> str:
    """Return the address the client reached us by, without a path: for links in answers."""
    return f"{request.scheme}://{request.host}"


def _split(path: str) -> list[str]:
    """Take a path apart; doubled and trailing slashes do not count."""
    return [s for s in path.split("/") if s]


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put ARM's own headers on every answer, streams included."""
    ours = str(uuid.uuid4())
    headers = response.headers
    headers.setdefault("x-ms-request-id", ours)
    correlation = request.headers.get("x-ms-correlation-request-id", ours)
    headers.setdefault("x-ms-correlation-request-id", correlation)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers.setdefault("x-ms-routing-request-id", f"LOCAL:{stamp}:{ours}")
    client_id = request.headers.get("x-ms-client-request-id")
    if client_id and request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        headers.setdefault("x-ms-client-request-id", client_id)
    headers.setdefault("Cache-Control", "no-cache")
    headers.setdefault("Pragma", "no-cache")
    headers.setdefault("Expires", "-1")
    headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.method in ("GET", "HEAD"):
        headers.setdefault("x-ms-ratelimit-remaining-subscription-global-reads", "16499")
    elif request.method in ("PUT", "POST", "PATCH"):
        headers.setdefault("x-ms-ratelimit-remaining-subscription-writes", "1199")
    else:
        headers.setdefault("x-ms-ratelimit-remaining-subscription-deletes", "14999")
