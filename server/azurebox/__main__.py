"""The command `azurebox`: serve an Azure on this machine, build images, list them."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from azurebox.images.cli import add_commands, default_cache
from azurebox.serve import ServeOptions, serve

_ABOUT = """\
azurebox is an Azure that lives on this machine. The unmodified Azure SDKs deploy
templates, run container jobs and apps and use file shares on it, over https with a
certificate authority of its own, on 127.0.0.1 alone. No account is needed and nothing
leaves the machine.
"""
_MORE = """\
examples:
  azurebox serve --state ~/.local/state/azurebox   serve in the foreground
  azurebox pull python                             build the small image
  azurebox images                                  what is there and what is not

`serve` prints one line of JSON when it is ready (addresses, CA file, credentials) and
keeps it in azurebox.json in the state folder, readable by you alone. Stopping it stops
no container: they go on, and the next `serve` on the same folder takes them up again.
"""

MAX_PORT = 65535


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="azurebox",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    server = commands.add_parser("serve", help="serve ARM, Entra, Azure Files and pages")
    server.add_argument("--state", type=Path, default=None, help="the folder with everything in it")
    server.add_argument("--cache", type=Path, default=None, help="where images are built")
    server.add_argument("--port", default="0", help="https port of ARM and Entra")
    server.add_argument("--http-port", default="0", help="http port of the pages")
    server.add_argument("--subscription", default=None, metavar="ID", help="subscription id")
    server.add_argument(
        "--idle-exit-s",
        type=float,
        default=3600.0,
        metavar="S",
        help="end after so many seconds without a request or a container (default 3600)",
    )
    server.set_defaults(run=_run_serve)
    add_commands(commands)
    args = parser.parse_args(argv)
    return int(args.run(args))


def _run_serve(args: argparse.Namespace) -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # It warns for every write to a client that left in the middle of an answer.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    try:
        port = _port(args.port, "--port")
        http_port = _port(args.http_port, "--http-port")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options = ServeOptions(
        state=args.state or Path(platformdirs.user_state_dir("azurebox")),
        cache=args.cache or default_cache(),
        port=port,
        http_port=http_port,
        subscription=args.subscription,
        idle_exit_s=args.idle_exit_s,
    )
    try:
        return asyncio.run(serve(options))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        sys.stderr.write(f"azurebox cannot use {options.state}: {error.strerror or error}.\n")
        return 1


def _port(text: str, option: str) -> int:
    """Return the port that an option names. Raises: ValueError with a sentence."""
    port = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if not 0 <= port <= MAX_PORT:
        raise ValueError(
            f"{option} {text} is no port: give a number from 1 to {MAX_PORT}, or leave {option}"
            " out to have a free one chosen."
        )
    return port


if __name__ == "__main__":
    sys.exit(main())
