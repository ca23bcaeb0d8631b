"""Plain pages for people: what is in this azurebox, where Azure would have its portal.

Loopback, http, read only, and without secrets: they show what GET shows. They ask for no token, so
a request under a foreign host name (DNS rebinding) is refused.
"""

from __future__ import annotations

import html
import json
from typing import Any, cast

from aiohttp import web

from azurebox.errors import ArmError
from azurebox.front import Router
from azurebox.providers.registry import ProviderTable
from azurebox.resource_id import ResourceId
from azurebox.state import Identity
from azurebox.store import ResourceStore

_HOSTS = ("127.0.0.1", "localhost")
# Children that have a page of their own but clutter the list.
_HIDDEN = ("microsoft.resources/",)
_VERSION = "2026-07-01"
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884;
  vertical-align: top; }
pre { overflow: auto; padding: 1rem; background: #8881; border-radius: 6px; }
.muted { opacity: .65; } a { color: #1668c7; } .bad { color: #c0392b; } .good { color: #1e8449; }
"""


class Pages:
    """The handlers."""

    def __init__(self, store: ResourceStore, providers: ProviderTable, identity: Identity) -> None:
        self._store = store
        self._providers = providers
        self._identity = identity

    def mount(self, router: Router) -> None:
        """Add the routes."""
        router.add("GET", "/", self.index, is_open=True)
        router.add("GET", "/pages/{*rest}", self.resource, is_open=True)

    async def index(self, request: web.Request) -> web.StreamResponse:
        """All resources by group."""
        _check_host(request)
        groups: dict[str, list[str]] = {}
        for resource in self._store.list():
            id = resource.id
            if id.type.lower().startswith(_HIDDEN) or id.type.lower().endswith("/executions"):
                continue
            properties = cast(dict[str, Any], resource.body.get("properties", {}))
            state = str(properties.get("runningState") or properties.get("provisioningState") or "")
            row = (
                f"<tr><td>{_link(id)}</td><td class=muted>{_text(id.type)}</td>"
                f"<td>{_state(state)}</td><td>{_address(properties)}</td></tr>"
            )
            groups.setdefault(id.group, []).append(row)
        parts = [
            f"<h2>{_text(group)}</h2><table><tr><th>Name<th>Type<th>State<th>Address</tr>"
            f"{''.join(rows)}</table>"
            for group, rows in groups.items()
        ]
        empty = "<p>Nothing is deployed yet.</p>" if not parts else ""
        about = (
            "<p class=muted>An Azure that lives on this machine. Subscription "
            f"{_text(self._identity.subscription_id)}.</p>"
        )
        return _page("azurebox", about + empty + "".join(parts))

    async def resource(self, request: web.Request, rest: str) -> web.StreamResponse:
        """One resource: its state, what is below it, its properties."""
        _check_host(request)
        try:
            id = ResourceId.parse(rest)
        except ValueError as error:
            raise ArmError(404, "NotFound", "There is no such page.") from error
        stored = self._store.get(id)
        provider = self._providers.find(id.type)
        shown = provider.get(id, _VERSION) if provider and stored else None
        if stored is None or shown is None:
            raise ArmError(404, "NotFound", f"'{id.name}' is not here (any more).")
        children = [
            f"<li>{_link(r.id)} <span class=muted>{_text(r.id.type.rpartition('/')[2])}</span> "
            f"{_state(str(cast(dict[str, Any], r.body.get('properties', {})).get('status', '')))}"
            for r in self._store.list(prefix=f"{stored.id}/")
        ]
        below = f"<h2>Below it</h2><ul>{''.join(reversed(children))}</ul>" if children else ""
        properties = cast(dict[str, Any], shown.get("properties", {}))
        body = (
            f"<p class=muted>{_text(id.type)} in {_text(id.group)}</p>"
            f"<p>{_address(properties)}</p>{below}<h2>Properties</h2>"
            f"<pre>{_text(json.dumps(shown, indent=2))}</pre><p><a href='/'>All resources</a></p>"
        )
        return _page(id.name, body)


def _check_host(request: web.Request) -> None:
    if request.host.rpartition(":")[0] not in _HOSTS:
        raise ArmError(403, "Forbidden", "Pages are served on 127.0.0.1 and localhost only.")


def _page(title: str, body: str) -> web.Response:
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{_text(title)}</h1>{body}</html>"
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        "X-Frame-Options": "DENY",
    }
    return web.Response(text=text, content_type="text/html", headers=headers)


def _link(id: ResourceId) -> str:
    return f'<a href="/pages{_text(str(id))}">{_text(id.name)}</a>'


def _address(properties: dict[str, Any]) -> str:
    """The app's own address, when it has one."""
    configuration = cast(dict[str, Any], properties.get("configuration") or {})
    fqdn = cast(dict[str, Any], configuration.get("ingress") or {}).get("fqdn")
    return f'<a href="http://{_text(str(fqdn))}/">{_text(str(fqdn))}</a>' if fqdn else ""


def _state(state: str) -> str:
    kind = {"Failed": "bad", "Succeeded": "good", "Running": "good"}.get(state, "")
    return f"<span class='{kind}'>{_text(state)}</span>"


def _text(value: str) -> str:
    return html.escape(value, quote=True)
