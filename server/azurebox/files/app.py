"""Azure Files over HTTP: path-style addresses /{account}/{share}/{path}, a folder for each share.

Jobs see the same folders as /mount and write into them as plain files, so the data on disk is the
truth and nothing about it is cached here.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from azurebox.files import contents, directories, shares
from azurebox.files.auth import Asked, Gate
from azurebox.files.call import MAX_BODY_BYTES, Call, Service
from azurebox.files.errors import FilesError, error_response
from azurebox.files.paths import parse_address
from azurebox.files.records import Records

logger = logging.getLogger(__name__)

_REQUEST_ID = web.RequestKey("request id", str)
Handler = Callable[[Call], Awaitable[web.StreamResponse]]

# (method, what the address is taken for, comp) -> what answers, and the permission that it needs.
_OPERATIONS: dict[tuple[str, str, str], tuple[Handler, str]] = {
    ("GET", "account", "list"): (shares.list_shares, "l"),
    ("PUT", "share", ""): (shares.create_share, "c"),
    ("GET", "share", ""): (shares.get_share, "r"),
    ("GET", "share", "metadata"): (shares.get_share, "r"),
    ("PUT", "share", "properties"): (shares.set_share_properties, "w"),
    ("PUT", "share", "metadata"): (shares.set_share_metadata, "w"),
    ("DELETE", "share", ""): (shares.delete_share, "d"),
    ("PUT", "directory", ""): (directories.create_directory, "c"),
    ("GET", "directory", ""): (directories.get_directory, "r"),
    ("GET", "directory", "metadata"): (directories.get_directory, "r"),
    ("GET", "directory", "list"): (directories.list_directory, "l"),
    ("PUT", "directory", "metadata"): (directories.set_directory_metadata, "w"),
    ("PUT", "directory", "properties"): (directories.set_directory_properties, "w"),
    ("PUT", "directory", "rename"): (contents.rename, "w"),
    ("DELETE", "directory", ""): (directories.delete_directory, "d"),
    ("PUT", "file", ""): (contents.create_file, "c"),
    ("PUT", "file", "copy"): (contents.copy_file, "c"),
    ("PUT", "file", "range"): (contents.put_range, "w"),
    ("PUT", "file", "properties"): (contents.set_properties, "w"),
    ("PUT", "file", "metadata"): (contents.set_metadata, "w"),
    ("PUT", "file", "rename"): (contents.rename, "w"),
    ("GET", "file", ""): (contents.get_file, "r"),
    ("GET", "file", "metadata"): (contents.get_metadata, "r"),
    ("GET", "file", "rangelist"): (contents.list_ranges, "r"),
    ("DELETE", "file", ""): (contents.delete_file, "d"),
}


def make_files_app(
    root: Path,
    accounts: Callable[[str], list[str] | None],
    verify_token: Callable[[str], bool] | None = None,
) -> web.Application:
    """Return the service for the shares below `root` (`root`/account/share).

    `accounts` gives the keys (base64) of an account, None for one that does not exist.
    `verify_token` judges a bearer token; without it every token is refused.
    Run it with `AppRunner(app, auto_decompress=False)`: contents are stored as they are sent.
    """
    root.mkdir(parents=True, exist_ok=True)
    service = Service(root, Records(root / ".records.sqlite"), Gate(accounts, verify_token))

    async def answer(request: web.Request) -> web.StreamResponse:
        return await _answer(service, request)

    async def close(_: web.Application) -> None:
        service.records.close()

    # A little more than is allowed, so that the refusal is ours and in the service's words.
    app = web.Application(client_max_size=MAX_BODY_BYTES + 1024)
    app.router.add_route("*", "/{path:.*}", answer)
    app.on_response_prepare.append(_common_headers)
    app.on_cleanup.append(close)
    return app


async def _answer(service: Service, request: web.Request) -> web.StreamResponse:
    try:
        return await _route(service, request)
    except FilesError as error:
        refusal = error
    except ConnectionError:
        raise
    except OSError as error:
        logger.exception("%s %s failed", request.method, request.path)
        refusal = FilesError("InternalError", message=f"The disk refused: {error.strerror}")
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        refusal = FilesError("InternalError", message="azurebox failed. Its log has the cause.")
    return error_response(refusal, _request_id(request), with_body=request.method != "HEAD")


async def _route(service: Service, request: web.Request) -> web.StreamResponse:
    headers = {name.lower(): value for name, value in request.headers.items()}
    params = {name.lower(): value for name, value in request.query.items()}
    keeps = headers.get("x-ms-allow-trailing-dot", "").lower() == "true"
    raw_path = request.rel_url.raw_path
    address = parse_address(raw_path, keep_trailing_dots=keeps)
    kind = _kind(address.share, params)
    comp = params.get("comp", "").lower()
    if not comp and "x-ms-copy-source" in headers and request.method == "PUT":
        comp = "copy"
    method = "GET" if request.method == "HEAD" else request.method
    handler, needs = _OPERATIONS.get((method, kind, comp), (None, ""))
    level = {"account": "s", "share": "c"}.get(kind, "c" if comp == "list" else "o")
    service.gate.admit(
        Asked(
            method=request.method,
            raw_path=raw_path,
            params=params,
            headers=headers,
            account=address.account,
            share=address.share,
            path="/".join(address.names),
            needs=needs,
            level=level,
        )
    )
    if handler is None or "sharesnapshot" in params:
        wanted = f"{request.method} {kind}" + (f" comp={comp}" if comp else "")
        raise FilesError(
            "NotImplemented", message=f"azurebox does not implement this operation: {wanted}"
        )
    return await handler(Call(service, request, address, params, headers))


def _kind(share: str, params: dict[str, str]) -> str:
    restype = params.get("restype", "").lower()
    if not share:
        return restype or "account"
    return restype or "file"


def _request_id(request: web.Request) -> str:
    if _REQUEST_ID not in request:
        request[_REQUEST_ID] = str(uuid.uuid4())
    return request[_REQUEST_ID]


async def _common_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "Windows-Azure-File/1.0 Microsoft-HTTPAPI/2.0"
    response.headers["x-ms-request-id"] = _request_id(request)
    response.headers["x-ms-version"] = request.headers.get("x-ms-version", "2026-10-06")
    if client_id := request.headers.get("x-ms-client-request-id"):
        response.headers["x-ms-client-request-id"] = client_id
