"""The first process of a job: claims the attempt, keeps the log, runs the commands.

One file of the standard library, because it runs before anything is installed. It is not the
trainer: it knows nothing of models, and writes nothing of a run but `attempts/` and `log.txt`.
Started without a task folder (somebody pressed "start" on the job itself) it makes a run of its
own from the project as it lies on the share.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

DEFAULT_CONFIG = "finetuning/olive-config.json"
DEFAULT_COMMANDS = (
    'cd "${AZUREBOX_MOUNT:-/mount}"',
    "pip install -q -r finetuning/requirements.txt",
    "python3 finetuning/invoke_olive.py",
)
SHELLS = {"bash", "sh", "dash", "zsh", "ash"}
IDLE_SHELL_S = 1.0
PR_SET_PDEATHSIG = 1  # source: prctl(2)

# Every command is an argument, so that a syntax error stays inside its own command. The number
# of the command that runs goes to a pipe of its own: it survives an `exec` in a command.
RUN_ALL = """
set -eo pipefail
tunesmith_number=0
for tunesmith_command in "$@"; do
  tunesmith_number=$((tunesmith_number + 1))
  echo "$tunesmith_number" >&"$TUNESMITH_PROGRESS_FD"
  printf '[%s/%s] %s\\n' "$tunesmith_number" "$#" "$tunesmith_command"
  eval "$tunesmith_command"
done
"""


class Refused(Exception):
    """Something makes the attempt impossible; the text is the sentence the user reads."""


class Log:
    """Writes bytes to stdout and `log.txt` at once, unbuffered; outlives the loss of either."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._stdout: int | None = 1
        self._at_line_start = True

    def open(self, path: Path) -> None:
        """Append to `path` from now on. Raises: OSError."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def say(self, sentence: str) -> None:
        """Write one line of our own, on a line of its own."""
        start = "" if self._at_line_start else "\n"
        self.write(f"{start}[tunesmith] {sentence}\n".encode())

    def write(self, data: bytes) -> None:
        """Pass bytes on as they are."""
        if not data:
            return
        self._at_line_start = data.endswith(b"\n")
        if self._stdout is not None:
            try:
                _write_all(self._stdout, data)
            except OSError:
                self._stdout = None  # nobody listens any more; the log file is what lasts
        if self._file is not None:
            try:
                _write_all(self._file, data)
            except OSError as e:
                self._file = None
                self.say(
                    f"log.txt could not be written ({e.strerror}); the output goes on here only. "
                    "Free space on the share to keep the next run's log."
                )


class Stop:
    """Whether and by which signal this process was asked to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def listen(self) -> None:
        """Note SIGTERM and SIGINT from now on. A handler, not SIG_IGN: children inherit that."""
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number


def main() -> int:
    """Run one attempt; returns the exit code of its commands."""
    stop = Stop()
    stop.listen()
    log = Log()
    root = Path(__file__).resolve().parent.parent
    try:
        task = find_task(root, log)
        attempt = claim_attempt(task)
    except Refused as e:
        log.say(str(e))
        return 1
    if attempt is None:
        log.say(
            f"Attempt {attempt_number()} of {task.name} has been started before; this doubled "
            "execution ends without touching it."
        )
        return 0
    code, ended_by = run_attempt(root, task, log, stop)
    try:
        write_json(
            task / "attempts" / f"{attempt}.end.json",
            {"v": 1, "exit_code": code, "ended_at": now(), "signal": ended_by},
        )
    except OSError as e:
        log.say(f"How this attempt ended could not be written down: {e.strerror}.")
    return code


def run_attempt(root: Path, task: Path, log: Log, stop: Stop) -> tuple[int, str | None]:
    """Open the log, read what was asked, run it; returns (exit code, signal's name or None)."""
    try:
        log.open(task / "log.txt")
    except OSError as e:
        log.say(f"log.txt cannot be written ({e.strerror}); the output goes on here only.")
    try:
        commands = read_commands(task)
    except Refused as e:
        log.say(str(e))
        return 1, None
    number = attempt_number()
    log.say(f"{task.relative_to(root)}: attempt {number} starts at {now()}.")
    code, failed_at = run_commands(commands, task, root, log, stop)
    name = signal.Signals(stop.signal).name if stop.signal else None
    if name is None and code > 128 and code - 128 in set(signal.Signals):
        name = signal.Signals(code - 128).name
    if code == 0:
        log.say(f"Attempt {number} is done.")
    elif stop.signal:
        log.say(f"Attempt {number} was asked to stop ({name}) and ended with exit code {code}.")
    else:
        command = commands[failed_at - 1] if failed_at else commands[0]
        log.say(
            f"Command {failed_at or 1} of {len(commands)} failed with exit code {code}: {command}"
        )
    return code, name


# --- the task folder ---------------------------------------------------------------------------


def find_task(root: Path, log: Log) -> Path:
    """Return the folder this execution works in; make a run when none was named.

    Raises: Refused.
    """
    named = os.environ.get("TUNESMITH_TASK_DIR", "").strip()
    if not named:
        run_id = os.environ.get("CONTAINER_APP_JOB_EXECUTION_NAME") or date_name()
        task = make_run(root, run_id, default_commands())
        os.environ["TUNESMITH_TASK_DIR"] = str(task.relative_to(root))
        os.environ["TUNESMITH_RUN_ID"] = task.name
        log.say(f"No run was named, so this one is {task.relative_to(root)}.")
        return task
    task = (root / named).resolve()
    if not task.is_relative_to(root) or task == root:
        raise Refused(f"TUNESMITH_TASK_DIR={named} lies outside of {root}; nothing was started.")
    if not task.is_dir():
        raise Refused(
            f"The run folder {named} is not on the share; push the project and start the run again."
        )
    return task


def make_run(root: Path, run_id: str, commands: Sequence[str]) -> Path:
    """Make `runs/<run_id>/` with `request.json` and frozen inputs. Making the folder is the lock.

    A config that is no JSON is frozen as it is: telling what is wrong with it is the trainer's
    work. Raises: Refused.
    """
    task = root / "runs" / run_id
    try:
        task.mkdir(parents=True, exist_ok=False)
    except FileExistsError:
        raise Refused(
            f"runs/{run_id} exists already; this doubled execution ends without touching it."
        ) from None
    except OSError as e:
        raise Refused(f"The run folder runs/{run_id} could not be made: {e.strerror}.") from e
    try:
        dataset = freeze_inputs(root, task / "inputs")
        write_json(
            task / "request.json",
            {
                "v": 1,
                "run_id": run_id,
                "task": "train",
                "created_at": now(),
                "project": root.name,
                "commands": list(commands),
                "config": "inputs/olive-config.json",
                "dataset": dataset,
                "versions": {},
                "settings": {},
            },
        )
    except OSError as e:
        raise Refused(f"The inputs of runs/{run_id} could not be copied: {e}.") from e
    return task


def freeze_inputs(root: Path, inputs: Path) -> dict[str, Any] | None:
    """Copy the config and the data files it names; returns what `request.json` says of the data."""
    inputs.mkdir()
    config = root / DEFAULT_CONFIG
    shutil.copyfile(config, inputs / "olive-config.json")
    try:
        settings = json.loads(config.read_text("utf-8-sig"))["passes"]["finetune"]
        names = [settings.get(k) for k in ("dataset_path", "eval_dataset_path", "questions_path")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    for name in names:
        if not isinstance(name, str):
            continue
        source = (root / name).resolve()
        if source.is_file() and source.is_relative_to(root):
            target = inputs / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    if not isinstance(names[0], str) or not (inputs / names[0]).is_file():
        return None
    data = (inputs / names[0]).read_bytes()
    rows = sum(1 for line in data.splitlines() if line.strip())
    return {"path": names[0], "sha256": hashlib.sha256(data).hexdigest(), "rows": rows}


def default_commands() -> list[str]:
    """Return the job's own commands, as the template gave them. Raises: Refused."""
    text = os.environ.get("TUNESMITH_COMMANDS", "")
    if not text:
        return list(DEFAULT_COMMANDS)
    try:
        return checked_commands(json.loads(text))
    except ValueError as e:
        raise Refused(
            "TUNESMITH_COMMANDS is not a JSON list of commands; provision the job again."
        ) from e


def read_commands(task: Path) -> list[str]:
    """Return the commands of `request.json`. Raises: Refused, with one sentence."""
    path = task / "request.json"
    again = "Start the run again from your project."
    try:
        request = json.loads(path.read_text("utf-8"))
    except OSError as e:
        raise Refused(f"request.json of {task.name} cannot be read ({e.strerror}). {again}") from e
    except ValueError as e:
        raise Refused(f"request.json of {task.name} is not valid JSON ({e}). {again}") from e
    try:
        return checked_commands(request["commands"])
    except (KeyError, TypeError, ValueError):
        raise Refused(f'request.json of {task.name} has no list "commands". {again}') from None


def checked_commands(commands: Any) -> list[str]:
    """Return `commands` if it is a list of texts. Raises: ValueError."""
    if not isinstance(commands, list) or not commands:
        raise ValueError("no commands")
    if not all(isinstance(c, str) and c.strip() for c in commands):
        raise ValueError("a command is no text")
    return commands


def attempt_number() -> int:
    """Return which attempt of the run this execution is, from 1."""
    text = os.environ.get("TUNESMITH_ATTEMPT", "1")
    return int(text) if text.isdigit() and int(text) > 0 else 1


def claim_attempt(task: Path) -> int | None:
    """Create `attempts/<n>.json` for this execution alone; None when another one has it.

    Raises: Refused when the share takes no file.
    """
    number = attempt_number()
    path = task / "attempts" / f"{number}.json"
    claim = {
        "v": 1,
        "attempt": number,
        "execution": os.environ.get("CONTAINER_APP_JOB_EXECUTION_NAME", ""),
        "replica": os.environ.get("CONTAINER_APP_REPLICA_NAME", ""),
        "started_at": now(),
    }
    try:
        path.parent.mkdir(exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return None
    except OSError as e:
        raise Refused(f"{task.name} cannot be written ({e.strerror}); nothing was started.") from e
    try:
        _write_all(file, json.dumps(claim).encode() + b"\n")
        os.fsync(file)
    except OSError as e:
        # An empty claim is still a claim: the next start is another attempt.
        raise Refused(f"{task.name} cannot be written ({e.strerror}); nothing was started.") from e
    finally:
        os.close(file)
    return number


# --- the commands ------------------------------------------------------------------------------


def run_commands(
    commands: Sequence[str], task: Path, root: Path, log: Log, stop: Stop
) -> tuple[int, int]:
    """Run all commands in one shell until one fails; returns (exit code, number of the last one).

    The shell stays in our process group, so whoever ends the container ends it too.
    """
    if stop.signal:
        return 128 + stop.signal, 0
    number_read, number_write = os.pipe()
    os.set_blocking(number_read, False)
    env = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "TUNESMITH_LAUNCHER": "1",
        "TUNESMITH_PROGRESS_FD": str(number_write),
    }
    try:
        shell = subprocess.Popen(
            ["bash", "-c", RUN_ALL, "tunesmith", *commands],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(number_write,),
            preexec_fn=_die_with_parent,
        )
    except OSError as e:
        log.say(f"bash could not be started ({e.strerror}); the image has to have it.")
        return 1, 0
    os.close(number_write)
    _follow(shell, log, stop)
    code = shell.returncode
    numbers = b""
    with contextlib.suppress(OSError):
        numbers = os.read(number_read, 65536)
    os.close(number_read)
    reached = int(numbers.split()[-1]) if numbers.split() else 0
    return (128 - code if code < 0 else code), reached


def _follow(shell: subprocess.Popen[bytes], log: Log, stop: Stop) -> None:
    """Pass output and a stop request on until the shell has ended."""
    assert shell.stdout is not None
    output = shell.stdout.fileno()
    os.set_blocking(output, False)
    forwarding = Forwarding(shell.pid)
    is_open = True
    quiet_until_s: float | None = None
    while True:
        if is_open:
            ready, _, _ = select.select([output], [], [], 0.1)
            if ready:
                try:
                    data = os.read(output, 65536)
                except BlockingIOError:
                    data = b""
                if data:
                    log.write(data)
                else:
                    is_open = False
        else:
            time.sleep(0.02)
            ready = []
        if shell.poll() is not None:
            # Something a command left in the background may hold the pipe open for ever.
            quiet_until_s = quiet_until_s or time.monotonic() + 1.0
            if not is_open or not ready or time.monotonic() > quiet_until_s:
                return
        elif stop.signal == signal.SIGTERM:
            # Ctrl+C needs no help: a terminal signals the whole group.
            forwarding.step()


class Forwarding:
    """Sends SIGTERM once to each process the shell is waiting for.

    A shell that got the signal while it waits would die and leave its child behind, so shells
    are looked through, and are signalled themselves only when they have had no child for a
    while: one whose child just ended is about to end with the child's exit code.
    """

    def __init__(self, shell_pid: int) -> None:
        self._shell_pid = shell_pid
        self._signalled: set[int] = set()
        self._idle_since_s: dict[int, float] = {}

    def step(self) -> None:
        """Signal what runs now. Called again and again until the shell ends: a command that
        starts just now, or follows one that ended well, is caught by the next call."""
        self._pass_on(self._shell_pid)

    def _pass_on(self, shell_pid: int) -> None:
        children = _children(shell_pid)
        if children:
            self._idle_since_s.pop(shell_pid, None)
        else:
            since_s = self._idle_since_s.setdefault(shell_pid, time.monotonic())
            if time.monotonic() - since_s > IDLE_SHELL_S:
                self._signal(shell_pid)
        for pid, name in children.items():
            if name in SHELLS:
                self._pass_on(pid)
            else:
                self._signal(pid)

    def _signal(self, pid: int) -> None:
        if pid not in self._signalled:
            self._signalled.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)


def _children(pid: int) -> dict[int, str]:
    """Return {pid: program name} of the direct children of a process."""
    return {child: name for child, parent, name in _processes() if parent == pid}


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield (pid, parent's pid, program name) of every living process."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=False
        ).stdout
        for line in listing.splitlines():
            pid, parent, name = line.split(None, 2)
            yield int(pid), int(parent), Path(name.strip()).name.lstrip("-")
        return
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            text = Path("/proc", entry.name, "stat").read_text(errors="replace")
            found = re.match(r"(\d+) \((.*)\) (\S) (\d+) ", text, re.DOTALL)
            if found and found[3] != "Z":
                yield int(found[1]), int(found[4]), found[2]


def _die_with_parent() -> None:
    """End the shell when this launcher is killed; a container does the same. Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# --- files -------------------------------------------------------------------------------------


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file that is there whole or not at all. Raises: OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def now() -> str:
    """Return the time in UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def date_name() -> str:
    """Return a name for a run that was started by hand, such as `20260131-142501-4711`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as e:
        Log().say(f"The launcher failed: {e}.")
        sys.exit(1)
