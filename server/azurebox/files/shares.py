"""Operations on shares: create, look at, change, delete, list."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from azurebox.files import times
from azurebox.files.call import Call, change_headers, meta_headers
from azurebox.files.errors import FilesError
from azurebox.files.records import Key, Record

DEFAULT_QUOTA_GIB = "102400"
DEFAULT_TIER = "TransactionOptimized"
_KEPT = ("x-ms-share-quota", "x-ms-access-tier")


async def create_share(call: Call) -> web.StreamResponse:
    """PUT ?restype=share: a folder, made by exactly one of several callers."""
    folder = call.service.root / call.address.account / call.address.share
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        raise FilesError("ShareAlreadyExists") from None
    place = call.place(())
    call.service.records.forget(call.key(place))
    status = call.keep(place, Record(call.metadata(), _kept(call)))
    return web.Response(status=201, headers=change_headers(status))


async def get_share(call: Call) -> web.StreamResponse:
    """GET ?restype=share, also with comp=metadata."""
    place = call.place(())
    record = call.record(place)
    return web.Response(
        headers={
            **change_headers(place.path.stat()),
            **meta_headers(record),
            "x-ms-share-quota": record.headers.get("x-ms-share-quota", DEFAULT_QUOTA_GIB),
            "x-ms-access-tier": record.headers.get("x-ms-access-tier", DEFAULT_TIER),
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
            "x-ms-has-immutability-policy": "false",
            "x-ms-has-legal-hold": "false",
        }
    )


async def set_share_properties(call: Call) -> web.StreamResponse:
    """PUT ?restype=share&comp=properties: quota and tier."""
    place = call.place(())
    record = call.record(place)
    status = call.keep(place, replace(record, headers=record.headers | _kept(call)))
    return web.Response(headers=change_headers(status))


async def set_share_metadata(call: Call) -> web.StreamResponse:
    """PUT ?restype=share&comp=metadata replaces all pairs."""
    place = call.place(())
    status = call.keep(place, replace(call.record(place), metadata=call.metadata()))
    return web.Response(headers=change_headers(status))


async def delete_share(call: Call) -> web.StreamResponse:
    """DELETE ?restype=share: the share and all that is in it."""
    place = call.place(())
    shutil.rmtree(place.path)
    call.service.records.forget(call.key(place))
    return web.Response(status=202)


async def list_shares(call: Call) -> web.StreamResponse:
    """GET /?comp=list."""
    account = call.address.account
    prefix = call.params.get("prefix", "")
    with_metadata = "metadata" in call.params.get("include", "").lower().split(",")
    folder = call.service.root / account
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir()) if folder.is_dir() else []
    shares = ""
    for name in names:
        if not name.startswith(prefix):
            continue
        status = (folder / name).stat()
        record = call.service.records.get(Key(account, name, ""), status)
        changed_ns = times.change_ns(status)
        quota = record.headers.get("x-ms-share-quota", DEFAULT_QUOTA_GIB)
        tier = record.headers.get("x-ms-access-tier", DEFAULT_TIER)
        pairs = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in record.metadata.items())
        shares += (
            f"<Share><Name>{name}</Name><Properties>"
            f"<Last-Modified>{times.http_date(changed_ns)}</Last-Modified>"
            f"<Etag>{times.etag(changed_ns)}</Etag>"
            "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
            f"<Quota>{quota}</Quota><AccessTier>{escape(tier)}</AccessTier></Properties>"
            + (f"<Metadata>{pairs}</Metadata>" if with_metadata else "")
            + "</Share>"
        )
    endpoint = quoteattr(str(call.request.url.origin()) + f"/{account}/")
    body = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?>'
        f"<EnumerationResults ServiceEndpoint={endpoint}><Shares>{shares}</Shares>"
        "<NextMarker /></EnumerationResults>"
    )
    return web.Response(body=body.encode(), content_type="application/xml")


def _kept(call: Call) -> dict[str, str]:
    return {name: call.headers[name] for name in _KEPT if name in call.headers}
