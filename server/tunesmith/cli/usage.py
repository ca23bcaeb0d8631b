"""A command line that does not fit."""

from __future__ import annotations


class UsageError(Exception):
    """Told in one sentence; the process ends with 2. `command` is the one to ask for help."""

    def __init__(self, message: str, command: str = "tunesmith") -> None:
        self.message = message
        self.command = command
        super().__init__(message)
