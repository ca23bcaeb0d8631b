"""Bearer tokens: signed with a key of our own, checked on every ARM request."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from azurebox.atomic import write_private
from azurebox.errors import ArmError
from azurebox.state import Identity

# Audiences that ARM itself takes, with and without a slash at the end.
ARM_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
STORAGE_AUDIENCE = "https://storage.azure.com"
# Resources a token may be asked for.
RESOURCES = (*ARM_AUDIENCES, STORAGE_AUDIENCE, "https://api.loganalytics.io")
LIFETIME_S = 3599


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Our RSA key and the name (`kid`) it is published under."""

    key: rsa.RSAPrivateKey
    kid: str

    @classmethod
    def load(cls, file: Path) -> SigningKey:
        """Read the key, or make it: tokens stay good across restarts."""
        try:
            key = serialization.load_pem_private_key(file.read_bytes(), None)
        except (OSError, ValueError):
            key = None
        if not isinstance(key, rsa.RSAPrivateKey):
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(
                file,
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
            )
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(key, base64.urlsafe_b64encode(hashlib.sha256(public).digest())[:27].decode())

    def jwks(self) -> dict[str, Any]:
        """The public half as a JSON Web Key Set."""
        numbers = self.key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        key = {"kty": "RSA", "n": _base64url(numbers.n, size), "e": _base64url(numbers.e, 3)}
        return {"keys": [{**key, "use": "sig", "kid": self.kid, "x5t": self.kid}]}


def _base64url(number: int, size: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


class Tokens:
    """Issues and checks tokens.

    `lifetime_s` may be set; `revoke()` makes every token issued until now a bad one, as when a
    session is taken away in Entra.
    """

    def __init__(self, key: SigningKey, identity: Identity) -> None:
        self._key = key
        self._identity = identity
        self._revoked_until = 0.0
        self.lifetime_s = LIFETIME_S

    def issue(self, resource: str, now: float | None = None) -> str:
        """A token of the service principal for `resource` (an audience)."""
        now = time.time() if now is None else now
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{self._identity.tenant_id}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now) + self.lifetime_s,
            "appid": self._identity.client_id,
            "appidacr": "1",
            "idtyp": "app",
            "oid": self._identity.client_id,
            "sub": self._identity.client_id,
            "tid": self._identity.tenant_id,
            "uti": base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode(),
            "ver": "1.0",
            "issued_exactly": now,
        }
        return jwt.encode(claims, self._key.key, algorithm="RS256", headers={"kid": self._key.kid})

    def revoke(self, now: float | None = None) -> None:
        """Take all tokens issued so far away."""
        self._revoked_until = time.time() if now is None else now

    def check(self, authorization: str | None) -> None:
        """Raises: ArmError(401) in ARM's words, with the challenge that azure-identity reads."""
        scheme, _, token = (authorization or "").partition(" ")
        if not token or scheme.lower() != "bearer":
            raise self._refusal(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
            )
        try:
            claims = self._claims(token)
        except jwt.ExpiredSignatureError as error:
            raise self._refusal(
                "ExpiredAuthenticationToken",
                "The access token expiry UTC time is earlier than current UTC time"
                f" '{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}'.",
            ) from error
        except jwt.InvalidTokenError as error:
            raise self._refusal(
                "InvalidAuthenticationToken", "The access token is invalid."
            ) from error
        if str(claims["aud"]).rstrip("/") not in ARM_AUDIENCES:
            raise self._refusal(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource"
                f" '{claims['aud']}'. It should exactly match with one of the allowed audiences"
                f" {', '.join(repr(a) for a in ARM_AUDIENCES)}.",
            )
        if self._is_revoked(claims):
            raise self._refusal(
                "TokenIssuedBeforeRevocationTimestamp",
                "The access token was revoked. Ask for a new one.",
                claims={
                    "access_token": {"nbf": {"essential": True, "value": str(int(time.time()))}}
                },
            )

    def opens_storage(self, token: str) -> bool:
        """Whether Azure Files takes the token."""
        try:
            claims = self._claims(token)
        except jwt.InvalidTokenError:
            return False
        return claims["aud"] == STORAGE_AUDIENCE and not self._is_revoked(claims)

    def _claims(self, token: str) -> dict[str, Any]:
        """Raises: jwt.InvalidTokenError for a token that is not ours or has expired."""
        return jwt.decode(
            token,
            self._key.key.public_key(),
            algorithms=["RS256"],
            options={"verify_aud": False, "require": ["exp", "aud", "iat"]},
        )

    def _is_revoked(self, claims: dict[str, Any]) -> bool:
        return float(claims.get("issued_exactly", claims["iat"])) <= self._revoked_until

    def _refusal(self, code: str, message: str, claims: dict[str, Any] | None = None) -> ArmError:
        """A 401; with `claims`, the client is told to fetch a fresh token and try once more.

        Source: azure.mgmt.core ARMChallengeAuthenticationPolicy reads `claims` (base64 JSON).
        """
        kind = "insufficient_claims" if claims else "invalid_token"
        parts = [
            f'Bearer authorization_uri="https://login.windows.net/{self._identity.tenant_id}"',
            f'error="{kind}"',
            f'error_description="{message}"',
        ]
        if claims:
            coded = base64.b64encode(json.dumps(claims).encode()).decode()
            parts.append(f'claims="{coded}"')
        return ArmError(401, code, message, headers={"WWW-Authenticate": ", ".join(parts)})
