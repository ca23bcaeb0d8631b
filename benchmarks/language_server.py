"""Time and memory of the language server's start, against a bare pygls server in the same run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil

BARE_SERVER = "from pygls.lsp.server import LanguageServer; LanguageServer('bare', '1').start_io()"
ROUNDS = 9


@dataclass(frozen=True)
class Start:
    """One start: seconds until the answer to `initialize`, resident bytes half a second later."""

    initialize_s: float
    idle_rss_bytes: int


def measure_start(argv: list[str]) -> Start:
    """Start a server on stdio, send `initialize`, wait for its answer, look at its memory."""
    params = {"processId": None, "rootUri": None, "capabilities": {}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    message = f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    began = time.perf_counter()
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(message)
        process.stdin.flush()
        header = process.stdout.readline()
        initialize_s = time.perf_counter() - began
        assert header.startswith(b"Content-Length"), header
        time.sleep(0.5)
        rss = psutil.Process(process.pid).memory_info().rss
        process.kill()
    return Start(initialize_s, rss)


def measure_command(argv: list[str]) -> float:
    """Seconds that a command takes as a whole process."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print the table; servers take turns so that a busy machine slows both."""
    bare: list[Start] = []
    ours: list[Start] = []
    helps: list[float] = []
    pythons: list[float] = []
    for _ in range(ROUNDS):
        bare.append(measure_start([sys.executable, "-c", BARE_SERVER]))
        ours.append(measure_start([sys.executable, "-m", "tunesmith.cli", "lsp"]))
        helps.append(measure_command([sys.executable, "-m", "tunesmith.cli", "--help"]))
        pythons.append(measure_command([sys.executable, "-c", "import argparse"]))

    def median(values: list[float]) -> float:
        return statistics.median(values)

    bare_s, ours_s = (median([s.initialize_s for s in starts]) for starts in (bare, ours))
    bare_mb, ours_mb = (median([s.idle_rss_bytes / 1e6 for s in starts]) for starts in (bare, ours))
    print("| what | tunesmith | rival | ratio |")
    print("|---|---|---|---|")
    print(
        f"| `initialize`, against a bare pygls server | {ours_s:.2f} s | {bare_s:.2f} s"
        f" | {ours_s / bare_s:.2f} |"
    )
    print(
        f"| idle memory, against the same | {ours_mb:.0f} MB | {bare_mb:.0f} MB"
        f" | {ours_mb / bare_mb:.2f} |"
    )
    print(
        f"| `tunesmith --help`, against `python -c 'import argparse'` | {median(helps):.2f} s"
        f" | {median(pythons):.2f} s | {median(helps) / median(pythons):.2f} |"
    )


if __name__ == "__main__":
    main()
