from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from conftest import ProjectFolder, read_json, wait_for

TRAINER = """
import os, signal, sys, time
def stop(number, frame):
    print("trainer got", number, flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
print("trainer runs", os.getpid(), flush=True)
while True:
    time.sleep(0.05)
"""


def test_runs_all_commands_in_one_shell_and_tees_their_output(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run(
        "r1", ["cd dataset", "export NAME=anvil", 'echo "$NAME in ${PWD##*/}"; echo oops >&2']
    )
    code, output = bare_project.finish(run)
    assert code == 0
    assert "anvil in dataset" in output
    assert "oops" in output
    assert (run / "log.txt").read_text() == output
    assert read_json(run / "attempts/1.json")["attempt"] == 1
    end = read_json(run / "attempts/1.end.json")
    assert (end["exit_code"], end["signal"]) == (0, None)


def test_a_failing_install_shows_in_the_log_and_in_the_exit_code(
    bare_project: ProjectFolder,
) -> None:
    pip = f"{sys.executable} -m pip install --no-index no-such-package-anywhere"
    run = bare_project.make_run("r1", ["true", pip, "echo never"])
    code, output = bare_project.finish(run)
    assert code == 1
    assert "No matching distribution found for no-such-package-anywhere" in output
    assert f"Command 2 of 3 failed with exit code 1: {pip}" in output
    assert "\nnever" not in output
    assert read_json(run / "attempts/1.end.json")["exit_code"] == 1


def test_exit_code_of_the_failing_command_is_the_jobs(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["exec bash -c 'exit 41'"])
    code, output = bare_project.finish(run)
    assert code == 41
    assert "Command 1 of 1 failed with exit code 41" in output


def test_a_syntax_error_is_the_fault_of_its_own_command(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["echo first", "if then", "echo last"])
    code, output = bare_project.finish(run)
    assert code != 0
    assert "\nfirst" in output
    assert "Command 2 of 3 failed" in output


def test_sigterm_to_the_first_process_alone_reaches_the_trainer(
    bare_project: ProjectFolder,
) -> None:
    (bare_project.root / "trainer.py").write_text(TRAINER)
    for i, command in enumerate(
        [
            f"{sys.executable} trainer.py",
            f"exec {sys.executable} trainer.py",
            f"(cd . && {sys.executable} trainer.py)",
            f"bash -c '{sys.executable} trainer.py; exit $?'",
        ]
    ):
        run = bare_project.make_run(f"r{i}", ["true", command])
        process = bare_project.start(run)
        wait_for(lambda run=run: "trainer runs" in _text(run / "log.txt"), "the trainer")
        os.kill(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
        assert b"trainer got 15" in output, command
        assert process.returncode == 75, command
        assert read_json(run / "attempts/1.end.json")["signal"] == "SIGTERM"


def test_sigterm_ends_a_command_before_the_trainer_too(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["echo installing; sleep 60", "echo trainer"])
    process = bare_project.start(run)
    wait_for(lambda: "\ninstalling" in _text(run / "log.txt"), "the first command")
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 143
    assert b"\ntrainer" not in output


def test_the_commands_end_with_a_killed_launcher(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["echo $$ > shell.pid; sleep 60; true"])
    process = bare_project.start(run)
    pid = int(wait_for(lambda: _text(bare_project.root / "shell.pid"), "the shell"))
    process.kill()
    process.wait()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of the shell", 5)


def test_a_doubled_execution_ends_without_touching_anything(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["echo once"])
    assert bare_project.finish(run)[0] == 0
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    code, output = bare_project.finish(run)
    assert code == 0
    assert "doubled execution" in output
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_the_next_attempt_appends_to_the_log(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["echo number $TUNESMITH_ATTEMPT"])
    bare_project.finish(run, 1)
    bare_project.finish(run, 2)
    log = (run / "log.txt").read_text()
    assert "number 1" in log
    assert "number 2" in log


def test_started_by_hand_it_makes_a_run_with_frozen_inputs(bare_project: ProjectFolder) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("TUNESMITH_")}
    env |= {
        "TUNESMITH_COMMANDS": json.dumps(["echo by hand in $TUNESMITH_TASK_DIR"]),
        "CONTAINER_APP_JOB_EXECUTION_NAME": "job-abc",
    }
    command = [sys.executable, str(bare_project.root / "finetuning/launcher.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "by hand in runs/job-abc" in done.stdout
    run = bare_project.root / "runs/job-abc"
    request = read_json(run / "request.json")
    assert request["task"] == "train"
    assert request["dataset"]["rows"] == 24
    frozen = run / "inputs/dataset/train.jsonl"
    assert frozen.read_bytes() == (bare_project.root / "dataset/train.jsonl").read_bytes()
    assert (run / "inputs/dataset/questions.jsonl").is_file()


def test_what_it_cannot_use_it_says_in_one_sentence(bare_project: ProjectFolder) -> None:
    def check(name: str, request: str | None, said: str) -> None:
        run = bare_project.make_run(name, ["true"])
        path = run / "request.json"
        path.unlink() if request is None else path.write_text(request)
        code, output = bare_project.finish(run)
        assert code == 1
        assert said in output
        assert "Traceback" not in output
        assert said in (run / "log.txt").read_text()
        assert read_json(run / "attempts/1.end.json")["exit_code"] == 1

    check("r1", "{", "request.json of r1 is not valid JSON")
    check("r2", "[]", 'request.json of r2 has no list "commands"')
    check("r3", '{"commands": [1]}', 'request.json of r3 has no list "commands"')
    check("r4", None, "request.json of r4 cannot be read (No such file or directory)")


def test_a_run_folder_that_is_not_there_is_named(bare_project: ProjectFolder) -> None:
    missing = bare_project.root / "runs/gone"
    code, output = bare_project.finish(missing)
    assert code == 1
    assert "The run folder runs/gone is not on the share" in output
    assert not missing.exists()


def test_a_full_disk_costs_the_log_file_only(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["echo still here", "exit 7"])
    (run / "log.txt").symlink_to("/dev/full")
    code, output = bare_project.finish(run)
    assert code == 7
    assert "No space left on device" in output
    assert "still here" in output


def test_a_background_process_does_not_keep_the_job_alive(bare_project: ProjectFolder) -> None:
    run = bare_project.make_run("r1", ["sleep 30 & echo done"])
    code, output = bare_project.finish(run)
    assert code == 0
    assert "done" in output


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
