"""Address ranges (CIDR), and addresses of the web taken apart and put together."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import integer, mapping, text
from azurebox.arm.functions.registry import pure

_PORTS = {"http": 80, "https": 443, "ftp": 21}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(function: str, value: Any) -> Network:
    try:
        return ipaddress.ip_network(text(function, 1, value), strict=False)
    except ValueError as e:
        raise ExpressionError(
            f"The template language function '{function}' expects an address range in CIDR"
            f" notation, '{value}' is none. Please see"
            f" https://aka.ms/arm-function-{function.lower()} for usage details."
        ) from e


@pure("parseCidr", 1)
def parse_cidr(value: Any) -> dict[str, Any]:
    """Return the parts of an address range."""
    network = _network("parseCidr", value)
    first, last = network.network_address, network.broadcast_address
    # The addresses at both ends of an IPv4 range are not for hosts, unless there are no others.
    margin = 1 if network.version == 4 and network.prefixlen < 31 else 0
    parts: dict[str, Any] = {"network": str(first), "netmask": str(network.netmask)}
    if network.version == 4:
        parts["broadcast"] = str(last)
    return {
        **parts,
        "firstUsable": str(first + margin),
        # Of a range of two addresses the service calls the first one usable, and only that.
        "lastUsable": str(last - (1 if network.prefixlen == 31 else margin)),
        "cidr": network.prefixlen,
    }


@pure("cidrSubnet", 3)
def cidr_subnet(value: Any, size: Any, place: Any) -> str:
    """Return the part number `place` (from 0) of a range cut into parts of prefix `size`."""
    network = _network("cidrSubnet", value)
    size, place = integer("cidrSubnet", 2, size), integer("cidrSubnet", 3, place)
    if not network.prefixlen <= size <= network.max_prefixlen or not (
        0 <= place < 2 ** (size - network.prefixlen)
    ):
        raise ExpressionError(
            f"The template language function 'cidrSubnet' finds no part '{place}' of prefix"
            f" '{size}' in '{value}'."
        )
    start = int(network.network_address) + (place << (network.max_prefixlen - size))
    return f"{network.network_address + (start - int(network.network_address))}/{size}"


@pure("cidrHost", 2)
def cidr_host(value: Any, place: Any) -> str:
    """Return the address number `place` (from 0) among those for hosts."""
    network = _network("cidrHost", value)
    place = integer("cidrHost", 2, place)
    margin = 1 if network.num_addresses > 2 else 0
    if not 0 <= place < network.num_addresses - 2 * margin:
        raise ExpressionError(
            f"The template language function 'cidrHost' finds no host '{place}' in '{value}'."
        )
    return str(network.network_address + margin + place)


@pure("parseUri", 1)
def parse_uri(value: Any) -> dict[str, Any]:
    """Return scheme, host, port, path and query of an address."""
    parts = urlsplit(text("parseUri", 1, value))
    if not parts.scheme or not parts.hostname:
        raise ExpressionError(
            f"The template language function 'parseUri' expects a whole address, not '{value}'."
        )
    result: dict[str, Any] = {
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": None if parts.port == _PORTS.get(parts.scheme) else parts.port,
    }
    if parts.path not in ("", "/"):
        result["path"] = parts.path
    if parts.query:
        result["query"] = f"?{parts.query}"
    return result


@pure("buildUri", 1)
def build_uri(value: Any) -> str:
    """Return an address made of scheme, host, port, path and query."""
    parts = mapping("buildUri", 1, value)
    scheme, host = text("buildUri", 1, parts.get("scheme")), text("buildUri", 1, parts.get("host"))
    number = parts.get("port")
    port = "" if number in (None, _PORTS.get(scheme)) else f":{number}"
    path = str(parts.get("path") or "/")
    query = str(parts.get("query") or "")
    mark = "?" if query and not query.startswith("?") else ""
    return f"{scheme}://{host}{port}{'' if path.startswith('/') else '/'}{path}{mark}{query}"
