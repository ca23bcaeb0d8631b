"""Where clients reach this azurebox: known once its ports are chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Addresses:
    """`files_url` has "{account}" in it; none ends in a slash."""

    arm_url: str
    files_url: str
    pages_url: str
