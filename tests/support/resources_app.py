"""Microsoft.Resources in a test server, over tiny resource types."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from azurebox.arm.deployments import ResourcesApi, mount
from azurebox.front import Router
from azurebox.store import ResourceStore
from tiny_providers import TinyProviders

GROUP = "/subscriptions/s1/resourceGroups/g1"
DEPLOYMENTS = f"{GROUP}/providers/Microsoft.Resources/deployments"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


class _AnyToken:
    def check(self, authorization):
        pass


class ResourcesClient:
    """Speaks to the server as an SDK would; paths without host, api-version added."""

    def __init__(self, http: TestClient, api: ResourcesApi, providers: TinyProviders) -> None:
        self.http = http
        self.api = api
        self.providers = providers

    async def call(self, method: str, path: str, body=None, **options) -> ClientResponse:
        path = path[path.index("/subscriptions") :]
        if "api-version" not in path:
            path += ("&" if "?" in path else "?") + "api-version=2025-04-01"
        return await self.http.request(method, path, json=body, **options)

    async def start(self, template: dict, parameters: dict | None = None, name="d1"):
        return await self.call("PUT", f"{DEPLOYMENTS}/{name}", deployment(template, parameters))

    async def deploy(self, template: dict, parameters: dict | None = None, name="d1") -> dict:
        """Deploy, wait for the end as a poller does, return the deployment."""
        answer = await self.start(template, parameters, name)
        assert answer.status in (200, 201), await answer.text()
        await self.wait(answer)
        return await (await self.call("GET", f"{DEPLOYMENTS}/{name}")).json()

    async def wait(self, answer: ClientResponse) -> dict:
        link = answer.headers["Azure-AsyncOperation"]
        for _ in range(500):
            status = await (await self.call("GET", link)).json()
            if status["status"] not in ("Accepted", "Running"):
                return status
            await asyncio.sleep(0.01)
        raise AssertionError("the deployment does not end")

    async def operations(self, name="d1") -> list[dict]:
        answer = await self.call("GET", f"{GROUP}/deployments/{name}/operations")
        return (await answer.json())["value"]


def deployment(template: dict, parameters: dict | None = None) -> dict:
    given = {name: {"value": value} for name, value in (parameters or {}).items()}
    return {"properties": {"mode": "Incremental", "template": template, "parameters": given}}


def make_template(resources=None, **sections) -> dict:
    """A template; symbolic (languageVersion 2.0) when the resources are a dict."""
    template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", **sections}
    if isinstance(resources, dict):
        template["languageVersion"] = "2.0"
    return {**template, "resources": [] if resources is None else resources}


def make_thing(name: str, **parts) -> dict:
    return {"type": "Tiny.Test/things", "apiVersion": "2024-01-01", "name": name, **parts}


@asynccontextmanager
async def running_resources(folder: Path, *, with_group: bool = True, **thing):
    """Serve Microsoft.Resources over a store in `folder`; Tiny.Test/things is there."""
    store = ResourceStore(folder / "box.sqlite")
    providers = TinyProviders(store)
    providers.add("Tiny.Test/things", **thing)
    router = Router(_AnyToken())
    api = mount(router, store, providers, "eastus")
    async with TestClient(TestServer(router.app())) as http:
        client = ResourcesClient(http, api, providers)
        if with_group:
            await client.call("PUT", GROUP, {"location": "eastus"})
        yield client
        await api.close()
    store.close()
