"""Certificates: made once, renewed in time, trusted by strict clients."""

import datetime
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import urlopen

import pytest
from azurebox.tls import ensure_certificates

NOW = datetime.datetime.now(datetime.UTC)


def test_certificates_stay_until_they_near_their_end(tmp_path):
    first = ensure_certificates(tmp_path, NOW)
    read = lambda f: f.read_bytes()  # noqa: E731
    ca, server = read(first.ca_file), read(first.cert_file)
    ensure_certificates(tmp_path, NOW + datetime.timedelta(days=300))
    assert (read(first.ca_file), read(first.cert_file)) == (ca, server)
    ensure_certificates(tmp_path, NOW + datetime.timedelta(days=380))
    assert read(first.ca_file) == ca
    assert read(first.cert_file) != server
    ensure_certificates(tmp_path, NOW + datetime.timedelta(days=3640))
    assert read(first.ca_file) != ca


@pytest.mark.parametrize("broken", ["ca.pem", "ca.key", "server.pem", "server.key"])
def test_broken_file_is_made_anew(tmp_path, broken):
    ensure_certificates(tmp_path, NOW)
    (tmp_path / broken).write_bytes(b"nonsense")
    files = ensure_certificates(tmp_path, NOW)
    files.server_context()
    assert b"BEGIN" in (tmp_path / broken).read_bytes()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_strict_client_trusts_the_server_by_address_and_name(tmp_path, host):
    files = ensure_certificates(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = files.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        context = ssl.create_default_context(cafile=str(files.ca_file))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        with urlopen(f"https://{host}:{server.server_port}/", context=context) as answer:
            assert answer.status == 204
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
