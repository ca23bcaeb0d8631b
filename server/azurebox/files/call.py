"""One request on its way: where it points, what it says, and what its answers have in common."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from azurebox.files import times
from azurebox.files.auth import Gate
from azurebox.files.errors import FilesError
from azurebox.files.paths import Address, Place, locate
from azurebox.files.records import Key, Record, Records, with_created

MAX_BODY_BYTES = 4 * 1024 * 1024
# One permission for everything: whoever may enter may do all, as an account key may.
PERMISSION_KEY = "13844945817214152611*7531083576209147693"


@dataclass(frozen=True, slots=True)
class Service:
    """All shares: folder `root`/account/share each, written by jobs at the same time."""

    root: Path
    records: Records
    gate: Gate


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in. `params` and `headers` have their names in lower case."""

    service: Service
    request: web.Request
    address: Address
    params: Mapping[str, str]
    headers: Mapping[str, str]

    def share_folder(self) -> Path:
        """Return the share's folder. Raises: FilesError("ShareNotFound")."""
        folder = self.service.root / self.address.account / self.address.share
        if not folder.is_dir():
            raise FilesError("ShareNotFound")
        return folder

    def place(self, names: tuple[str, ...] | None = None) -> Place:
        """Find what the address (or `names` in its share) points to, existing or not.

        Raises: FilesError("ShareNotFound"), and "InvalidFileOrDirectoryPathName" for a way that a
        symbolic link leads out of the share.
        """
        place = locate(self.share_folder(), self.address.names if names is None else names)
        if place.escapes:
            raise FilesError("InvalidFileOrDirectoryPathName")
        return place

    def folder(self) -> Place:
        """Return the place of an existing folder. Raises: FilesError("ResourceNotFound")."""
        place = self.place()
        if not place.path.is_dir():
            raise FilesError("ResourceNotFound")
        return place

    def file(self) -> Place:
        """Return the place of an existing file. Raises: FilesError("ResourceNotFound")."""
        place = self.place()
        if not place.path.is_file():
            raise FilesError("ParentNotFound" if not place.parent_exists else "ResourceNotFound")
        return place

    def key(self, place: Place) -> Key:
        """Return the name of a place's record."""
        return Key(self.address.account, self.address.share, place.key)

    def record(self, place: Place) -> Record:
        """Return what is kept beside the file; empty when another process changed it."""
        return self.service.records.get(self.key(place), place.path.stat())

    def keep(self, place: Place, record: Record) -> os.stat_result:
        """Keep `record` for the file as it is now, and return the file's status."""
        status = place.path.stat()
        self.service.records.put(self.key(place), status, with_created(record, time.time_ns()))
        return status

    def touch(self, place: Place) -> None:
        """Move the time of change, and so the ETag, without the time of the last write."""
        status = place.path.stat()
        os.utime(place.path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def metadata(self) -> dict[str, str]:
        """Return the request's x-ms-meta-* pairs."""
        prefix = "x-ms-meta-"
        return {
            name[len(prefix) :]: value
            for name, value in self.headers.items()
            if name.startswith(prefix)
        }

    def http_headers(self) -> dict[str, str]:
        """Return the HTTP headers to store with a file, under the names they are sent back by."""
        names = ("type", "encoding", "language", "disposition", "md5")
        stored = {
            f"content-{name}": self.headers[f"x-ms-content-{name}"]
            for name in names
            if f"x-ms-content-{name}" in self.headers
        }
        if "x-ms-cache-control" in self.headers:
            stored["cache-control"] = self.headers["x-ms-cache-control"]
        return stored

    def number(self, header: str) -> int:
        """Return a header that must hold a number that is not negative.

        Raises: FilesError("MissingRequiredHeader" | "InvalidHeaderValue").
        """
        text = self.headers.get(header)
        if text is None:
            raise FilesError("MissingRequiredHeader", detail=("HeaderName", header))
        if not text.isascii() or not text.isdigit():
            raise FilesError("InvalidHeaderValue", detail=("HeaderName", header))
        return int(text)

    def smb_times(self, place: Place, record: Record) -> Record:
        """Apply x-ms-file-last-write-time and -creation-time; return the record with the latter."""
        created = self.headers.get("x-ms-file-creation-time", "preserve")
        if created.lower() not in ("preserve", "now"):
            record = replace(record, created_at_ns=times.parse_iso(created))
        written = self.headers.get("x-ms-file-last-write-time", "preserve")
        if written.lower() not in ("preserve", "now"):
            written_ns = times.parse_iso(written)
            os.utime(place.path, ns=(written_ns, written_ns))
        attributes = self.headers.get("x-ms-file-attributes", "preserve")
        if attributes.lower() not in ("preserve", "none"):
            record = replace(record, attributes=attributes)
        return record


def change_headers(status: os.stat_result) -> dict[str, str]:
    """Return ETag and Last-Modified."""
    changed_ns = times.change_ns(status)
    return {"ETag": times.etag(changed_ns), "Last-Modified": times.http_date(changed_ns)}


def smb_headers(place: Place, status: os.stat_result, record: Record) -> dict[str, str]:
    """Return the x-ms-file-* headers that every answer about a file or folder carries."""
    is_folder = place.path.is_dir()
    created_ns = record.created_at_ns or min(status.st_mtime_ns, status.st_ctime_ns)
    return {
        "x-ms-file-attributes": record.attributes or ("Directory" if is_folder else "Archive"),
        "x-ms-file-creation-time": times.iso(created_ns),
        "x-ms-file-last-write-time": times.iso(status.st_mtime_ns),
        "x-ms-file-change-time": times.iso(times.change_ns(status)),
        "x-ms-file-id": str(status.st_ino) if place.key else "0",
        "x-ms-file-parent-id": str(place.path.parent.stat().st_ino) if "/" in place.key else "0",
        "x-ms-file-permission-key": PERMISSION_KEY,
    }


def meta_headers(record: Record) -> dict[str, str]:
    """Return the stored metadata as headers."""
    return {f"x-ms-meta-{name}": value for name, value in record.metadata.items()}
