"""An operation is declared once and reached from the CLI, the language server and tests alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tunesmith.ops.context import Context

P = TypeVar("P")
R = TypeVar("R")


def arg(
    help: str,
    *,
    default: Any = MISSING,
    positional: bool = False,
    short: str = "",
    metavar: str = "",
    choices: Sequence[str] = (),
) -> Any:
    """A field of an operation's params, with what the CLI and the protocol document need to know.

    A field without a default is required; the fronts ask for it, an operation never does.
    """
    metadata = {
        "help": help,
        "positional": positional,
        "short": short,
        "metavar": metavar,
        "choices": tuple(choices),
    }
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectParams:
    """What every operation on a project takes."""

    project: str = arg("the project's folder", default=".", short="-C", metavar="DIR")
    target: str | None = arg("where it runs (default: the project's target)", default=None)


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb on one noun, `name` = "noun/verb".

    `confirm`: the params have `dry_run` and the result a `plan`; a front first asks for the plan,
    shows it, and asks its user before the real call.
    `long`: reports progress. `still_running`: key of the sentence that says what goes on elsewhere
    after the operation is cancelled.
    """

    name: str
    params: type[Any]
    result: type[Any]
    run: Callable[[Context, Any], Awaitable[Any]]
    summary: str
    long: bool
    confirm: bool
    still_running: str


OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str,
    params: type[P],
    result: type[R],
    *,
    long: bool = False,
    confirm: bool = False,
    still_running: str = "",
) -> Callable[[Callable[[Context, P], Awaitable[R]]], Callable[[Context, P], Awaitable[R]]]:
    """Register an async function as the operation `name`; its docstring starts with the summary."""

    def register(
        function: Callable[[Context, P], Awaitable[R]],
    ) -> Callable[[Context, P], Awaitable[R]]:
        if name in OPERATIONS:
            raise ValueError(f"operation {name} is declared twice")
        summary = (function.__doc__ or "").strip().splitlines()[0]
        OPERATIONS[name] = Operation(
            name, params, result, function, summary, long, confirm, still_running
        )
        return function

    return register
