"""The demo's decisions: what it does afresh, what it uses again, where it stops.

A small world answers the operations here; the demo against the real ones is an end-to-end test.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_bench import Bench
from tunesmith.core.endpoints import Endpoint, EndpointAnswer, EndpointDeployed, EndpointLink
from tunesmith.core.infra import InfraResult
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.problems import Problem
from tunesmith.core.project import CheckReport, CreatedProject, DatasetSummary
from tunesmith.core.runs import Comparison, LogPage, Run, RunList, RunStarted
from tunesmith.core.sync import SyncResult
from tunesmith.core.targets import TargetStatus

NEW = Plan("", (PlanRow("create", "x"),), "")
SAME = Plan("", (PlanRow("keep", "x"),), "")
RUN = Run(
    id="r1", state="succeeded", reason="", model="m", recipe="chat", method="lora", step=69,
    steps=69, loss=0.4, eval_loss=None, created_at="", started_at="", ended_at="", executions=(),
    artifact="a", can_resume=False,
)  # fmt: skip


class World:
    """What an earlier demo may have left; every call is noted."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.runs: list[Run] = []
        self.ends = "succeeded"
        self.problems: tuple[Problem, ...] = ()
        self.infra: set[str] = set()
        self.endpoint = Endpoint("", "absent", "", "", "")
        for name in (
            "target/status", "project/create", "project/check", "infra/plan", "infra/apply",
            "share/push", "run/list", "run/start", "run/resume", "run/logs", "run/compare",
            "endpoint/status", "endpoint/deploy", "endpoint/ask", "endpoint/open",
        ):  # fmt: skip
            bench.answer(name, getattr(self, name.replace("/", "_")))

    def called(self) -> list[str]:
        return [name for name, _ in self.bench.calls]

    def target_status(self, ctx: Any, p: Any) -> TargetStatus:
        return TargetStatus("local", "ready", "", "https://127.0.0.1:1")

    def project_create(self, ctx: Any, p: Any) -> CreatedProject:
        for name in ("finetuning/olive-config.json", "dataset/train.jsonl"):
            path = Path(p.folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        return CreatedProject(p.folder, "demo", p.model or "small", 2)

    def project_check(self, ctx: Any, p: Any) -> CheckReport:
        rows = DatasetSummary("dataset/train.jsonl", 200, 200, "UTF-8", 10685, 92)
        return CheckReport((rows,), self.problems, len(self.problems), 0)

    def infra_plan(self, ctx: Any, p: Any) -> InfraResult:
        return InfraResult(p.kind, SAME if p.kind in self.infra else NEW, False, {})

    def infra_apply(self, ctx: Any, p: Any) -> InfraResult:
        self.infra.add(p.kind)
        return InfraResult(p.kind, NEW, True, {})

    def share_push(self, ctx: Any, p: Any) -> SyncResult:
        return SyncResult(NEW, True, 3, 100, 0, ())

    def run_list(self, ctx: Any, p: Any) -> RunList:
        return RunList(tuple(self.runs))

    def run_start(self, ctx: Any, p: Any) -> RunStarted:
        self.runs = [replace(RUN, state="queued")]
        return RunStarted(NEW, True, self.runs[0])

    def run_resume(self, ctx: Any, p: Any) -> RunStarted:
        return RunStarted(NEW, True, replace(self.runs[0], state="queued"))

    def run_logs(self, ctx: Any, p: Any) -> LogPage:
        ended = replace(RUN, state=self.ends, reason="", can_resume=self.ends == "interrupted")
        self.runs = [ended]
        return LogPage(ended, (), 0, True)

    def run_compare(self, ctx: Any, p: Any) -> Comparison:
        return Comparison(SAME, True, p.run, 40, 0, 36, 20, 20, 18)

    def endpoint_status(self, ctx: Any, p: Any) -> Endpoint:
        return self.endpoint

    def endpoint_deploy(self, ctx: Any, p: Any) -> EndpointDeployed:
        self.endpoint = Endpoint("app", "healthy", "http://127.0.0.1:2", p.run, "m")
        return EndpointDeployed(NEW, True, self.endpoint)

    def endpoint_ask(self, ctx: Any, p: Any) -> EndpointAnswer:
        return EndpointAnswer("base", "No idea." if p.base else "27 months.", 4, 0.1)

    def endpoint_open(self, ctx: Any, p: Any) -> EndpointLink:
        return EndpointLink("http://127.0.0.1:2/auth/once", 60)


@pytest.fixture
def world(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> World:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return World(Bench(monkeypatch, capsys))


def test_the_first_demo_walks_the_whole_way_and_shows_each_command(world: World):
    ended = world.bench.run("demo")
    assert ended.code == 0, ended.err
    for line in (
        "$ tunesmith project create demo",
        "$ tunesmith infra apply -C demo",
        "$ tunesmith run start -C demo",
        "$ tunesmith run compare r1 -C demo",
        "$ tunesmith endpoint deploy r1 -C demo",
    ):
        assert line in ended.out
    assert "0 of 40" in ended.out and "36 of 40" in ended.out
    assert "http://127.0.0.1:2/auth/once" in ended.out
    assert "http://127.0.0.1:2/v1/chat/completions" in ended.out
    assert "tunesmith infra destroy -C demo" in ended.out
    assert ended.out.index("free:") < ended.out.index("1/8")  # the plan comes first


def test_the_second_demo_uses_what_is_there_and_says_so(world: World):
    world.bench.run("demo")
    world.bench.calls.clear()
    ended = world.bench.run("demo")
    assert ended.code == 0
    made = {"project/create", "infra/apply", "run/start", "run/logs", "endpoint/deploy"}
    assert not made & set(world.called())
    assert "r1 was trained on exactly these inputs" in ended.out
    assert "serves this run already" in ended.out
    assert "36 of 40" in ended.out


def test_changed_data_is_trained_anew(world: World):
    world.bench.run("demo")
    Path("demo/dataset/train.jsonl").write_text("{} ")
    world.bench.calls.clear()
    assert world.bench.run("demo").code == 0
    assert "run/start" in world.called()


def test_an_interrupted_run_is_told_and_goes_on(world: World):
    world.ends = "interrupted"
    ended = world.bench.run("demo")
    assert ended.code == 1
    assert "run resume r1 -C demo" in ended.err
    world.ends = "succeeded"
    world.bench.calls.clear()
    ended = world.bench.run("demo")
    assert ended.code == 0
    assert "found run r1 interrupted at step 69" in ended.out
    assert "run/resume" in world.called() and "run/start" not in world.called()


def test_a_run_under_way_is_joined(world: World):
    world.bench.run("demo")
    world.runs = [replace(RUN, state="running")]
    world.bench.calls.clear()
    ended = world.bench.run("demo")
    assert ended.code == 0
    assert "joining it" in ended.out
    assert "run/logs" in world.called() and "run/start" not in world.called()


def test_a_failed_run_ends_the_demo_before_anything_is_served(world: World):
    world.ends = "failed"
    ended = world.bench.run("demo")
    assert ended.code == 1
    assert "tunesmith run logs r1 -C demo" in ended.err
    assert not {"run/compare", "endpoint/deploy"} & set(world.called())


def test_bad_data_ends_the_demo_before_anything_is_provisioned(world: World):
    world.problems = (
        Problem("dataset/train.jsonl", 7, 1, "error", "dataset.noAnswer", "Bad row", "Mend it"),
    )
    ended = world.bench.run("demo")
    assert ended.code == 1
    assert "dataset/train.jsonl:7:1" in ended.out
    assert "infra/apply" not in world.called()


def test_folder_and_model_are_taken_from_the_line(world: World):
    assert world.bench.run("demo", "--folder=there", "--model", "tiny").code == 0
    params = dict(world.bench.calls)["project/create"]
    assert (params.folder, params.model) == ("there", "tiny")


def test_the_closing_lines_can_be_typed_when_the_program_is_not_on_the_path(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("sys.argv", [str(tmp_path / ".venv/bin/tunesmith"), "demo"])
    ended = world.bench.run("demo")
    assert ".venv/bin/tunesmith infra destroy -C demo" in ended.out
    assert "$(.venv/bin/tunesmith endpoint key -C demo)" in ended.out
