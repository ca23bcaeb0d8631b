"""Operations on folders of a share: create, look at, change, delete, rename, list."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass, replace
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from azurebox.files import times
from azurebox.files.call import PERMISSION_KEY, Call, change_headers, meta_headers, smb_headers
from azurebox.files.errors import FilesError
from azurebox.files.records import Key, Record

MAX_RESULTS = 5000
# What XML 1.0 cannot hold, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


async def create_directory(call: Call) -> web.StreamResponse:
    """PUT ?restype=directory. Of several callers at once exactly one gets 201."""
    place = call.place()
    if not place.parent_exists:
        raise FilesError("ParentNotFound")
    try:
        os.mkdir(place.path)
    except FileExistsError:
        raise FilesError("ResourceAlreadyExists") from None
    call.service.records.forget(call.key(place))
    record = call.smb_times(place, Record(call.metadata()))
    status = call.keep(place, record)
    return web.Response(
        status=201,
        headers={
            **change_headers(status),
            **smb_headers(place, status, call.record(place)),
            "x-ms-request-server-encrypted": "true",
        },
    )


async def get_directory(call: Call) -> web.StreamResponse:
    """GET or HEAD ?restype=directory, also with comp=metadata."""
    place = call.folder()
    record, status = call.record(place), place.path.stat()
    return web.Response(
        headers={
            **change_headers(status),
            **smb_headers(place, status, record),
            **meta_headers(record),
            "x-ms-server-encrypted": "true",
        }
    )


async def set_directory_metadata(call: Call) -> web.StreamResponse:
    """PUT ?restype=directory&comp=metadata replaces all pairs."""
    place = call.folder()
    record = replace(call.record(place), metadata=call.metadata())
    call.touch(place)
    status = call.keep(place, record)
    return web.Response(headers={**change_headers(status), "x-ms-request-server-encrypted": "true"})


async def set_directory_properties(call: Call) -> web.StreamResponse:
    """PUT ?restype=directory&comp=properties: times and attributes."""
    place = call.folder()
    record = call.smb_times(place, call.record(place))
    call.touch(place)
    status = call.keep(place, record)
    return web.Response(
        headers={
            **change_headers(status),
            **smb_headers(place, status, record),
            "x-ms-request-server-encrypted": "true",
        }
    )


async def delete_directory(call: Call) -> web.StreamResponse:
    """DELETE ?restype=directory: only an empty one."""
    place = call.folder()
    if not place.key:
        raise FilesError("InvalidFileOrDirectoryPathName")
    try:
        os.rmdir(place.path)
    except FileNotFoundError:
        raise FilesError("ResourceNotFound") from None
    except OSError:
        raise FilesError("DirectoryNotEmpty") from None
    call.service.records.forget(call.key(place))
    return web.Response(status=202)


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    is_folder: bool
    status: os.stat_result

    @property
    def order(self) -> tuple[str, str]:
        return (self.name.casefold(), self.name)


async def list_directory(call: Call) -> web.StreamResponse:
    """GET ?restype=directory&comp=list: entries by name, in pages.

    The marker names the first entry of the next page, so a folder may change between two pages and
    what was there all the time is still listed exactly once.
    """
    place = call.folder()
    entries = sorted(_scan(call, place.path), key=lambda entry: entry.order)
    if prefix := call.params.get("prefix", "").casefold():
        entries = [entry for entry in entries if entry.name.casefold().startswith(prefix)]
    if marker := call.params.get("marker", ""):
        first = _unmark(marker)
        entries = [entry for entry in entries if entry.order >= (first.casefold(), first)]
    limit = _max_results(call)
    page, rest = entries[:limit], entries[limit:]
    include = {part.strip() for part in call.params.get("include", "").lower().split(",")}
    extended = call.headers.get("x-ms-file-extended-info", "").lower() == "true" or include - {""}
    rows = "".join(_row(call, place.key, entry, include, bool(extended)) for entry in page)
    next_marker = f"<NextMarker>{_mark(rest[0].name)}</NextMarker>" if rest else "<NextMarker />"
    account, share = call.address.account, call.address.share
    endpoint = f"{call.request.url.origin()}/{account}/"
    directory = "/".join(call.address.names)
    asked = f"<MaxResults>{limit}</MaxResults>" if "maxresults" in call.params else ""
    folder_id = place.path.stat().st_ino if place.key else 0
    body = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?>'
        f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint)} ShareName={quoteattr(share)}"
        f" DirectoryPath={quoteattr(directory)}>"
        f"{asked}<DirectoryId>{folder_id}</DirectoryId>"
        f"<Entries>{rows}</Entries>{next_marker}</EnumerationResults>"
    )
    return web.Response(body=body.encode(), content_type="application/xml")


def _scan(call: Call, folder: os.PathLike[str]) -> list[_Entry]:
    share = os.path.realpath(call.share_folder()) + os.sep
    entries: list[_Entry] = []
    with os.scandir(folder) as found:
        for item in found:
            if item.is_symlink() and not os.path.realpath(item.path).startswith(share):
                continue  # leads out of the share: for the service it is not there
            try:
                if item.is_dir() or item.is_file():
                    entries.append(_Entry(item.name, item.is_dir(), item.stat()))
            except FileNotFoundError:
                continue  # a job deleted it meanwhile
    return entries


def _row(call: Call, folder_key: str, entry: _Entry, include: set[str], extended: bool) -> str:
    kind = "Directory" if entry.is_folder else "File"
    status = entry.status
    if _NO_XML.search(entry.name):
        name = f'<Name Encoded="true">{quote(entry.name)}</Name>'
    else:
        name = f"<Name>{escape(entry.name)}</Name>"
    properties = "" if entry.is_folder else f"<Content-Length>{status.st_size}</Content-Length>"
    changed_ns = times.change_ns(status)
    if "timestamps" in include:
        path = f"{folder_key}/{entry.name}".lstrip("/").casefold()
        key = Key(call.address.account, call.address.share, path)
        created_ns = call.service.records.get(key, status).created_at_ns
        created_ns = created_ns or min(status.st_mtime_ns, status.st_ctime_ns)
        properties += (
            f"<CreationTime>{times.iso(created_ns)}</CreationTime>"
            f"<LastAccessTime>{times.iso(status.st_atime_ns)}</LastAccessTime>"
            f"<LastWriteTime>{times.iso(status.st_mtime_ns)}</LastWriteTime>"
            f"<ChangeTime>{times.iso(changed_ns)}</ChangeTime>"
            f"<Last-Modified>{times.http_date(changed_ns)}</Last-Modified>"
        )
    if "etag" in include:
        properties += f"<Etag>{escape(times.etag(changed_ns))}</Etag>"
    file_id = f"<FileId>{status.st_ino}</FileId>" if extended else ""
    attributes = kind if entry.is_folder else "Archive"
    return (
        f"<{kind}>{name}{file_id}<Properties>{properties}</Properties>"
        + (f"<Attributes>{attributes}</Attributes>" if "attributes" in include else "")
        + (f"<PermissionKey>{PERMISSION_KEY}</PermissionKey>" if "permissionkey" in include else "")
        + f"</{kind}>"
    )


def _max_results(call: Call) -> int:
    text = call.params.get("maxresults", str(MAX_RESULTS))
    if not text.isascii() or not text.isdigit():
        raise FilesError("InvalidQueryParameterValue")
    if int(text) < 1:
        raise FilesError("OutOfRangeQueryParameterValue")
    return min(int(text), MAX_RESULTS)


def _mark(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode("utf-8", "surrogateescape")).decode()


def _unmark(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        raise FilesError("InvalidQueryParameterValue") from None
