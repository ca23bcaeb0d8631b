"""The state folder: who this azurebox is, which ports it had, and the lock that keeps it single."""

from __future__ import annotations

import json
import secrets
import sqlite3
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, cast

from azurebox.atomic import write_private


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the three listeners; 0 is one not chosen yet."""

    arm: int = 0
    files: int = 0
    http: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same across restarts. `client_secret` never leaves this file but by design:
    in `azurebox.json`, whose reader may do everything here anyway."""

    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str = field(repr=False)
    ports: Ports = Ports()


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths in the state folder."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make the folder, closed to other users.

        Raises: OSError when it cannot be made.
        """
        root = root.expanduser().absolute()
        root.mkdir(parents=True, exist_ok=True)
        # Whoever starts azurebox may have made the folder, and the store in it holds keys.
        root.chmod(0o700)
        return cls(root)

    @property
    def info_file(self) -> Path:
        """The addresses and credentials of the azurebox that runs or ran last."""
        return self.root / "azurebox.json"

    @property
    def store_file(self) -> Path:
        """The resources."""
        return self.root / "resources.sqlite3"

    @property
    def files(self) -> Path:
        """Folders <account>/<share>."""
        return self.root / "files"

    @property
    def containers(self) -> Path:
        """The runtime's folder."""
        return self.root / "containers"

    @property
    def keys(self) -> Path:
        """Certificates and signing keys."""
        return self.root / "keys"

    def identity(self, subscription_id: str | None = None) -> Identity:
        """Read the identity or make a new one; a given subscription replaces the remembered one."""
        try:
            known = cast(dict[str, Any], json.loads((self.root / "identity.json").read_bytes()))
            ports = cast(dict[str, int], known.pop("ports"))
            identity = Identity(**known, ports=Ports(**ports))
        except (OSError, ValueError, TypeError, KeyError):
            identity = Identity(
                tenant_id=str(uuid.uuid4()),
                subscription_id=subscription_id or str(uuid.uuid4()),
                client_id=str(uuid.uuid4()),
                client_secret=secrets.token_urlsafe(30),
            )
            self.remember(identity)
        if subscription_id and subscription_id != identity.subscription_id:
            identity = replace(identity, subscription_id=subscription_id)
            self.remember(identity)
        return identity

    def remember(self, identity: Identity) -> None:
        """Keep the identity for the next start."""
        write_private(self.root / "identity.json", json.dumps(asdict(identity)).encode())

    def running(self) -> dict[str, Any]:
        """What the info file says, {} when there is none."""
        try:
            return cast(dict[str, Any], json.loads(self.info_file.read_bytes()))
        except (OSError, ValueError):
            return {}


class StateLock:
    """One azurebox a state folder.

    An SQLite file in an exclusive transaction: a lock that works alike on every system and ends
    with its process, however that ends.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._db = sqlite3.connect(folder.root / "lock.sqlite3", timeout=0, isolation_level=None)

    def acquire(self) -> bool:
        """Take the lock; False when another process holds it."""
        try:
            self._db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._db.close()
