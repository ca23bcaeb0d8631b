"""The main job, as a user types it: from a folder of examples to an endpoint, and down again."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from .conftest import Machine


@pytest.fixture(scope="module")
def project(machine: Machine, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "support"
    done = machine.run("project", "create", str(folder), "--model", str(tiny_model))
    assert done.returncode == 0, done.stdout + done.stderr
    shorten(folder)
    return folder


def shorten(project: Path) -> None:
    """Ten steps are enough to see the flow work."""
    config = project / "finetuning" / "olive-config.json"
    settings = json.loads(config.read_text())
    settings["passes"]["finetune"]["training_args"]["max_steps"] = 10
    config.write_text(json.dumps(settings, indent=2))


@pytest.fixture(scope="module")
def finished_run(machine: Machine, project: Path) -> dict[str, Any]:
    at = ("-C", str(project))
    assert machine.json("project", "check", *at)["errors"] == 0
    outputs = machine.json("infra", "apply", *at)["outputs"]
    config = json.loads((project / "infra" / "finetuning.config.json").read_text())
    assert config["ACA_JOB_NAME"] == outputs["ACA_JOB_NAME"] != ""
    started = machine.json("run", "start", *at)["run"]
    follow = machine.run("run", "logs", "-f", started["id"], *at)
    assert follow.returncode == 0, follow.stdout + follow.stderr
    return machine.json("run", "show", started["id"], *at)


def test_a_run_ends_with_an_adapter_and_says_how(
    machine: Machine, project: Path, finished_run: dict[str, Any]
) -> None:
    assert finished_run["state"] == "succeeded"
    assert finished_run["step"] == finished_run["steps"] == 10
    machine.json("share", "pull", finished_run["id"], "-C", str(project))
    run = project / "runs" / finished_run["id"]
    assert json.loads((run / "run.json").read_text())["artifact"] == {
        "kind": "peft",
        "path": "adapter",
    }
    assert (run / "adapter" / "adapter_model.safetensors").stat().st_size > 0
    assert "step 10/10" in (run / "log.txt").read_text()


def test_a_push_without_changes_sends_nothing(
    machine: Machine, project: Path, finished_run: dict[str, Any]
) -> None:
    again = machine.json("share", "push", "-C", str(project))
    assert (again["files"], again["deleted"]) == (0, 0)


def test_provisioning_again_keeps_names_and_edited_commands(
    machine: Machine, project: Path, finished_run: dict[str, Any]
) -> None:
    file = project / "infra" / "finetuning.config.json"
    config = json.loads(file.read_text())
    config["COMMANDS"] = [*config["COMMANDS"], "echo done"]
    file.write_text(json.dumps(config))
    machine.json("infra", "apply", "-C", str(project))
    assert json.loads(file.read_text()) == config


def test_comparison_asks_every_question_of_both_models(
    machine: Machine, project: Path, finished_run: dict[str, Any]
) -> None:
    sheet = machine.json("run", "compare", "-C", str(project))
    assert (sheet["factsTotal"], sheet["generalTotal"], len(sheet["answers"])) == (40, 20, 60)
    assert all(answer["base"] != "" or answer["tuned"] != "" for answer in sheet["answers"])


@pytest.fixture(scope="module")
def endpoint(machine: Machine, project: Path, finished_run: dict[str, Any]) -> dict[str, Any]:
    return machine.json("endpoint", "deploy", "-C", str(project))["endpoint"]


def test_deploy_waits_until_it_answers_and_says_what_it_serves(
    endpoint: dict[str, Any], finished_run: dict[str, Any]
) -> None:
    with urllib.request.urlopen(endpoint["url"] + "/health", timeout=30) as answer:
        health = json.load(answer)
    assert health["status"] == "ok"
    assert health["run_id"] == endpoint["runId"] == finished_run["id"]


def test_no_answer_without_a_key(endpoint: dict[str, Any]) -> None:
    request = urllib.request.Request(
        endpoint["url"] + "/v1/chat/completions",
        data=json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 401
    refused.value.close()


def test_the_link_signs_a_browser_in_once(
    machine: Machine, project: Path, endpoint: dict[str, Any]
) -> None:
    link = machine.json("endpoint", "open", "-C", str(project))["url"]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(link, timeout=30) as page:
        assert page.status == 200
        assert page.url.rstrip("/") == endpoint["url"]
        assert "gradio" in page.read().decode().lower()
    stranger = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with pytest.raises(urllib.error.HTTPError) as refused:
        stranger.open(link, timeout=30)
    assert refused.value.code in (401, 403, 404, 410)
    refused.value.close()


def test_all_is_taken_down_and_only_that(
    machine: Machine, project: Path, endpoint: dict[str, Any]
) -> None:
    machine.json("infra", "destroy", "-C", str(project))
    left = machine.json("infra", "status", "-C", str(project))
    assert left["resources"] == []
    assert (project / "dataset" / "train.jsonl").exists()
