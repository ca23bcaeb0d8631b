"""One error tree. A front shows of an error its message, hint and fix, told apart by `code`.

TunesmithError
├── ProjectError    project.*   the project folder and its files
├── DatasetError    dataset.*   rows and encodings
├── TargetError     target.*    where it runs: unreachable, unknown
├── AuthError       auth.*      sign-in and rights
├── InfraError      infra.*     provisioning
├── ShareError      share.*     the file share and sync
├── RunError        run.*       fine-tuning runs
├── EndpointError   endpoint.*  the inference app
└── ToolMissing     tool.*      a program or package that is not there
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tunesmith.core.messages import text


@dataclass(frozen=True, slots=True)
class Fix:
    """One action that mends the cause: a CLI line and, for the editor, a button."""

    title: str
    command: str
    """An operation's name, such as "infra/apply"."""
    args: dict[str, Any]


class TunesmithError(Exception):
    """A refusal that a user can act on; never a bug of ours.

    `code` is a key below [errors] in the message catalogue, where its message and hint stand;
    `context` fills them in and travels to the fronts, so it must hold no secret.
    """

    family: ClassVar[str] = ""

    def __init__(
        self, code: str, *, fix: Fix | None = None, retryable: bool = False, **context: object
    ) -> None:
        if not code.startswith(self.family):
            raise ValueError(f"{type(self).__name__} cannot carry the code {code}")
        self.code = code
        self.context = context
        self.message = text(f"errors.{code}.message", **context)
        self.hint = text(f"errors.{code}.hint", **context)
        self.fix = fix
        self.retryable = retryable
        super().__init__(self.message)


class ProjectError(TunesmithError):
    """The project folder or one of its files cannot be used."""

    family = "project."


class DatasetError(TunesmithError):
    """The dataset cannot be trained on."""

    family = "dataset."


class TargetError(TunesmithError):
    """The place where runs go cannot be used."""

    family = "target."


class AuthError(TunesmithError):
    """Not signed in, or not allowed."""

    family = "auth."


class InfraError(TunesmithError):
    """Provisioning failed or is missing."""

    family = "infra."


class ShareError(TunesmithError):
    """The file share refused or the sync stopped."""

    family = "share."


class RunError(TunesmithError):
    """A run cannot be started, found or gone on with."""

    family = "run."


class EndpointError(TunesmithError):
    """The inference app does not answer as it should."""

    family = "endpoint."


class ToolMissing(TunesmithError):
    """A program or package that the operation needs is not there."""

    family = "tool."
