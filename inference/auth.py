"""Who may ask: a bearer key for programs, a link that works once and then a cookie for browsers.

Links and cookies are signed with keys derived from the API key, so nothing is stored, a restart
signs nobody out, and a new API key signs everybody out. Which links were used is known to one
process only, so each takes none that is older than itself. Standard library only.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

LINK_SECONDS = 60
SESSION_SECONDS = 12 * 3600


class Keyring:
    """Checks keys, makes and redeems links, signs and checks sessions. Used by one event loop."""

    def __init__(self, api_key: str, now: Callable[[], float] = time.time) -> None:
        self._api_key = api_key.encode()
        self._now = now
        self._started_at = int(now())
        self._redeemed: dict[str, float] = {}
        # Browsers do not tell ports apart: two apps on one host must not share a cookie's name.
        self.cookie_name = f"tunesmith-{self._sign('cookie')[:12]}"

    def is_key(self, authorization: str) -> bool:
        """Tell whether an Authorization header carries the API key, in equal time for all keys."""
        scheme, _, key = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            key.strip().encode(), self._api_key
        )

    def make_link(self) -> str:
        """Return a token that `redeem_link` takes once within LINK_SECONDS."""
        return self._make_token("link", LINK_SECONDS)

    def redeem_link(self, token: str) -> str | None:
        """Return a session for a link that was not used yet, None for any other."""
        expires_at = self._expiry(token, "link")
        if expires_at is None or token in self._redeemed:
            return None
        if expires_at - LINK_SECONDS < self._started_at:
            return None  # a process before this one may have taken it
        self._redeemed = {
            old: until for old, until in self._redeemed.items() if until > self._now()
        }
        self._redeemed[token] = expires_at
        return self._make_token("session", SESSION_SECONDS)

    def is_session(self, cookie_header: str) -> bool:
        """Tell whether a Cookie header carries a session that is signed and not over."""
        try:
            cookie = SimpleCookie(cookie_header).get(self.cookie_name)
        except CookieError:
            return False
        return cookie is not None and self._expiry(cookie.value, "session") is not None

    def _make_token(self, purpose: str, seconds: int) -> str:
        body = f"{int(self._now()) + seconds}-{secrets.token_hex(16)}"
        return f"{body}-{self._sign(f'{purpose}-{body}')}"

    def _expiry(self, token: str, purpose: str) -> float | None:
        """Return when the token ends, None when it has ended or was not signed here."""
        body, _, signature = token.rpartition("-")
        if not hmac.compare_digest(signature.encode(), self._sign(f"{purpose}-{body}").encode()):
            return None
        expires_at = float(body.partition("-")[0])
        return expires_at if expires_at > self._now() else None

    def _sign(self, text: str) -> str:
        return hmac.new(self._api_key, text.encode(), hashlib.sha256).hexdigest()
