"""Errors as the Azure Files service sends them: XML with a byte order mark, and x-ms-error-code.

Source: recorded traffic of the service (2024), the service's list of error codes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.sax.saxutils import escape

from aiohttp import web

_TABLE: dict[str, tuple[int, str]] = {
    "AuthenticationFailed": (
        403,
        "Server failed to authenticate the request. Make sure the value of Authorization header "
        "is formed correctly including the signature.",
    ),
    "AuthorizationPermissionMismatch": (
        403,
        "This request is not authorized to perform this operation using this permission.",
    ),
    "AuthorizationResourceTypeMismatch": (
        403,
        "This request is not authorized to perform this operation using this resource type.",
    ),
    "AuthorizationServiceMismatch": (
        403,
        "This request is not authorized to perform this operation using this service.",
    ),
    "CannotVerifyCopySource": (404, "The specified resource does not exist."),
    "DirectoryNotEmpty": (409, "The specified directory is not empty."),
    "InvalidFileOrDirectoryPathName": (
        400,
        "The specifed resource name contains invalid characters.",
    ),
    "InvalidHeaderValue": (
        400,
        "The value for one of the HTTP headers is not in the correct format.",
    ),
    "InvalidQueryParameterValue": (
        400,
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
    "InvalidRange": (
        416,
        "The range specified is invalid for the current size of the resource.",
    ),
    "InvalidResourceName": (400, "The specifed resource name contains invalid characters."),
    "Md5Mismatch": (
        400,
        "The MD5 value specified in the request did not match with the MD5 value calculated by "
        "the server.",
    ),
    "MissingContentLengthHeader": (411, "Content-Length HTTP header is required."),
    "MissingRequiredHeader": (
        400,
        "An HTTP header that's mandatory for this request is not specified.",
    ),
    "NoAuthenticationInformation": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the "
        "www-authenticate header.",
    ),
    "InvalidAuthenticationInfo": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the "
        "www-authenticate header.",
    ),
    "NotImplemented": (501, "The requested operation is not implemented on the server."),
    "OutOfRangeQueryParameterValue": (
        400,
        "One of the query parameters specified in the request URI is outside the permissible "
        "range.",
    ),
    "OutOfRangeInput": (400, "One of the request inputs is out of range."),
    "ParentNotFound": (404, "The specified parent path does not exist."),
    "RequestBodyTooLarge": (
        413,
        "The request body is too large and exceeds the maximum permissible limit.",
    ),
    "ResourceAlreadyExists": (409, "The specified resource already exists."),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "ResourceTypeMismatch": (
        409,
        "The specified resource type does not match the type of the existing resource.",
    ),
    "ShareAlreadyExists": (409, "The specified share already exists."),
    "ShareNotFound": (404, "The specified share does not exist."),
    "SharingViolation": (
        409,
        "The specified resource may be in use by an SMB client.",
    ),
    "InsufficientAccountPermissions": (
        403,
        "The account being accessed does not have sufficient permissions to execute this "
        "operation.",
    ),
    "InternalError": (
        500,
        "Server encountered an internal error. Please try again after some time.",
    ),
}


class FilesError(Exception):
    """A refusal with the service's code; its status and sentence come from one table.

    `detail` goes into an element of its own (name, text); `headers` are added to the answer.
    """

    def __init__(
        self,
        code: str,
        *,
        detail: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
        message: str | None = None,
    ) -> None:
        self.status, sentence = _TABLE[code]
        self.message = message or sentence
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        super().__init__(f"{code}: {self.message}")


def error_response(error: FilesError, request_id: str, *, with_body: bool) -> web.Response:
    """Return the answer; a HEAD has no body, so the code stands in the header alone."""
    headers = {"x-ms-error-code": error.code, **error.headers}
    if not with_body:
        return web.Response(status=error.status, reason=error.message, headers=headers)
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
    message = escape(f"{error.message}\nRequestId:{request_id}\nTime:{time}")
    detail = ""
    if error.detail:
        name, text = error.detail
        detail = f"<{name}>{escape(text)}</{name}>"
    body = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{error.code}</Code><Message>{message}</Message>{detail}</Error>"
    )
    return web.Response(
        status=error.status,
        reason=error.message,
        headers=headers,
        body=body.encode(),
        content_type="application/xml",
    )
