"""Times as the service writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Now in UTC with seven digits and no zone, as in systemData and operation bodies."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0"


def utc_seconds() -> str:
    """Now in whole seconds with an explicit zone, as in executions and revisions."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def parse(text: str) -> datetime:
    """Read any ISO 8601 time of ours; one without a zone is UTC.

    Raises: ValueError for anything else.
    """
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def age_s(text: str) -> float:
    """Seconds since that time."""
    return (datetime.now(UTC) - parse(text)).total_seconds()


def us_style(text: str) -> str:
    """As in "Container started at: 11/1/2024 11:21:38 AM."."""
    value = parse(text).astimezone(UTC)
    hour = value.hour % 12 or 12
    half = "AM" if value.hour < 12 else "PM"
    return f"{value.month}/{value.day}/{value.year} {hour}:{value:%M:%S} {half}"
