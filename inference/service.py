"""What the app serves at this moment, shared by the API and the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine import Engine
from run_contract import ServedRun

BASE = "base"
TUNED = "tuned"
"""Another name of the run, for clients that must not change with every deployment."""


@dataclass(slots=True)
class Service:
    """The run behind the address and how far it is. Changed by the loading task only."""

    run: ServedRun | None
    status: Literal["waiting", "loading", "ok", "failed"] = "waiting"
    detail: str = ""
    engine: Engine | None = field(default=None, repr=False)

    @property
    def models(self) -> tuple[str, ...]:
        """The names that a request may give as `model`, the one to take without a name first."""
        if self.run is None:
            return ()
        return (BASE,) if self.run.adapter_path is None else (self.run.run_id, BASE)

    def find_model(self, name: str | None) -> str | None:
        """Return which of `models` a request's `model` means, None when it is none of them."""
        names = self.models
        if name is None:
            return names[0] if names else None
        if name == TUNED and len(names) > 1:
            return names[0]
        return name if name in names else None

    def health(self) -> dict[str, object]:
        """Return the body of GET /health."""
        active, waiting = self.engine.load() if self.engine else (0, 0)
        return {
            "status": self.status,
            "run_id": self.run.run_id if self.run else "",
            "base_model": self.run.base_model if self.run else "",
            "adapter": self.run is not None and self.run.adapter_path is not None,
            "detail": self.detail,
            "active": active,
            "waiting": waiting,
        }
