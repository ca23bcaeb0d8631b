"""Every resource provider's HTTP face: one set of routes for all resource types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from azurebox.errors import ArmError
from azurebox.front import Router, api_version, json_answer, json_body, public_url
from azurebox.operations import Operation, Operations, result_answer, status_answer
from azurebox.providers.base import Accepted, Provider
from azurebox.providers.common import JsonObject, canonical, not_found
from azurebox.providers.regions import region_name
from azurebox.providers.registry import ProviderTable
from azurebox.resource_id import ResourceId

# First part of the operation links, by type: containerappsjobOperationStatuses and ...Results.
_OPERATION_NAMES = {
    "microsoft.app/jobs": "containerappsjob",
    "microsoft.app/containerapps": "containerapp",
    "microsoft.app/managedenvironments": "managedEnvironment",
}
_APP_HEADERS = {
    "x-powered-by": "ASP.NET",
    "api-supported-versions": "2022-03-01, 2022-10-01, 2023-05-01, 2023-11-02-preview, 2024-03-01,"
    " 2025-01-01, 2025-07-01, 2026-01-01, 2026-07-01",
}
_RESOURCE = "/subscriptions/{sub}/resourceGroups/{group}/providers/{namespace}/{*rest}"
# az stops an execution by this path, the SDKs by executions/{name}/stop.
_LEGACY_STOP = (
    "/subscriptions/{sub}/resourceGroups/{group}/providers/Microsoft.App/jobs/{job}/stop/{name}"
)
_OPERATIONS = "/subscriptions/{sub}/providers/{namespace}/locations/{location}"

CheckGroup = Callable[[str, str], None]


def mount(
    router: Router, providers: ProviderTable, operations: Operations, check_group: CheckGroup
) -> None:
    """Add the routes of all types.

    `check_group(subscription, group)` raises ArmError for a group that is not there or is going.
    """
    routes = _ResourceRoutes(providers, operations, check_group)
    for method, handler in (
        ("GET", routes.get),
        ("HEAD", routes.head),
        ("PUT", routes.put),
        ("PATCH", routes.patch),
        ("DELETE", routes.delete),
        ("POST", routes.post),
    ):
        router.add(method, _RESOURCE, handler)
    router.add("POST", _LEGACY_STOP, routes.legacy_stop)
    router.add("GET", "/subscriptions/{sub}/providers/{namespace}/{type}", routes.list_all)
    router.add("GET", _OPERATIONS + "/{kind}/{id}", routes.poll)


class _ResourceRoutes:
    def __init__(
        self, providers: ProviderTable, operations: Operations, check_group: CheckGroup
    ) -> None:
        self._providers = providers
        self._operations = operations
        self._check_group = check_group

    async def get(self, request: web.Request, **names: str) -> web.StreamResponse:
        """One resource, or the list of a collection."""
        self._check_group(names["sub"], names["group"])
        segments = names["rest"].split("/")
        if len(segments) % 2:
            provider = self._provider(request, names["namespace"], segments[0::2])
            scope = _scope(names, segments[:-1])
            found = provider.list(scope, api_version(request))
            return json_answer({"value": found}, headers=_headers(provider))
        provider, id = self._resource(request, names)
        shown = provider.get(id, api_version(request))
        if shown is None:
            raise not_found(id)
        return json_answer(shown, headers=_headers(provider))

    async def head(self, request: web.Request, **names: str) -> web.StreamResponse:
        """Whether the resource is there: 204 or 404."""
        self._check_group(names["sub"], names["group"])
        provider, id = self._resource(request, names)
        found = provider.get(id, api_version(request)) is not None
        return web.Response(status=204 if found else 404)

    async def list_all(
        self, request: web.Request, sub: str, namespace: str, type: str
    ) -> web.StreamResponse:
        """All resources of a type in the subscription."""
        provider = self._provider(request, namespace, [type])
        found = provider.list(f"/subscriptions/{sub}", api_version(request))
        return json_answer({"value": found}, headers=_headers(provider))

    async def put(self, request: web.Request, **names: str) -> web.StreamResponse:
        """Create or replace."""
        self._check_group(names["sub"], names["group"])
        provider, id = self._resource(request, names)
        accepted = await provider.put(id, await json_body(request), api_version(request))
        return self._answer(request, provider, id, accepted)

    async def patch(self, request: web.Request, **names: str) -> web.StreamResponse:
        """Merge."""
        self._check_group(names["sub"], names["group"])
        provider, id = self._resource(request, names)
        version = api_version(request)
        if provider.get(id, version) is None:
            raise not_found(id)
        accepted = await provider.patch(id, await json_body(request), version)
        return self._answer(request, provider, id, accepted)

    async def delete(self, request: web.Request, **names: str) -> web.StreamResponse:
        """Delete; deleting what is not there is a 204."""
        self._check_group(names["sub"], names["group"])
        provider, id = self._resource(request, names)
        accepted = await provider.delete(id, api_version(request))
        return self._answer(request, provider, id, accepted)

    async def post(self, request: web.Request, **names: str) -> web.StreamResponse:
        """An action on a resource. One that takes time answers as `Accepted` says."""
        self._check_group(names["sub"], names["group"])
        segments = names["rest"].split("/")
        if len(segments) % 2 == 0:
            raise _unknown(request)
        provider, id = self._resource(request, {**names, "rest": "/".join(segments[:-1])})
        body = await json_body(request) if request.can_read_body else None
        answer: Any = await provider.action(id, segments[-1], body, api_version(request))
        if isinstance(answer, Accepted):
            return self._answer(request, provider, id, answer)
        if answer is None:
            return web.Response(status=200, headers=_headers(provider))
        return json_answer(answer, headers=_headers(provider))

    async def legacy_stop(
        self, request: web.Request, sub: str, group: str, job: str, name: str
    ) -> web.StreamResponse:
        """Stop one execution."""
        names = {"sub": sub, "group": group, "namespace": "Microsoft.App"}
        return await self.post(request, **names, rest=f"jobs/{job}/executions/{name}/stop")

    async def poll(
        self, request: web.Request, sub: str, namespace: str, location: str, kind: str, id: str
    ) -> web.StreamResponse:
        """How an operation stands: a status body, or for ...Results the resource itself."""
        known = [f"{n.lower()}operation" for n in _OPERATION_NAMES.values()]
        kind = kind.lower()
        if kind.removesuffix("statuses") in known:
            operation = self._operations.get(id)
            return status_answer(operation, request.path)
        if kind.removesuffix("results") in known or kind == "asyncoperations":
            link = f"{public_url(request)}{request.path_qs}"
            return result_answer(self._operations.get(id), link)
        raise _unknown(request)

    def _answer(
        self, request: web.Request, provider: Provider, id: ResourceId, accepted: Accepted
    ) -> web.StreamResponse:
        """Turn what the provider accepted into status, headers and body."""
        headers = _headers(provider)
        is_delete = request.method == "DELETE"
        if accepted.wait == "none":
            if accepted.view is not None:
                return json_answer(accepted.view, 201 if accepted.created else 200, headers)
            return web.Response(status=200 if accepted.created else 204, headers=headers)

        version = api_version(request)
        operation = self._operations.start(
            accepted.done, (lambda: None) if is_delete else (lambda: provider.get(id, version))
        )
        status_link, result_link = self._links(request, provider, id, accepted, operation)
        if accepted.wait == "async":
            headers["Azure-AsyncOperation"] = status_link
            if request.method == "PUT":
                headers["x-ms-async-operation-timeout"] = "PT15M"
                # Jobs and apps answer 201 to an update as well.
                return json_answer(accepted.view, 201, headers)
        headers["Location"] = result_link
        if accepted.wait == "location":
            headers["Retry-After"] = "1"
        return web.Response(status=202, headers=headers)

    def _links(
        self,
        request: web.Request,
        provider: Provider,
        id: ResourceId,
        accepted: Accepted,
        operation: Operation,
    ) -> tuple[str, str]:
        namespace = provider.type.split("/")[0]
        root = provider.type.lower().split("/")
        name = _OPERATION_NAMES.get("/".join(root[:2]))
        shown: JsonObject = accepted.view or {}
        location = region_name(str(shown.get("location", ""))) or "local"
        base = (
            f"{public_url(request)}/subscriptions/{id.subscription}"
            f"/providers/{namespace}/locations/{location}"
        )
        version = api_version(request)
        if name is None:
            link = f"{base}/asyncoperations/{operation.id}?monitor=true&api-version={version}"
            return link, link
        return (
            f"{base}/{name}OperationStatuses/{operation.id}"
            f"?api-version={version}&azureAsyncOperation=true",
            f"{base}/{name}OperationResults/{operation.id}?api-version={version}",
        )

    def _resource(self, request: web.Request, names: dict[str, str]) -> tuple[Provider, ResourceId]:
        segments = names["rest"].split("/")
        if len(segments) % 2:
            raise _unknown(request)
        provider = self._provider(request, names["namespace"], segments[0::2])
        id = ResourceId.parse(_scope(names, segments))
        return provider, canonical(id, provider.type)

    def _provider(self, request: web.Request, namespace: str, types: list[str]) -> Provider:
        provider = self._providers.find("/".join([namespace, *types]))
        if provider is None:
            raise _unknown(request)
        return provider


def _scope(names: dict[str, str], segments: list[str]) -> str:
    """The id of the resource the segments name, or of the group where there are none."""
    group = f"/subscriptions/{names['sub']}/resourceGroups/{names['group']}"
    if not segments:
        return group
    return f"{group}/providers/{names['namespace']}/" + "/".join(segments)


def _headers(provider: Provider) -> dict[str, str]:
    return dict(_APP_HEADERS) if provider.type.startswith("Microsoft.App/") else {}


def _unknown(request: web.Request) -> ArmError:
    return ArmError(
        501,
        "NotImplemented",
        f"azurebox does not know {request.method} {request.path}"
        f" (api-version {request.query.get('api-version', 'missing')}).",
    )
