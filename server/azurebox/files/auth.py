"""Who may ask: account keys (SharedKey), shared access signatures, and bearer tokens.

Source: "Authorize with Shared Key", "Create an account SAS" and "Create a service SAS" of the
service's documentation; the orders of fields were checked against the official SDKs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from azurebox.files.errors import FilesError

MAX_CLOCK_SKEW = timedelta(minutes=15)
_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as far as signatures see it.

    `raw_path` is percent-encoded as sent. `headers`: names in lower case. `needs`: the letter of
    the permission a SAS must grant (r, c, w, d, l). `level`: what is asked for: the account
    "s", the share itself "c" or something inside "o".
    """

    method: str
    raw_path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    account: str
    share: str
    path: str
    needs: str
    level: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests in. `accounts`: keys in base64 by account, None for an unknown account."""

    accounts: Callable[[str], list[str] | None]
    verify_token: Callable[[str], bool] | None

    def admit(self, asked: Asked) -> None:
        """Return when the request may go on. Raises: FilesError with the service's refusal."""
        keys = self.accounts(asked.account)
        if keys is None:
            raise _failed(f"There is no storage account named '{asked.account}'.")
        scheme, _, credentials = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "sharedkey":
            _check_shared_key(asked, credentials.strip(), keys)
        elif scheme.lower() == "bearer":
            self._check_token(asked, credentials.strip())
        elif scheme:
            raise _failed(f"Authentication scheme {scheme} is not supported.")
        elif "sig" in asked.params:
            _check_sas(asked, keys)
        else:
            raise FilesError("NoAuthenticationInformation", headers=_challenge())

    def _check_token(self, asked: Asked, token: str) -> None:
        if self.verify_token is None or not self.verify_token(token):
            raise FilesError("InvalidAuthenticationInfo", headers=_challenge())
        intent = asked.headers.get("x-ms-file-request-intent", "")
        if asked.level == "o" and intent.lower() != "backup":
            raise FilesError(
                "MissingRequiredHeader", detail=("HeaderName", "x-ms-file-request-intent")
            )


def string_to_sign(asked: Asked, *, cultural_order: bool) -> str:
    """Return what a client with the account's key signs.

    `cultural_order` sorts x-ms-* headers as the service does, where hyphens do not count; some
    clients sort by code point. Path-style addresses name the account twice.
    """
    headers = asked.headers
    length = headers.get("content-length", "")
    fields = [
        asked.method,
        *(
            ("" if length == "0" else length) if name == "content-length" else headers.get(name, "")
            for name in _SIGNED_HEADERS
        ),
    ]
    names = sorted(name for name in headers if name.startswith("x-ms-"))
    if cultural_order:
        names.sort(key=lambda name: name.replace("-", "").replace("_", " "))
    lines = [f"{name}:{headers[name].strip()}" for name in names]
    query = [f"{name.lower()}:{value}" for name, value in sorted(asked.params.items())]
    return "\n".join([*fields, *lines, f"/{asked.account}{asked.raw_path}", *query])


def sign(key: str, text: str) -> str:
    """Return the HMAC-SHA256 of the text in base64. `key`: base64."""
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _is_equal(wanted: str, given: str) -> bool:
    """Compare in constant time; what is given may hold any character."""
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "surrogateescape"))


def _check_shared_key(asked: Asked, credentials: str, keys: list[str]) -> None:
    account, _, signature = credentials.partition(":")
    if account != asked.account:
        raise _failed("The account of the Authorization header is not the one of the address.")
    _check_date(asked)
    wanted = [
        string_to_sign(asked, cultural_order=True),
        string_to_sign(asked, cultural_order=False),
    ]
    if not any(_is_equal(sign(key, text), signature) for key in keys for text in wanted):
        raise _failed(
            f"The MAC signature found in the HTTP request '{signature}' is not the same as any "
            f"computed signature. Server used following string to sign: '{wanted[0]}'."
        )


def _check_date(asked: Asked) -> None:
    text = asked.headers.get("x-ms-date") or asked.headers.get("date")
    try:
        age = datetime.now(UTC) - parsedate_to_datetime(text or "")
    except (ValueError, TypeError):  # TypeError: a time of no zone
        raise _failed("Date or x-ms-date is missing or is no HTTP date.") from None
    if abs(age) > MAX_CLOCK_SKEW:
        raise _failed(f"Request date header too old: '{text}'")


def _check_sas(asked: Asked, keys: list[str]) -> None:
    """Check a shared access signature: of the account (ss, srt) or of a share or file (sr)."""
    p = asked.params
    if "skoid" in p:
        raise _failed("User delegation signatures are not supported here.")
    text = _account_sas_text(asked) if "srt" in p else _service_sas_text(asked)
    if not any(_is_equal(sign(key, text), p["sig"]) for key in keys):
        raise _failed(
            f"Signature did not match. String to sign used was {text}",
        )
    now = datetime.now(UTC)
    if ("st" in p and now + MAX_CLOCK_SKEW < _time(p["st"])) or now > _time(p.get("se", "")):
        raise _failed(
            f"Signed expiry time [{p.get('se')}] must be after signed start time [{p.get('st')}]"
            " and both must enclose the present"
        )
    if "srt" in p:
        if "f" not in p.get("ss", ""):
            raise FilesError("AuthorizationServiceMismatch")
        if asked.level not in p["srt"]:
            raise FilesError("AuthorizationResourceTypeMismatch")
    elif asked.level == "s" or (asked.level == "c" and p.get("sr") != "s"):
        raise FilesError("AuthorizationResourceTypeMismatch")
    granted = p.get("sp", "")
    # To write includes to create, as in the service.
    if asked.needs not in granted and not (asked.needs == "c" and "w" in granted):
        raise FilesError("AuthorizationPermissionMismatch")


def _account_sas_text(asked: Asked) -> str:
    p = asked.params
    names = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")
    return "\n".join([asked.account, *(p.get(name, "") for name in names), ""])


def _service_sas_text(asked: Asked) -> str:
    p = asked.params
    resource = f"/file/{asked.account}/{asked.share}"
    if p.get("sr") == "f":
        resource += f"/{asked.path}"
    fields = [p.get("sp", ""), p.get("st", ""), p.get("se", ""), resource]
    fields += [p.get(name, "") for name in ("si", "sip", "spr", "sv")]
    fields += [p.get(name, "") for name in ("rscc", "rscd", "rsce", "rscl", "rsct")]
    return "\n".join(fields)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(unquote(text))
    except ValueError:
        raise _failed(f"'{text}' is no time") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _failed(detail: str) -> FilesError:
    return FilesError("AuthenticationFailed", detail=("AuthenticationErrorDetail", detail))


def _challenge() -> dict[str, str]:
    return {
        "WWW-Authenticate": "Bearer authorization_uri="
        "https://login.microsoftonline.com/common/oauth2/authorize "
        "resource_id=https://storage.azure.com"
    }
