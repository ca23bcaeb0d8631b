"""`azurebox pull` and `azurebox images`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import platformdirs

from azurebox.images.downloads import size_text
from azurebox.images.images import CATALOG, Images, PullFailed, UnknownImage
from azurebox.images.pull import pull


def default_cache() -> Path:
    """Return AZUREBOX_CACHE, or the user's cache folder for azurebox."""
    chosen = os.environ.get("AZUREBOX_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("azurebox"))


def add_commands(subparsers: Any) -> None:
    """Add `pull` and `images` to argparse's subparsers; each sets `run` to its function."""
    puller = subparsers.add_parser("pull", help="build an image's environment on this machine")
    puller.add_argument("name", help="training, inference, python, or the image's full name")
    puller.set_defaults(run=run_pull)
    lister = subparsers.add_parser("images", help="list the images and whether they are there")
    lister.add_argument("--json", action="store_true", help="print JSON")
    lister.set_defaults(run=run_images)
    for parser in (puller, lister):
        parser.add_argument("--cache", type=Path, default=None, help="where environments are kept")
        parser.add_argument("--catalog", type=Path, default=CATALOG, help=argparse.SUPPRESS)


def run_pull(args: argparse.Namespace) -> int:
    """Build the image, lines on stderr, one JSON line on stdout. Returns the exit code."""
    images = Images(args.cache or default_cache(), args.catalog)
    try:
        environment = images.environment(images.find(args.name))
        pull(environment, _say)
    except (UnknownImage, PullFailed) as e:
        _say(str(e))
        return 1
    except KeyboardInterrupt:
        _say(f"{args.name}: interrupted; the next pull starts it anew")
        return 130
    except OSError as e:
        _say(f"{args.name}: the environment could not be written: {e}. Check the disk, pull again")
        return 1
    print(json.dumps(_facts(images, environment.image.short)))  # noqa: T201
    return 0


def run_images(args: argparse.Namespace) -> int:
    """List all images on stdout, as a table or with --json. Returns the exit code."""
    images = Images(args.cache or default_cache(), args.catalog)
    rows = [_facts(images, image.short) for image in images.all()]
    if args.json:
        print(json.dumps(rows))  # noqa: T201
        return 0
    for row in rows:
        download = row["download_bytes"]
        missing = "not pulled" + (f", about {size_text(download)} to download" if download else "")
        print(f"{row['short']:<10} {row['path'] if row['ready'] else missing}")  # noqa: T201
    return 0


def _facts(images: Images, short: str) -> dict[str, Any]:
    environment = images.environment(images.find(short))
    return {
        "name": environment.image.name,
        "short": short,
        "ready": environment.is_ready,
        "path": str(environment.path),
        "python": str(environment.python),
        "hash": environment.hash,
        "download_bytes": environment.image.download_bytes,
    }


def _say(line: str) -> None:
    # Whoever started the pull may be gone; the build is worth finishing all the same.
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except OSError:
        return


def main() -> int:
    """Run one of the two commands on its own."""
    parser = argparse.ArgumentParser(prog="azurebox")
    add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
