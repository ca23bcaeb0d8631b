"""Sizes as people read them."""

from __future__ import annotations


def size_text(size_bytes: float) -> str:
    """Return "812 B", "3.4 MiB", "1.2 GiB"."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError
