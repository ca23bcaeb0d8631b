"""Every command of the form NOUN VERB: all operations, and what only a terminal may do."""

from __future__ import annotations

from tunesmith.cli.endpoint_key import ENDPOINT_KEY
from tunesmith.ops import OPERATIONS
from tunesmith.ops.registry import Operation


def commands() -> dict[str, Operation]:
    """Return the commands by name, such as "run/start", in the order of the help."""
    return {**OPERATIONS, ENDPOINT_KEY.name: ENDPOINT_KEY}
