"""The real Azure Files service of azurebox on a port of its own, for tests with the real SDK."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.fileshare import ShareClient, ShareServiceClient
from azure.storage.fileshare.aio import ShareClient as AsyncShareClient
from azurebox.files.app import make_files_app
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ACCOUNT = "tunesmithtest"
KEY = base64.b64encode(b"one key of sixty-four bytes for the tests of the files service..").decode()
Gatekeeper = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass(slots=True)
class FilesService:
    """A running service. `gatekeeper`, when set, sees each request first and may answer it,
    or cut the connection; `seen` lists "METHOD path?query" of all requests."""

    root: Path
    url: str = ""
    ca_file: str | None = None
    gatekeeper: Gatekeeper | None = None
    seen: list[str] = field(default_factory=list)

    @property
    def account_url(self) -> str:
        return f"{self.url}/{ACCOUNT}"

    def folder(self, share: str = "work") -> Path:
        return self.root / ACCOUNT / share

    def client(self, share: str = "work", key: str = KEY, **options) -> ShareClient:
        return ShareClient(
            self.account_url,
            share,
            credential=AzureNamedKeyCredential(ACCOUNT, key),
            retry_total=0,
            **options,
        )

    def async_client(self, share: str = "work", key: str = KEY, **options) -> AsyncShareClient:
        return AsyncShareClient(
            self.account_url,
            share,
            credential=AzureNamedKeyCredential(ACCOUNT, key),
            retry_total=0,
            **options,
        )

    def service_client(self) -> ShareServiceClient:
        return ShareServiceClient(
            self.account_url, credential=AzureNamedKeyCredential(ACCOUNT, KEY)
        )


class RunningFiles:
    """Runs the service in a thread, so that blocking clients can talk to it from the test's."""

    def __init__(self, root: Path, *, tls_folder: Path | None = None, token: str = "") -> None:
        self.service = FilesService(root)
        self._tls_folder = tls_folder
        self._token = token
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> FilesService:
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)
        return self.service

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _stop(self) -> None:
        for connection in self._runner.server.connections:
            if connection.transport:
                connection.transport.abort()  # waits for no farewell of the other side
        await self._runner.cleanup()
        await asyncio.sleep(0.02)  # the turns of the loop in which sockets are closed

    async def _start(self) -> web.AppRunner:
        service = self.service
        app = make_files_app(
            service.root,
            lambda account: [KEY] if account == ACCOUNT else None,
            (lambda token: token == self._token) if self._token else None,
        )

        @web.middleware
        async def watch(request: web.Request, handler) -> web.StreamResponse:
            service.seen.append(f"{request.method} {request.path_qs}")
            if service.gatekeeper and (answer := await service.gatekeeper(request)) is not None:
                return answer
            return await handler(request)

        app.middlewares.append(watch)
        context = None
        if self._tls_folder:
            context, service.ca_file = _tls(self._tls_folder)
        runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        service.url = f"{'https' if context else 'http'}://127.0.0.1:{port}"
        return runner


def _tls(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Make a certificate authority and a certificate of 127.0.0.1 signed by it."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def build(subject: str, issuer: str, public, *, is_ca: bool) -> x509.CertificateBuilder:
        def name(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )

    ca = build("test authority", "test authority", ca_key.public_key(), is_ca=True)
    leaf = build("127.0.0.1", "test authority", key.public_key(), is_ca=False).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        critical=False,
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "leaf.pem").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "leaf.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    return context, str(folder / "ca.pem")
