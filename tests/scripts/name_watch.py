"""Watches which host names a process and its children look up, and refuses all but this machine's.

A `sitecustomize.py` on PYTHONPATH is loaded by every Python there is, before any program. Each
writes down that it is watched, so that a test can tell silence from a watch that was never there.
"""

from __future__ import annotations

from pathlib import Path

# What would keep libraries silent although our own code forgot to ask them to.
ASKS_FOR_SILENCE = {
    "CI",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "GRADIO_ANALYTICS_ENABLED",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_OFFLINE",
    "MLFLOW_DISABLE_TELEMETRY",
    "OLIVE_DISABLE_TELEMETRY",
}
WATCH = """
import os, socket, sys

def note(what):
    with open(os.environ["NAME_WATCH_FILE"], "a") as file:
        file.write(what + "\\n")

def watched(real):
    def look_up(host, *rest, **named):
        if host not in (None, "", "127.0.0.1", "localhost", "0.0.0.0", "::1"):
            note(f"looked up {host}")
            raise socket.gaierror(f"no look-up of {host} in this test")
        return real(host, *rest, **named)
    return look_up

for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    setattr(socket, name, watched(getattr(socket, name)))
note("watched " + " ".join(sys.orig_argv))
"""


class NameWatch:
    """A watch that lives in `folder`; `env` puts a process and its children under it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(WATCH)
        self._notes = folder / "notes.txt"
        self.env = {"PYTHONPATH": str(folder), "NAME_WATCH_FILE": str(self._notes)}

    def check(self, *scripts: str) -> None:
        """Assert that each of the scripts ran under the watch, and that no name was looked up."""
        notes = self._notes.read_text().splitlines()
        for script in scripts:
            assert any(n.startswith("watched ") and script in n for n in notes), (script, notes)
        looked_up = [n for n in notes if n.startswith("looked up ")]
        assert not looked_up, looked_up
