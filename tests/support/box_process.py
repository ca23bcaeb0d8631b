"""A real `azurebox serve` in a process of its own, and the real SDK clients that talk to it."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.identity import ClientSecretCredential
from azure.mgmt.appcontainers import ContainerAppsAPIClient
from azure.mgmt.resource.deployments import DeploymentsMgmtClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient

PYTHON_IMAGE = "docker.io/library/python:3.11-slim"


class BoxProcess:
    """Started, killed and started again on one state folder."""

    def __init__(self, state: Path, cache: Path) -> None:
        self.state = state
        self.cache = cache
        self.info: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None

    def command(self, *options: str) -> list[str]:
        command = [sys.executable, "-m", "azurebox", "serve", "--state", str(self.state)]
        return [*command, "--cache", str(self.cache), *options]

    def start(self, *options: str) -> BoxProcess:
        self.close()
        log = (self.state.parent / "azurebox.log").open("a")
        self._process = subprocess.Popen(
            self.command(*options), stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self.state.parent / "azurebox.log").read_text()[-3000:]
        self.info = json.loads(line)
        return self

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send the signal and return the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(how)
        return self.wait(20)

    def stop_everything(self) -> int:
        """End azurebox and all its containers; return the exit code."""
        self.ask("POST", "/_box/shutdown", {"stop": True})
        return self.end()

    def wait(self, timeout_s: float) -> int:
        assert self._process is not None
        code = self._process.wait(timeout_s)
        self.close()
        return code

    def close(self) -> None:
        """Close our end of its stdout."""
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def wait_or_none(self) -> int | None:
        """The exit code, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    @property
    def log(self) -> str:
        return (self.state.parent / "azurebox.log").read_text()

    def credential(self, **changed: Any) -> ClientSecretCredential:
        values = {k: self.info[k] for k in ("tenant_id", "client_id", "client_secret")} | changed
        return ClientSecretCredential(
            **values,
            authority=self.info["login_url"],
            disable_instance_discovery=True,
            connection_verify=self.info["ca_file"],
            retry_total=0,
        )

    def client(self, kind: Callable[..., Any], credential: Any = None, **options: Any) -> Any:
        return kind(
            credential or self.credential(),
            self.info["subscription_id"],
            base_url=self.info["arm_url"],
            connection_verify=self.info["ca_file"],
            polling_interval=0.1,
            **options,
        )

    def groups(self, **options: Any) -> ResourceManagementClient:
        return self.client(ResourceManagementClient, **options)

    def storage(self, **options: Any) -> StorageManagementClient:
        return self.client(StorageManagementClient, **options)

    def apps(self, **options: Any) -> ContainerAppsAPIClient:
        return self.client(ContainerAppsAPIClient, **options)

    def deployments(self, **options: Any) -> DeploymentsMgmtClient:
        return self.client(DeploymentsMgmtClient, **options)

    def token(self) -> str:
        return self.credential().get_token("https://management.azure.com/.default").token

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> tuple[int, dict[str, str], Any]:
        """One request as no SDK would make it: (status, headers, JSON or text)."""
        url = path if path.startswith("http") else self.info["arm_url"] + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)
        bearer = self.token() if token is None else token
        if bearer:
            request.add_header("Authorization", f"Bearer {bearer}")
        request.add_header("Content-Type", "application/json")
        context = ssl.create_default_context(cafile=self.info["ca_file"])
        context = context if url.startswith("https") else None
        try:
            with urllib.request.urlopen(request, context=context, timeout=20) as answer:
                return answer.status, dict(answer.headers), _read(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), _read(error.read())


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode()


def until(check: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Return the first true value of `check`."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s} s: {check()!r}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Workspace:
    """A group with account, share, environment and storage, ready for jobs and apps."""

    def __init__(self, box: BoxProcess, group: str = "lab") -> None:
        self.box = box
        self.group = group
        self.account = f"{group}store"
        groups, storage, apps = box.groups(), box.storage(), box.apps()
        groups.resource_groups.create_or_update(group, {"location": "eastus"})
        account = {"location": "eastus", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
        storage.storage_accounts.begin_create(group, self.account, account).result()
        storage.file_shares.create(group, self.account, "work", {"share_quota": 10})
        self.key = storage.storage_accounts.list_keys(group, self.account).keys_property[0].value
        environment = {
            "location": "eastus",
            "properties": {
                "workloadProfiles": [{"name": "Consumption", "workloadProfileType": "Consumption"}]
            },
        }
        made = apps.managed_environments.begin_create_or_update(group, "env", environment).result()
        self.environment_id = made.id
        self.put_storage(self.key)
        for client in (groups, storage, apps):
            client.close()

    @property
    def folder(self) -> Path:
        return self.box.state / "files" / self.account / "work"

    def put_storage(self, key: str, account: str | None = None) -> Any:
        azure_file = {
            "accountName": account or self.account,
            "accountKey": key,
            "accessMode": "ReadWrite",
            "shareName": "work",
        }
        with self.box.apps() as apps:
            return apps.managed_environments_storages.create_or_update(
                self.group, "env", "mount", {"properties": {"azureFile": azure_file}}
            )

    def template(self, script: str, **container: Any) -> dict[str, Any]:
        return {
            "containers": [
                {
                    "name": "main",
                    "image": PYTHON_IMAGE,
                    "command": ["/bin/bash", "-c"],
                    "args": [script],
                    "volumeMounts": [{"volumeName": "share", "mountPath": "/mount"}],
                    **container,
                }
            ],
            "volumes": [{"name": "share", "storageType": "AzureFile", "storageName": "mount"}],
        }

    def job(
        self,
        script: str,
        *,
        timeout_s: int = 60,
        retries: int = 0,
        secrets: Any = None,
        **more: Any,
    ) -> dict[str, Any]:
        return {
            "location": "eastus",
            "properties": {
                "environmentId": self.environment_id,
                "configuration": {
                    "triggerType": "manual",
                    "replicaTimeout": timeout_s,
                    "replicaRetryLimit": retries,
                    "secrets": secrets,
                },
                "template": self.template(script, **more),
            },
        }

    def app(self, script: str, *, secrets: Any = None, **more: Any) -> dict[str, Any]:
        return {
            "location": "eastus",
            "properties": {
                "environmentId": self.environment_id,
                "configuration": {
                    "secrets": secrets,
                    "ingress": {"external": True, "targetPort": 7860},
                },
                "template": {
                    **self.template(script, **more),
                    "scale": {"minReplicas": 0, "maxReplicas": 1},
                },
            },
        }
