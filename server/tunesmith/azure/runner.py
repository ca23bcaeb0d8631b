"""Runner on the Azure SDKs: jobs of Container Apps, their executions and what they print."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast, get_args

import aiohttp
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient

from tunesmith.azure.errors import told
from tunesmith.azure.model_json import json_of
from tunesmith.core.errors import RunError, TargetError
from tunesmith.core.json_values import at, items, mapping, words
from tunesmith.core.ports import Execution, ExecutionStatus, Replica
from tunesmith.core.targets import CloudProfile

_UNLISTED_API = "2023-11-02-preview"
"""Replicas and the log token of a job are in no published contract; the Azure CLI calls them so."""


class AzureRunner:
    """See `tunesmith.core.ports.Runner`."""

    def __init__(self, client: ContainerAppsAPIClient, profile: CloudProfile, group: str) -> None:
        self._client = client
        self._arm_url = profile.arm_url
        self._ca_file = profile.ca_file
        self._jobs_path = (
            f"/subscriptions/{profile.subscription_id}/resourceGroups/{group}"
            "/providers/Microsoft.App/jobs"
        )
        self._group = group

    async def job_exists(self, job: str) -> bool:
        """Return whether the job is there."""
        return await self._job(job) is not None

    async def start(self, job: str, env: Mapping[str, str]) -> str:
        """Start with the job's whole template: what a start does not send again is lost."""
        found = await self._job(job)
        if found is None:
            raise RunError("run.jobMissing", job=job, group=self._group)
        template = mapping(at(found, "properties", "template"))
        body = {
            "containers": [
                _start_container(mapping(container), env if index == 0 else {})
                for index, container in enumerate(items(template.get("containers")))
            ]
        }
        if initial := items(template.get("initContainers")):
            body["initContainers"] = [_start_container(mapping(c), {}) for c in initial]
        with told(job):
            poller = await self._client.jobs.begin_start(
                self._group,
                job,
                cast(Any, json.dumps(body).encode()),  # keeps volumeMounts, which its model lacks
                content_type="application/json",
            )
            return words(json_of(await poller.result()).get("name"))

    async def executions(self, job: str) -> tuple[Execution, ...]:
        """List the job's executions."""
        with told(job):
            try:
                found = [
                    _execution(json_of(e))
                    async for e in self._client.jobs_executions.list(self._group, job)
                ]
            except ResourceNotFoundError:
                return ()
        return tuple(sorted(found, key=lambda e: e.started_at, reverse=True))

    async def stop(self, job: str, execution: str) -> None:
        """Stop one execution; the answer comes when the service has taken it."""
        with told(execution):
            try:
                poller = await self._client.jobs.begin_stop_execution(self._group, job, execution)
                await poller.result()
            except ResourceNotFoundError:
                return

    async def replicas(self, job: str, execution: str) -> tuple[Replica, ...]:
        """Read the execution's replicas."""
        answer = await self._get(f"{job}/executions/{execution}/replicas")
        return tuple(_replica(mapping(r)) for r in items(answer.get("value")))

    async def console(self, job: str, execution: str) -> AsyncIterator[str]:
        """Read the log stream with a token of its own, dropping the service's two opening lines."""
        answer = await self._get(f"{job}/executions/{execution}/replicas")
        containers = [
            mapping(c)
            for replica in items(answer.get("value"))
            for c in items(at(replica, "properties", "containers"))
        ]
        endpoint = words(containers[0].get("logStreamEndpoint")) if containers else ""
        if not endpoint:
            return
        token = await self._token(job)
        # Not through the client's pipeline, which would put the ARM token over the stream's own.
        query = {"follow": "false", "output": "json", "tailLines": "300"}  # the service's most
        verify = ssl.create_default_context(cafile=self._ca_file)
        limits = aiohttp.ClientTimeout(total=60.0, sock_connect=20.0)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=limits, headers=headers) as http,
                http.get(endpoint, params=query, ssl=verify) as answer,
            ):
                printed = await answer.read() if answer.status < 400 else b""
        except (aiohttp.ClientError, TimeoutError) as e:
            raise TargetError("target.cutOff", reason=type(e).__name__, retryable=True) from e
        for line in printed.split(b"\n"):
            if (text := _stream_line(line)) is not None:
                yield text

    async def _job(self, job: str) -> Mapping[str, Any] | None:
        with told(job):
            try:
                return json_of(await self._client.jobs.get(self._group, job))
            except ResourceNotFoundError:
                return None

    async def _get(self, path: str) -> Mapping[str, Any]:
        """GET below the jobs; {} when there is no such thing."""
        return await self._request("GET", path)

    async def _token(self, job: str) -> str:
        answer = await self._request("POST", f"{job}/getAuthToken")
        return words(at(answer, "properties", "token"))

    async def _request(self, method: str, path: str) -> Mapping[str, Any]:
        url = f"{self._arm_url}{self._jobs_path}/{path}"
        request = HttpRequest(method, url, params={"api-version": _UNLISTED_API})
        with told(path):
            response = await self._client.send_request(request)
            if response.status_code == 404:
                return {}
            if response.status_code >= 400:
                raise HttpResponseError(response=cast(Any, response))
            return mapping(response.json())


def _start_container(container: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """Return the container as a start takes it, `env` over its own variables."""
    kept = [e for e in items(container.get("env")) if words(mapping(e).get("name")) not in env]
    added = [{"name": name, "value": value} for name, value in env.items()]
    names = ("image", "name", "command", "args", "resources", "volumeMounts")
    body = {name: container[name] for name in names if container.get(name) is not None}
    body["env"] = [*kept, *added]
    return body


def _execution(body: Mapping[str, Any]) -> Execution:
    properties = mapping(body.get("properties")) or body
    status = words(properties.get("status")) or words(properties.get("runningState"))
    containers = items(at(properties, "template", "containers"))
    env = items(mapping(containers[0]).get("env")) if containers else []
    return Execution(
        name=words(body.get("name")),
        status=cast(ExecutionStatus, status) if status in get_args(ExecutionStatus) else "Unknown",
        started_at=words(properties.get("startTime")),
        ended_at=words(properties.get("endTime")),
        env={words(mapping(e).get("name")): words(mapping(e).get("value")) for e in env},
    )


def _replica(body: Mapping[str, Any]) -> Replica:
    properties = mapping(body.get("properties"))
    containers = items(properties.get("containers"))
    first = mapping(containers[0] if containers else None)
    return Replica(
        name=words(body.get("name")),
        state=words(first.get("runningState")) or words(properties.get("runningState")),
        detail=words(first.get("runningStateDetails"))
        or words(properties.get("runningStateDetails")),
    )


def _stream_line(line: bytes) -> str | None:
    """Return what the container printed, None for a blank line and the service's own greeting."""
    try:
        body = mapping(json.loads(line))
    except ValueError:
        return line.decode("utf-8", "replace").rstrip("\r") if line.strip() else None
    text = words(body.get("Log"))
    greetings = ("Connecting to the container '", "Successfully Connected to container: '")
    return None if text.startswith(greetings) else text.rstrip("\n")
