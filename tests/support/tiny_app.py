"""Keeps an inference app's contract without a model: /health, /auth/links, the key, the run."""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

RUN_ID = os.environ.get("TUNESMITH_RUN_ID", "")
KEY = os.environ["TUNESMITH_API_KEY"]
if RUN_ID:
    run = json.loads(Path("runs", RUN_ID, "run.json").read_text())
    if run["state"] != "succeeded":
        sys.exit(f"run {RUN_ID} made no model")
STARTED = time.monotonic()


class App(BaseHTTPRequestHandler):
    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        loading = time.monotonic() - STARTED < 0.5
        status = "loading" if loading else "ok" if RUN_ID else "waiting"
        body = {
            "status": status,
            "run_id": RUN_ID,
            "base_model": "tiny",
            "detail": "",
            "adapter": "",
        }
        self.answer(503 if loading else 200, body)

    def do_POST(self):
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self.answer(401, {"error": {"message": "no key"}})
        else:
            self.answer(200, {"path": "/auth/once", "expires_in_s": 60})

    def log_message(self, *args):
        pass


HTTPServer(
    (os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "7860"))), App
).serve_forever()
