"""Dates: utcNow, dateTimeAdd, epochs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import integer, text
from azurebox.arm.functions.registry import pure, scoped
from azurebox.arm.scope import Scope

_DURATION = re.compile(
    r"(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?"
    r"(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_PICTURE = re.compile(
    r"yyyy|yy|MMMM|MMM|MM|M|dddd|ddd|dd|d|HH|H|hh|h|mm|m|ss|s|f{1,7}|tt|K|'[^']*'"
)


@scoped("utcNow", 0, 1)
def utc_now(scope: Scope, *styles: Any) -> str:
    """Return the time of the deployment; allowed in a parameter's default only."""
    if not scope.in_default:
        raise ExpressionError(
            "The template function 'utcNow' is not expected at this location. The function can"
            " only be used with parameter default value expressions. Please see"
            " https://aka.ms/arm-functions for usage details."
        )
    style = text("utcNow", 1, styles[0]) if styles else "yyyyMMddTHHmmssZ"
    return format_time(datetime.now(UTC), style, zone="Z")


@pure("dateTimeAdd", 2, 3)
def date_time_add(base: Any, duration: Any, *styles: Any) -> str:
    """Add an ISO 8601 duration to a time."""
    base = text("dateTimeAdd", 1, base)
    duration = text("dateTimeAdd", 2, duration)
    found = _DURATION.fullmatch(duration)
    if not found or not any(found.groups()[1:]):
        raise ExpressionError(
            f"The template language function 'dateTimeAdd' cannot read '{duration}' as an ISO 8601"
            " duration."
        )
    years, months, days, hours, minutes = (int(part or 0) for part in found.groups()[1:6])
    # .NET's XmlConvert counts a year as 365 days and a month as 30.
    span = timedelta(
        days=years * 365 + months * 30 + days,
        hours=hours,
        minutes=minutes,
        seconds=float(found[7] or 0),
    )
    result = _read_time("dateTimeAdd", base) + (-span if found[1] else span)
    return format_time(
        result, text("dateTimeAdd", 3, styles[0]) if styles else "yyyy-MM-ddTHH:mm:ssZ"
    )


@pure("dateTimeToEpoch", 1)
def date_time_to_epoch(value: Any) -> int:
    """Return the seconds since 1970."""
    return int(_read_time("dateTimeToEpoch", text("dateTimeToEpoch", 1, value)).timestamp())


@pure("dateTimeFromEpoch", 1)
def date_time_from_epoch(value: Any) -> str:
    """Return the time that is so many seconds after 1970."""
    seconds = integer("dateTimeFromEpoch", 1, value)
    return format_time(datetime.fromtimestamp(seconds, UTC), "yyyy-MM-ddTHH:mm:ssZ")


def _read_time(function: str, value: str) -> datetime:
    for pattern in ("%Y%m%dT%H%M%SZ", "%Y-%m-%d %H:%M:%SZ", "%Y-%m-%d %H:%M:%S"):
        try:
            return datetime.strptime(value, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        time = datetime.fromisoformat(value)
    except ValueError as e:
        raise ExpressionError(
            f"The template language function '{function}' cannot read '{value}' as a time."
        ) from e
    # An offset stays, even where the format then writes a Z behind the hours: so does the service.
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def format_time(time: datetime, style: str, zone: str = "") -> str:
    """Return a time in a .NET format: a standard letter (d, o, s, u) or a picture.

    `zone`: what K stands for, the time's own offset if it is empty.
    """
    standard = {
        "d": "MM/dd/yyyy",
        "D": "dddd, dd MMMM yyyy",
        "s": "yyyy-MM-ddTHH:mm:ss",
        "u": "yyyy-MM-dd HH:mm:ssZ",
        "o": "yyyy-MM-ddTHH:mm:ss.fffffffK",
        "O": "yyyy-MM-ddTHH:mm:ss.fffffffK",
        "R": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
        "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
        "t": "HH:mm",
        "T": "HH:mm:ss",
        "g": "MM/dd/yyyy HH:mm",
        "G": "MM/dd/yyyy HH:mm:ss",
    }
    offset = time.strftime("%z")
    zone = zone or f"{offset[:3]}:{offset[3:5]}"
    return _PICTURE.sub(lambda part: _time_part(time, part[0], zone), standard.get(style, style))


def _time_part(time: datetime, part: str, zone: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    if part[0] == "f":
        return f"{time.microsecond:06d}0"[: len(part)]
    hour = time.hour % 12 or 12
    return {
        "yyyy": f"{time.year:04d}",
        "yy": f"{time.year % 100:02d}",
        "MMMM": f"{time:%B}",
        "MMM": f"{time:%b}",
        "MM": f"{time.month:02d}",
        "M": str(time.month),
        "dddd": f"{time:%A}",
        "ddd": f"{time:%a}",
        "dd": f"{time.day:02d}",
        "d": str(time.day),
        "HH": f"{time.hour:02d}",
        "H": str(time.hour),
        "hh": f"{hour:02d}",
        "h": str(hour),
        "mm": f"{time.minute:02d}",
        "m": str(time.minute),
        "ss": f"{time.second:02d}",
        "s": str(time.second),
        "tt": "AM" if time.hour < 12 else "PM",
        "K": zone,
    }[part]
