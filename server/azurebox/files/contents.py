"""Operations on files of a share: create, ranges, read, properties, delete, copy."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import uuid
from dataclasses import replace
from email.utils import formatdate
from typing import BinaryIO
from urllib.parse import urlsplit

from aiohttp import web

from azurebox.files import times
from azurebox.files.call import MAX_BODY_BYTES, Call, change_headers, meta_headers, smb_headers
from azurebox.files.errors import FilesError
from azurebox.files.paths import Place, parse_address
from azurebox.files.records import Record

# Since this version a file can be created with its content in one request.
BODY_ON_CREATE_VERSION = "2026-06-06"
_BLOCK_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


async def create_file(call: Call) -> web.StreamResponse:
    """PUT with x-ms-type: file. Replaces silently; without a body the file is all zeros."""
    size = call.number("x-ms-content-length")
    body = await _body(call)
    if body and call.headers.get("x-ms-version", "") < BODY_ON_CREATE_VERSION:
        raise FilesError("InvalidHeaderValue", detail=("HeaderName", "Content-Length"))
    if len(body) > size:
        raise FilesError("InvalidHeaderValue", detail=("HeaderName", "x-ms-content-length"))
    place = call.place()
    _refuse_folder(place)
    _fill(place, size, body)
    call.service.records.forget(call.key(place))
    record = call.smb_times(place, Record(call.metadata(), call.http_headers()))
    status = call.keep(place, record)
    headers = {
        **change_headers(status),
        **smb_headers(place, status, call.record(place)),
        "x-ms-request-server-encrypted": "true",
    }
    if body:
        headers["Content-MD5"] = _md5(body)
    return web.Response(status=201, headers=headers)


async def put_range(call: Call) -> web.StreamResponse:
    """PUT ?comp=range: writes up to 4 MiB, or clears any range, inside the file's size."""
    place = call.file()
    start, end = _range(call, required=True)
    write = call.headers.get("x-ms-write", "").lower()
    if write not in ("update", "clear"):
        raise FilesError("InvalidHeaderValue", detail=("HeaderName", "x-ms-write"))
    body = await _body(call)
    if write == "update" and len(body) != end - start:
        raise FilesError("InvalidHeaderValue", detail=("HeaderName", "x-ms-range"))
    # From here to the answer nothing awaits, so two ranges of one file never mix.
    before = place.path.stat()
    if end > before.st_size:
        raise FilesError("InvalidRange")
    record = call.record(place)
    _write(place, start, body if write == "update" else None, end)
    if call.headers.get("x-ms-file-last-write-time", "now").lower() == "preserve":
        os.utime(place.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    status = call.keep(place, record)
    headers = {
        **change_headers(status),
        "x-ms-file-last-write-time": times.iso(status.st_mtime_ns),
        "x-ms-request-server-encrypted": "true",
    }
    if write == "update":
        headers["Content-MD5"] = _md5(body)
    return web.Response(status=201, headers=headers)


async def get_file(call: Call) -> web.StreamResponse:
    """GET or HEAD: 206 whenever a range was asked for, as long as the file is at this moment."""
    place = call.file()
    with _opened(place) as file:
        status = os.fstat(file.fileno())
        record = call.service.records.get(call.key(place), status)
        headers = _file_headers(place, status, record)
        asked = call.request.method == "GET" and (
            "x-ms-range" in call.headers or "range" in call.headers
        )
        start, end = 0, status.st_size
        if asked:
            start, end = _range(call, required=False, size=status.st_size)
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{status.st_size}"
            whole_md5 = headers.pop("Content-MD5", None)
            if whole_md5:
                headers["x-ms-content-md5"] = whole_md5
            if call.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
                if end - start > MAX_BODY_BYTES:
                    raise FilesError("InvalidRange")
                headers["Content-MD5"] = _md5(os.pread(file.fileno(), end - start, start))
        response = web.StreamResponse(status=206 if asked else 200, headers=headers)
        response.content_length = end - start
        await response.prepare(call.request)
        if call.request.method == "HEAD":
            return response
        while start < end:
            block = os.pread(file.fileno(), min(_BLOCK_BYTES, end - start), start)
            if not block:
                # A job cut the file meanwhile: a short answer must not look like a whole one.
                raise ConnectionResetError("the file became shorter while it was sent")
            await response.write(block)
            start += len(block)
        await response.write_eof()
        return response


async def get_metadata(call: Call) -> web.StreamResponse:
    """GET ?comp=metadata."""
    place = call.file()
    return web.Response(
        headers={**change_headers(place.path.stat()), **meta_headers(call.record(place))}
    )


async def set_properties(call: Call) -> web.StreamResponse:
    """PUT ?comp=properties: HTTP headers (those not sent are dropped), times, size."""
    place = call.file()
    size = call.number("x-ms-content-length") if "x-ms-content-length" in call.headers else None
    record = call.record(place)
    if size is not None:
        os.truncate(place.path, size)
    record = call.smb_times(place, replace(record, headers=call.http_headers()))
    call.touch(place)
    status = call.keep(place, record)
    return web.Response(
        headers={
            **change_headers(status),
            **smb_headers(place, status, record),
            "x-ms-request-server-encrypted": "true",
        }
    )


async def set_metadata(call: Call) -> web.StreamResponse:
    """PUT ?comp=metadata replaces all pairs."""
    place = call.file()
    record = replace(call.record(place), metadata=call.metadata())
    call.touch(place)
    status = call.keep(place, record)
    return web.Response(headers={**change_headers(status), "x-ms-request-server-encrypted": "true"})


async def delete_file(call: Call) -> web.StreamResponse:
    """DELETE. A symbolic link that a job made goes itself, never what it points to."""
    place = call.file()
    os.unlink(place.path)
    call.service.records.forget(call.key(place))
    return web.Response(status=202)


async def list_ranges(call: Call) -> web.StreamResponse:
    """GET ?comp=rangelist: where the file holds data, as far as the file system knows."""
    place = call.file()
    with _opened(place) as file:
        status = os.fstat(file.fileno())
        ranges = _data_ranges(file.fileno(), status.st_size)
    rows = "".join(f"<Range><Start>{a}</Start><End>{b - 1}</End></Range>" for a, b in ranges)
    body = f'\ufeff<?xml version="1.0" encoding="utf-8"?><Ranges>{rows}</Ranges>'
    return web.Response(
        body=body.encode(),
        content_type="application/xml",
        headers={**change_headers(status), "x-ms-content-length": str(status.st_size)},
    )


async def copy_file(call: Call) -> web.StreamResponse:
    """PUT with x-ms-copy-source: from the same account, done when the answer arrives."""
    source_call, source = _source(call, call.headers["x-ms-copy-source"])
    if not source.path.is_file():
        raise FilesError("CannotVerifyCopySource")
    place = call.place()
    _refuse_folder(place)
    record = source_call.record(source)
    shutil.copyfile(source.path, place.path)
    if metadata := call.metadata():
        record = replace(record, metadata=metadata)
    call.service.records.forget(call.key(place))
    status = call.keep(place, replace(record, created_at_ns=None))
    return web.Response(
        status=202,
        headers={
            **change_headers(status),
            "x-ms-copy-id": str(uuid.uuid4()),
            "x-ms-copy-status": "success",
            "x-ms-copy-completion-time": formatdate(usegmt=True),
        },
    )


async def rename(call: Call) -> web.StreamResponse:
    """PUT ?comp=rename on the new name; in one step, so nobody sees a half of it."""
    is_folder = call.params.get("restype") == "directory"
    header = call.headers.get("x-ms-file-rename-source")
    if header is None:
        raise FilesError("MissingRequiredHeader", detail=("HeaderName", "x-ms-file-rename-source"))
    source_call, source = _source(call, header)
    if source_call.address.share != call.address.share:
        raise FilesError("InvalidHeaderValue", detail=("HeaderName", "x-ms-file-rename-source"))
    if not (source.path.is_dir() if is_folder else source.path.is_file()):
        raise FilesError("ResourceNotFound")
    place = call.place()
    if not place.parent_exists:
        raise FilesError("ParentNotFound")
    if place.key == source.key:  # only the case changes
        place = replace(place, path=place.path.with_name(call.address.names[-1]))
    elif place.path.is_dir():
        raise FilesError("ResourceAlreadyExists")
    elif place.path.exists():
        replaces = call.headers.get("x-ms-file-rename-replace-if-exists", "false").lower()
        if is_folder or replaces != "true":
            raise FilesError("ResourceAlreadyExists")
    record = source_call.record(source)
    try:
        os.rename(source.path, place.path)
    except OSError as error:  # such as a folder into itself
        raise FilesError("InvalidFileOrDirectoryPathName") from error
    # What is known of a replaced file goes with it; a folder's contents keep theirs.
    call.service.records.move(call.key(source), call.key(place))
    if place.key != source.key:
        call.service.records.forget(call.key(source))
    if metadata := call.metadata():
        record = replace(record, metadata=metadata)
    record = call.smb_times(place, record)
    status = call.keep(place, record)
    return web.Response(headers={**change_headers(status), **smb_headers(place, status, record)})


def _source(call: Call, url: str) -> tuple[Call, Place]:
    """Find what a URL in a header names. Its own authorisation is that of the request.

    One official client leaves the account out of such a URL, so a share may stand first.
    """
    keeps = call.headers.get("x-ms-source-allow-trailing-dot", "").lower() == "true"
    raw_path = urlsplit(url).path
    if not raw_path.lstrip("/").startswith(f"{call.address.account}/"):
        raw_path = f"/{call.address.account}{raw_path}"
    source = replace(call, address=parse_address(raw_path, keep_trailing_dots=keeps))
    return source, source.place()


def _refuse_folder(place: Place) -> None:
    if not place.parent_exists:
        raise FilesError("ParentNotFound")
    if place.path.is_dir() or not place.key:
        raise FilesError("ResourceTypeMismatch")


def _opened(place: Place) -> BinaryIO:
    return open(place.path, "rb")


def _fill(place: Place, size: int, body: bytes) -> None:
    """Create or empty the file, and give it its size and first bytes."""
    descriptor = os.open(place.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with open(descriptor, "wb") as file:
        file.truncate(0)
        file.truncate(size)
        file.write(body)


def _write(place: Place, start: int, body: bytes | None, end: int) -> None:
    """Write `body` at `start`, or zeros up to `end` when there is none."""
    with open(os.open(place.path, os.O_WRONLY | os.O_CLOEXEC), "wb") as file:
        file.seek(start)
        if body is not None:
            file.write(body)
            return
        for position in range(start, end, _BLOCK_BYTES):
            file.write(bytes(min(_BLOCK_BYTES, end - position)))


def _file_headers(place: Place, status: os.stat_result, record: Record) -> dict[str, str]:
    stored = dict(record.headers)
    md5 = stored.pop("content-md5", None)
    return {
        **change_headers(status),
        **smb_headers(place, status, record),
        **meta_headers(record),
        "Content-Type": stored.pop("content-type", "application/octet-stream"),
        **{name.title(): value for name, value in stored.items()},
        **({"Content-MD5": md5} if md5 else {}),
        "Accept-Ranges": "bytes",
        "x-ms-type": "File",
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "true",
    }


async def _body(call: Call) -> bytes:
    """Read the body, 4 MiB at most, and check its MD5 where the client sent one."""
    if (call.request.content_length or 0) > MAX_BODY_BYTES:
        raise FilesError("RequestBodyTooLarge")
    try:
        body = await call.request.read()
    except web.HTTPRequestEntityTooLarge:
        raise FilesError("RequestBodyTooLarge") from None
    wanted = call.headers.get("content-md5")
    if wanted and wanted != _md5(body):
        raise FilesError("Md5Mismatch")
    return body


def _range(call: Call, *, required: bool, size: int | None = None) -> tuple[int, int]:
    """Return the range asked for as [start, end), cut at `size` when that is given."""
    text = call.headers.get("x-ms-range") or call.headers.get("range") or ""
    if required and not text:
        raise FilesError("MissingRequiredHeader", detail=("HeaderName", "x-ms-range"))
    match = _RANGE.fullmatch(text)
    if not match or (size is None and not match[2]):
        raise FilesError("InvalidHeaderValue", detail=("HeaderName", "x-ms-range"))
    start = int(match[1])
    end = int(match[2]) + 1 if match[2] else (size or 0)
    if end <= start or (size is not None and start >= size):
        raise FilesError("InvalidRange")
    return start, end if size is None else min(end, size)


def _data_ranges(descriptor: int, size: int) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError:  # only a hole is left
            break
        ranges.append((start, min(position, size)))
    return ranges


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
