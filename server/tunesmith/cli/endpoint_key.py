"""`tunesmith endpoint key`: the API key, for a shell's $(...).

Only the terminal has it: the language server returns no secret to an editor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.ops.registry import Operation, ProjectParams

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """The key in clear; its repr is not."""

    key: str

    def __repr__(self) -> str:
        return "EndpointKey(***)"


async def _key(ctx: Context, p: ProjectParams) -> EndpointKey:
    from tunesmith.ops.endpoint_ask import healthy_endpoint, read_key
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return EndpointKey(await read_key(session, await healthy_endpoint(session)))


ENDPOINT_KEY = Operation(
    name="endpoint/key",
    params=ProjectParams,
    result=EndpointKey,
    run=_key,
    summary="Print the API key, for programs.",
    long=False,
    confirm=False,
    still_running="",
)
