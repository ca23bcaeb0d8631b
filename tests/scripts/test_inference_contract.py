"""What the inference app refuses to serve, and in which words. Nothing heavy is loaded here."""

from __future__ import annotations

import ast
import json
import re
import socket
import sys
from pathlib import Path

import pytest
from inference_share import INFERENCE, RUN_ID, free_port, run_app, write_record
from run_contract import RefusedToServe, read_run


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A share with a finished run whose weights are only looked at, never loaded."""
    write_record(tmp_path)
    base = tmp_path / "model-cache" / "tiny"
    adapter = tmp_path / "runs" / RUN_ID / "adapter"
    for file in (
        base / "config.json",
        adapter / "adapter_config.json",
        adapter / "adapter_model.safetensors",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return tmp_path


def check_refused(share: Path, says: str, run_id: str = RUN_ID) -> RefusedToServe:
    with pytest.raises(RefusedToServe) as caught:
        read_run(share, run_id)
    assert says in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_whole_run_names_its_adapter_and_base(share: Path) -> None:
    run = read_run(share, RUN_ID)
    assert run.base_model == "acme/tiny"
    assert run.base_path == share / "model-cache" / "tiny"
    assert run.adapter_path == share / "runs" / RUN_ID / "adapter"


def test_base_only_leaves_the_adapter_out(share: Path) -> None:
    assert read_run(share, RUN_ID, base_only=True).adapter_path is None


def test_unknown_run_names_the_closest_one(share: Path) -> None:
    assert "kettle-1" in check_refused(share, "no run kettle-l", "kettle-l").hint


@pytest.mark.parametrize("run_id", ["../kettle-1", "a/b", "", ".", "x" * 200])
def test_run_ids_that_are_paths_are_refused(share: Path, run_id: str) -> None:
    check_refused(share, "is no run id", run_id)


@pytest.mark.parametrize(
    ("state", "next_step"),
    [("running", "run logs"), ("stopped", "run resume"), ("failed", "run logs")],
)
def test_a_run_that_did_not_succeed_is_refused(share: Path, state: str, next_step: str) -> None:
    write_record(share, state=state)
    assert next_step in check_refused(share, f"is {state}").hint


def test_a_failed_run_says_its_own_reason(share: Path) -> None:
    write_record(share, state="failed", error={"message": "Out of memory at step 7."})
    check_refused(share, "Out of memory at step 7.")


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_record_that_is_nonsense_is_refused(share: Path, text: str) -> None:
    (share / "runs" / RUN_ID / "run.json").write_text(text)
    check_refused(share, "run.json")


def test_a_run_without_a_record_has_not_begun(share: Path) -> None:
    (share / "runs" / RUN_ID / "run.json").unlink()
    check_refused(share, "not begun")


def test_a_record_of_a_later_version_is_refused(share: Path) -> None:
    write_record(share, v=2)
    check_refused(share, "version 2")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_half_adapter_is_refused_and_the_base_not_served(share: Path, name: str) -> None:
    file = share / "runs" / RUN_ID / "adapter" / name
    file.write_text("")
    check_refused(share, f"{name} is empty")
    file.unlink()
    assert "never served" in check_refused(share, f"{name} is missing").hint


def test_a_missing_base_is_refused(share: Path) -> None:
    (share / "model-cache" / "tiny" / "config.json").unlink()
    check_refused(share, "not at model-cache/tiny")


@pytest.mark.parametrize("path", ["../../other", "/etc"])
def test_paths_that_leave_their_place_are_refused(share: Path, path: str) -> None:
    write_record(share, artifact={"kind": "peft", "path": path})
    check_refused(share, "leads out")
    write_record(share, base_model={"id": "x", "path": "../../outside"})
    check_refused(share, "leads out")


@pytest.mark.parametrize("artifact", [None, {"kind": "merged", "path": "model"}])
def test_another_kind_of_artifact_is_refused(share: Path, artifact: object) -> None:
    write_record(share, artifact=artifact)
    check_refused(share, "no adapter that this app can serve")


def test_questions_come_from_the_comparison(share: Path) -> None:
    compare = share / "runs" / RUN_ID / "compare" / "compare.json"
    compare.parent.mkdir()
    answer = {"kind": "fact", "question": "Q1", "tuned_right": True, "base_right": False}
    compare.write_text(
        json.dumps({"v": 1, "answers": [answer, {**answer, "question": "Q2", "base_right": True}]})
    )
    assert read_run(share, RUN_ID).questions == ("Q1",)
    compare.write_text("half a fi")
    assert read_run(share, RUN_ID).questions == ()


def check_ends(done: object, *says: str) -> None:
    assert done.returncode == 1  # type: ignore[attr-defined]
    assert "Traceback" not in done.stderr  # type: ignore[attr-defined]
    assert len(done.stderr.strip().splitlines()) == 1  # type: ignore[attr-defined]
    for text in says:
        assert text in done.stderr  # type: ignore[attr-defined]


def test_the_app_ends_with_one_sentence_for_a_run_it_cannot_serve(share: Path) -> None:
    write_record(share, state="stopped")
    check_ends(run_app(share, "--run", RUN_ID), "is stopped", "run resume")
    check_ends(run_app(share, TUNESMITH_RUN_ID=RUN_ID), "is stopped")


def test_the_app_ends_when_its_port_is_in_use(share: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        check_ends(run_app(share, "--port", port), f"127.0.0.1:{port}", "in use", "--port")


def test_the_app_does_not_start_without_a_key(share: Path) -> None:
    check_ends(run_app(share, TUNESMITH_API_KEY=""), "TUNESMITH_API_KEY", "endpoint deploy")


def test_a_broken_adapter_ends_the_app_with_a_sentence(share: Path) -> None:
    done = run_app(share, "--run", RUN_ID, "--port", str(free_port()), timeout_s=240)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"Run {RUN_ID} does not load" in done.stderr


def test_the_app_imports_only_itself_and_its_requirements() -> None:
    lines = (INFERENCE / "requirements.txt").read_text().splitlines()
    named = {re.split(r"[=<>]", line)[0] for line in lines if line and not line.startswith("#")}
    own = {file.stem for file in INFERENCE.glob("*.py")}
    allowed = named | own | set(sys.stdlib_module_names) | {"starlette"}  # fastapi is built on it
    for file in INFERENCE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [node.module or ""]
            else:
                continue
            assert {name.partition(".")[0] for name in found} <= allowed, file.name
