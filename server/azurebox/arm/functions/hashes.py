"""uniqueString and guid: the same arguments give the same result, everywhere and always."""

from __future__ import annotations

import uuid
from typing import Any

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import text
from azurebox.arm.functions.registry import pure, scoped
from azurebox.arm.scope import Scope

_MASK = 0xFFFFFFFF
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_GUID_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


@pure("uniqueString", 1, None)
def unique_string(*values: Any) -> str:
    """Return 13 characters made of all arguments."""
    texts = [text("uniqueString", at, value) for at, value in enumerate(values, 1)]
    number = murmur_hash_64("-".join(texts).encode())
    digits = ""
    for _ in range(13):
        digits += _DIGITS[number >> 59]
        number = (number << 5) & 0xFFFFFFFFFFFFFFFF
    return digits


@pure("guid", 1, None)
def guid(*values: Any) -> str:
    """Return a version 5 GUID made of all arguments."""
    texts = [text("guid", at, value) for at, value in enumerate(values, 1)]
    return str(uuid.uuid5(_GUID_NAMESPACE, "-".join(texts)))


@scoped("newGuid", 0)
def new_guid(scope: Scope) -> str:
    """Return a random GUID; allowed in a parameter's default only."""
    if not scope.in_default:
        raise ExpressionError(
            "The template function 'newGuid' is not expected at this location. The function can"
            " only be used with parameter default value expressions. Please see"
            " https://aka.ms/arm-functions for usage details."
        )
    return str(uuid.uuid4())


def murmur_hash_64(data: bytes) -> int:
    """Return the 64-bit hash that uniqueString uses: two lanes of 32-bit MurmurHash3, seed 0.

    Source: checked against the Bicep console (`uniqueString('a', 'b')` is i3z4v3sp6aooa).
    """
    high = low = 0
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        low ^= _mix_low(int.from_bytes(data[at : at + 4], "little"))
        low = ((_rotate(low, 19) + high) * 5 + 0x561CCD1B) & _MASK
        high ^= _mix_high(int.from_bytes(data[at + 4 : at + 8], "little"))
        high = ((_rotate(high, 13) + low) * 5 + 0x0BCAA747) & _MASK
    rest = data[whole:]
    if rest:
        low ^= _mix_low(int.from_bytes(rest[:4], "little"))
        if len(rest) > 4:
            high ^= _mix_high(int.from_bytes(rest[4:], "little"))
    low ^= len(data)
    high ^= len(data)
    low = (low + high) & _MASK
    high = (high + low) & _MASK
    low, high = _finish(low), _finish(high)
    low = (low + high) & _MASK
    high = (high + low) & _MASK
    return high << 32 | low


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _MASK


def _mix_low(value: int) -> int:
    value = _rotate(value * 0x239B961B & _MASK, 15)
    return value * 0xAB0E9789 & _MASK


def _mix_high(value: int) -> int:
    value = _rotate(value * 0xAB0E9789 & _MASK, 17)
    return value * 0x239B961B & _MASK


def _finish(value: int) -> int:
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16
