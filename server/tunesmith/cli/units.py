"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def size(size_bytes: float) -> str:
    """1536 -> "1.5 KiB"."""
    for unit in ("B", "KiB", "MiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def duration(seconds: float) -> str:
    """75 -> "1:15", 3700 -> "1:01:40"."""
    whole = max(int(seconds + 0.5), 0)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def ago(iso: str, now: datetime | None = None) -> str:
    """An ISO time as "5 min ago"; a time that cannot be read is given back as it is."""
    try:
        then = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    if seconds < 60:
        return "just now"
    for name, length in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            count = int(seconds // length)
            plural = "s" if name == "day" and count > 1 else ""
            return f"{count} {name}{plural} ago"
    return iso


def between(start: str, end: str) -> str:
    """How long from one ISO time to another, empty when either is missing."""
    try:
        return duration(
            (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
        )
    except (ValueError, TypeError):
        return ""


def sparkline(values: list[float], width: int = 12) -> str:
    """The course of a value in block characters, the newest on the right."""
    if len(values) < 2:
        return ""
    if len(values) > width:
        step = len(values) / width
        values = [values[min(int((n + 1) * step) - 1, len(values) - 1)] for n in range(width)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[int((value - low) / span * 7)] for value in values)
