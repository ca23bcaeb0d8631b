"""Serve one run: an OpenAI-like API under /v1 and a chat page at /.

    python3 inference/app.py --host 0.0.0.0 --port 7860 --run <run-id>

Reads the run from `runs/<run-id>/` below the mount (AZUREBOX_MOUNT, else the folder above
this one) and the key from TUNESMITH_API_KEY. Without a run it starts and waits; with one that
cannot be served it says why and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from run_contract import RefusedToServe, ServedRun, read_run

if TYPE_CHECKING:
    import uvicorn
    from service import Service

# Everything is on the share: nothing here has business with a hub, or with anybody's statistics.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
# Threads that spin while they wait lose tenfold once the cores are shared with anything else, such
# as a run in training (measured on two cores: 0.4 against 4 tokens/s). Read when torch is loaded.
THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
KEY = "TUNESMITH_API_KEY"


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on")
    parser.add_argument(
        "--run",
        default=os.environ.get("TUNESMITH_RUN_ID", ""),
        help="run to serve; default: TUNESMITH_RUN_ID",
    )
    parser.add_argument("--base-only", action="store_true", help="serve the run's base model alone")
    parser.add_argument("--max-active", type=int, default=8, help="answers made side by side")
    parser.add_argument("--max-waiting", type=int, default=24, help="answers that may wait in line")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the app until it is stopped; return the exit code."""
    options = make_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    os.environ.update(QUIET)
    os.environ.update({name: os.environ.get(name, value) for name, value in THREADS.items()})
    try:
        # Taken out of the environment, so that nothing started from here inherits it.
        api_key = os.environ.pop(KEY, "")
        if not api_key:
            raise RefusedToServe(
                f"{KEY} is not set, and an endpoint without a key would be open to everybody.",
                "'tunesmith endpoint deploy' sets it; by hand, export one of 16 letters or more.",
            )
        run = find_run(options.run, base_only=options.base_only)
        with open_socket(options.host, options.port) as listener:
            return serve(listener, run, api_key, options)
    except RefusedToServe as error:
        print(f"{error} {error.hint}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130


def find_run(run_id: str, *, base_only: bool) -> ServedRun | None:
    """Return the run to serve, None to wait for one. Raises: RefusedToServe."""
    if not run_id:
        if base_only:
            raise RefusedToServe("--base-only needs a run, to know its base model.", "Add --run.")
        return None
    mount = Path(os.environ.get("AZUREBOX_MOUNT") or Path(__file__).resolve().parent.parent)
    return read_run(mount, run_id, base_only=base_only)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises: RefusedToServe when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise RefusedToServe(
            f"Cannot listen on {host}:{port}: {reason}.",
            "Choose another port with --port, or stop what uses this one.",
        ) from None
    return listener


def serve(
    listener: socket.socket, run: ServedRun | None, api_key: str, options: argparse.Namespace
) -> int:
    """Serve on the socket until a signal or a failure to load; return the exit code."""
    host, port = listener.getsockname()[:2]
    print(f"Starting on http://{host}:{port}", flush=True)
    import uvicorn
    from api import make_router
    from auth import Keyring
    from fastapi import FastAPI
    from gate import Gate
    from page import mount_page
    from service import Service

    service, keyring = Service(run), Keyring(api_key)
    if run is None:
        service.detail = "No run is deployed here yet. Deploy one with 'tunesmith endpoint deploy'."
    else:
        service.status = "loading"
        service.detail = f"Loading {run.base_model}."

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(load(service, server, options)) if run else None
        yield
        if loading:
            await loading
        if service.engine:
            await asyncio.to_thread(service.engine.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(make_router(service, keyring))
    app.add_middleware(Gate, keyring=keyring)
    mount_page(app, service)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            ws="none",
        )
    )
    if run is None:
        print(service.detail, flush=True)
    # uvicorn shuts down in order and then raises the signal again; being stopped is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run(sockets=[listener])
    return 1 if service.status == "failed" else 0


async def load(service: Service, server: uvicorn.Server, options: argparse.Namespace) -> None:
    """Load the model and start its engine; end the server when that fails."""
    from engine import Engine

    run = service.run
    assert run is not None
    try:
        model = await asyncio.to_thread(load_model, run)
    except Exception as error:  # one sentence for whatever a broken file or a lack of memory raises
        hint = error.hint if isinstance(error, RefusedToServe) else "Is there memory enough for it?"
        reason = str(error) if isinstance(error, RefusedToServe) else describe(run, error)
        logging.getLogger(__name__).debug("Details", exc_info=True)
        print(f"{reason} {hint}", file=sys.stderr, flush=True)
        service.status, service.detail = "failed", reason
        server.should_exit = True
        return
    service.engine = Engine(model, max_active=options.max_active, max_waiting=options.max_waiting)
    what = "its base alone" if run.adapter_path is None else "and its base"
    service.status = "ok"
    service.detail = f"Serving run {run.run_id} {what} ({run.base_model}) on {model.device}."
    print(service.detail, flush=True)


def load_model(run: ServedRun) -> object:
    """Import what is heavy and load the model; takes seconds to minutes."""
    from model import LoadedModel

    return LoadedModel(run)


def describe(run: ServedRun, error: Exception) -> str:
    """Return a sentence for a model that does not load."""
    first_line = str(error).strip().partition("\n")[0][:300]
    return f"Run {run.run_id} does not load: {type(error).__name__}: {first_line}."


if __name__ == "__main__":
    raise SystemExit(main())
