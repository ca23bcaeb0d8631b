"""What the tests of the inference app share: a share with a finished run, and the app on it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from conftest import clean_environment

INFERENCE = Path(__file__).resolve().parents[2] / "inference"
APP = INFERENCE / "app.py"
API_KEY = "a-key-for-tests-0123456789"
RUN_ID = "kettle-1"
LAYERS = 12
"""Deep enough that a long answer takes seconds, so that one can be interrupted."""

sys.path.insert(0, str(INFERENCE))


def make_share(folder: Path, tiny_model: Path, run_id: str = RUN_ID) -> Path:
    """Make a share whose run tuned a deeper copy of the tiny model, with a loud adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    base_path = folder / "model-cache" / "tiny"
    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(tiny_model, num_hidden_layers=LAYERS)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(base_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(base_path)
    adapter = LoraConfig(
        r=4,
        lora_alpha=4,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    get_peft_model(model, adapter).save_pretrained(folder / "runs" / run_id / "adapter")
    write_record(folder, run_id)
    return folder


def write_record(share: Path, run_id: str = RUN_ID, **changes: Any) -> None:
    """Write a run.json of a run that succeeded, with changes."""
    record = {
        "v": 1,
        "run_id": run_id,
        "state": "succeeded",
        "base_model": {"id": "acme/tiny", "path": "model-cache/tiny", "license": "mit"},
        "artifact": {"kind": "peft", "path": "adapter"},
        "started_at": "2026-03-01T10:00:00Z",
        "ended_at": "2026-03-01T11:00:00Z",
        "error": None,
        **changes,
    }
    path = share / "runs" / run_id / "run.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def app_env(share: Path, **more: str) -> dict[str, str]:
    return {
        **clean_environment(),
        "AZUREBOX_MOUNT": str(share),
        "TUNESMITH_API_KEY": API_KEY,
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def run_app(
    share: Path, *arguments: str, timeout_s: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the app to its end, for cases where it refuses."""
    return subprocess.run(
        [sys.executable, str(APP), *arguments],
        env=app_env(share, **env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@dataclass
class RunningApp:
    """The app as a process, and a client that has the key."""

    process: subprocess.Popen[str]
    client: httpx.Client
    log: Path

    def complete(self, **body: Any) -> httpx.Response:
        body.setdefault("messages", [{"role": "user", "content": "How long is the warranty?"}])
        return self.client.post("/v1/chat/completions", json=body)

    def stream(self, **body: Any) -> contextlib.AbstractContextManager[httpx.Response]:
        body.setdefault("messages", [{"role": "user", "content": "How long is the warranty?"}])
        return self.client.stream("POST", "/v1/chat/completions", json={**body, "stream": True})

    def wait_until_idle(self, timeout_s: float = 120) -> float:
        """Return how long it took until no answer was in the making."""
        began = time.monotonic()
        while time.monotonic() - began < timeout_s:
            health = self.client.get("/health").json()
            if health["active"] == health["waiting"] == 0:
                return time.monotonic() - began
            time.sleep(0.02)
        raise AssertionError(f"answers are still in the making after {timeout_s} s")


@contextlib.contextmanager
def running_app(
    share: Path,
    folder: Path,
    *arguments: str,
    until: str = "ok",
    timeout_s: float = 240,
    **env: str,
) -> Iterator[RunningApp]:
    """Start the app and wait until its health says `until`; end it by SIGTERM."""
    port = free_port()
    log = folder / "app.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, str(APP), "--port", str(port), *arguments],
            env=app_env(share, **env),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {API_KEY}"},
        timeout=60,
        trust_env=False,
    )
    app = RunningApp(process, client, log)
    try:
        wait_for_status(app, until, timeout_s)
        yield app
    finally:
        client.close()
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def wait_for_status(app: RunningApp, status: str, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        assert app.process.poll() is None, app.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            if app.client.get("/health", timeout=5).json()["status"] == status:
                return
        time.sleep(0.05)
    raise AssertionError(f"not {status} after {timeout_s} s: {app.log.read_text()}")
