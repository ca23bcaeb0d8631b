"""The process above a container's first process, so that containers outlive azurebox.

It is started once for each container, reads its order from stdin, steps out of azurebox's
session, runs the command as its child, writes the output with times to `log.txt` and at the
end how it ended to `exit.json`. SIGTERM to it stops the container: SIGTERM to the first process
alone and, when `stop.json`'s grace is over, SIGKILL to everything below. As in a container, the
end of the first process is the end of all others.

Standard library only: `python -m azurebox.runtime.supervisor FOLDER`. It knows no images, and
the command's environment reaches neither its argv nor the disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from azurebox.runtime.atomic import read_json, write_json
from azurebox.runtime.identity import children, identity
from azurebox.runtime.mount import enter_root
from azurebox.runtime.output import LineSplitter, now_iso

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # <sys/prctl.h>
_DRAIN_S = 2.0
START_ERROR_EXIT_CODE = 128
DEFAULT_GRACE_S = 30.0


def main(folder: Path) -> int:
    """Start the supervisor behind this process; return once the command runs or cannot."""
    order: dict[str, Any] = json.load(sys.stdin)
    ready_r, ready_w = os.pipe()
    if os.fork():
        os.close(ready_w)
        return 0 if os.read(ready_r, 1) else 1
    os.setsid()
    os.close(ready_r)
    _leave_standard_files(folder)
    supervisor = _Supervisor(folder, order)
    supervisor.start()
    os.write(ready_w, b"1")
    os.close(ready_w)
    supervisor.run()
    return 0


class _Supervisor:
    def __init__(self, folder: Path, order: dict[str, Any]) -> None:
        self._folder = folder
        self._order = order
        self._pid = 0
        self._wait_status: int | None = None
        self._kill_at: float | None = None
        self._stop_asked = False
        self._start_error = ""

    def start(self) -> None:
        """Fork the command and write `process.json`."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._wake_r, wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(wake_w, False)
        signal.set_wakeup_fd(wake_w)
        signal.signal(signal.SIGCHLD, _on_sigchld)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._log = os.open(
            self._folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._output, output_w = os.pipe()
        error_r, error_w = os.pipe()
        started_at = now_iso()
        self._kills_at_start = _out_of_memory_kills()
        self._pid = os.fork()
        if self._pid == 0:
            _become_command(self._folder, self._order, output_w, error_w)
        os.close(output_w)
        os.close(error_w)
        # Closed by exec; otherwise it says why there was none.
        with open(error_r, "rb") as error:
            self._start_error = error.read().decode("utf-8", "replace")
        self._order = {}  # the environment holds secrets: not kept longer than needed
        write_json(
            self._folder / "process.json",
            {
                "pid": self._pid,
                "identity": identity(self._pid),
                "supervisor_pid": os.getpid(),
                "supervisor_identity": identity(os.getpid()),
                "started_at": started_at,
            },
        )

    def run(self) -> None:
        """Pass the output on until the command has ended, then write `exit.json`."""
        splitter = LineSplitter()
        drain_until: float | None = None
        open_output = True
        while open_output or self._wait_status is None:
            now_s = time.monotonic()
            if drain_until is not None and now_s > drain_until:
                break  # something we could not kill holds the pipe
            if self._kill_at is not None and now_s >= self._kill_at:
                self._kill_all()
                self._kill_at = None
            watched = [self._wake_r, *([self._output] if open_output else [])]
            ready, _, _ = select.select(watched, [], [], self._timeout_s(now_s, drain_until))
            if self._output in ready:
                data = os.read(self._output, 65536)
                open_output = bool(data)
                self._write(splitter.feed(data, time.monotonic()))
            if self._wake_r in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_r, 4096)
            if self._stop_asked:
                self._stop_asked = False
                self._ask_to_stop()
            if self._reap() and drain_until is None:
                drain_until = time.monotonic() + _DRAIN_S
                self._kill_all()
        self._kill_all()
        self._write(splitter.end())
        if self._start_error:
            self._write([self._start_error])
        os.fsync(self._log)
        self._write_exit()

    def _on_sigterm(self, *_: object) -> None:
        self._stop_asked = True

    def _ask_to_stop(self) -> None:
        asked = read_json(self._folder / "stop.json") or {}
        grace_s = float(asked.get("grace_s", DEFAULT_GRACE_S))
        kill_at = time.monotonic() + grace_s
        self._kill_at = kill_at if self._kill_at is None else min(kill_at, self._kill_at)
        if self._wait_status is None:
            os.kill(self._pid, signal.SIGTERM)  # not yet waited for, so the pid is still its own

    def _timeout_s(self, now_s: float, drain_until: float | None) -> float | None:
        ends = [end for end in (self._kill_at, drain_until) if end is not None]
        return max(0.0, min(ends) - now_s) if ends else None

    def _reap(self) -> bool:
        """Collect ended children, adopted ones too; return whether the first process has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self._pid:
                self._wait_status = status
        return self._wait_status is not None

    def _kill_all(self) -> None:
        """SIGKILL to the group and to all below this process, as often as there are any left."""
        # The group's number stays taken while a member lives; with none left nothing is hit,
        # unless the number was given anew: so only a leader not waited for, or members we see.
        for _ in range(20):
            below = _descendants(os.getpid())
            if (
                self._wait_status is None
                or sys.platform != "linux"
                or any(_group_of(pid) == self._pid for pid in below)
            ):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            if not below:
                return
            time.sleep(0.01)

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        time_iso = now_iso()
        data = "".join(f"{time_iso} {line}\n" for line in lines).encode()
        # A full disk must not stop the command, which may be saving elsewhere.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._log, data) :]

    def _write_exit(self) -> None:
        status = self._wait_status
        code, killed_by = START_ERROR_EXIT_CODE, None
        if status is not None and not self._start_error:
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                killed_by, code = -code, 128 - code
        reason = "StartError" if self._start_error else _reason(code, self._kills_at_start)
        write_json(
            self._folder / "exit.json",
            {"exit_code": code, "signal": killed_by, "reason": reason, "ended_at": now_iso()},
        )


def _become_command(folder: Path, order: dict[str, Any], output_w: int, error_w: int) -> NoReturn:
    """Turn the forked child into the container's command. Never returns."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        # Python ignores these two, and an ignored signal stays ignored over exec.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(output_w, 1)
        os.dup2(output_w, 2)
        if order["mounts"]:
            root = folder / "root"
            root.mkdir(exist_ok=True)
            enter_root(root, [(mount["folder"], mount["path"]) for mount in order["mounts"]])
        # After the namespace, whose new rights take this back: without its supervisor the
        # command's output goes nowhere, so it ends with it.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(order["cwd"])
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except BaseException as e:
        reason = f"cannot start {order['argv'][0]!r}: {e}"
        os.write(error_w, reason.encode("utf-8", "replace")[:4000])
    finally:
        os._exit(START_ERROR_EXIT_CODE)


def _on_sigchld(number: int, frame: FrameType | None) -> None:
    """Nothing: that it was caught wakes the loop up."""


def _leave_standard_files(folder: Path) -> None:
    """Let go of azurebox's pipes; what this process itself has to say goes to a file."""
    null = os.open(os.devnull, os.O_RDWR)
    own = os.open(folder / "supervisor.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, null), (1, own), (2, own)):
        os.dup2(source, target)
    os.close(null)
    os.close(own)


def _descendants(pid: int) -> list[int]:
    below = children(pid)
    for child in list(below):
        below += _descendants(child)
    return [child for child in below if identity(child) is not None]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _reason(exit_code: int, kills_at_start: int) -> str:
    """Return the service's word for this end.

    137 may come from the first process or, passed on by it, from a child of it.
    """
    if exit_code == 128 + signal.SIGKILL and _out_of_memory_kills() > kills_at_start:
        return "OOMKilled"
    return "Completed" if exit_code == 0 else "Error"


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since the machine started."""
    try:
        counters = Path("/proc/vmstat").read_text().split()
        return int(counters[counters.index("oom_kill") + 1])
    except (OSError, ValueError):
        return 0


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
