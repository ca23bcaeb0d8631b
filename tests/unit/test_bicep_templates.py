"""The committed templates: fresh, clean, and the same words in template, parameters and config."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

INFRA = Path(__file__).parents[2] / "infra"
PROVISION = INFRA / "provision"
TEMPLATES = ["finetuning", "inference"]
SOURCES = sorted(PROVISION.rglob("*.bicep"))


def load_compile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("infra_compile", INFRA / "compile.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def nested(template: dict[str, Any]) -> list[dict[str, Any]]:
    """The template and every template inside it."""
    found = [template]
    for resource in template["resources"].values():
        if resource["type"] == "Microsoft.Resources/deployments":
            found += nested(resource["properties"]["template"])
    return found


@pytest.fixture(scope="module")
def bicep() -> Path:
    found = load_compile().find_bicep()
    if found is None:
        pytest.skip("NO BICEP COMPILER: the committed JSON was not compared with its Bicep")
    return found


def run_bicep(bicep: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [bicep, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_committed_json_is_what_the_bicep_compiles_to(
    bicep: Path, name: str, tmp_path: Path
) -> None:
    fresh = tmp_path / f"{name}.json"
    load_compile().build_template(bicep, PROVISION / f"{name}.bicep", fresh)
    assert fresh.read_bytes() == (PROVISION / f"{name}.json").read_bytes(), "run infra/compile.py"


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.name)
def test_linter_has_nothing_to_say(bicep: Path, source: Path) -> None:
    done = run_bicep(bicep, "lint", source)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.name)
def test_bicep_is_in_the_standard_format(bicep: Path, source: Path) -> None:
    assert run_bicep(bicep, "format", source, "--stdout").stdout == source.read_text("utf-8")


def test_lock_matches_every_file() -> None:
    assert read_json(PROVISION / "templates.lock.json") == load_compile().plan_lock(PROVISION)


def test_lock_sees_an_edited_module_but_not_other_line_ends(tmp_path: Path) -> None:
    compile_module = load_compile()
    for file in (*SOURCES, *(PROVISION / f"{name}.json" for name in TEMPLATES)):
        copy = tmp_path / file.relative_to(PROVISION)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    locked = read_json(PROVISION / "templates.lock.json")
    assert compile_module.plan_lock(tmp_path) == locked
    with (tmp_path / "modules" / "workspace.bicep").open("a") as module:
        module.write("// edited\n")
    assert compile_module.plan_lock(tmp_path) != locked


def test_compile_without_a_compiler_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compile_module = load_compile()
    monkeypatch.setattr(compile_module, "find_bicep", lambda: None)
    assert compile_module.main([]) == 1
    assert "az bicep install" in capsys.readouterr().err


@pytest.mark.parametrize("name", TEMPLATES)
def test_parameters_file_offers_every_parameter_but_secrets(name: str) -> None:
    template = read_json(PROVISION / f"{name}.json")
    offered = read_json(PROVISION / f"{name}.parameters.json")["parameters"]
    plain = [
        key for key, spec in template["parameters"].items() if spec.get("type") != "securestring"
    ]
    assert list(offered) == plain
    assert all(entry == {"value": None} for entry in offered.values())


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_plain_parameter_may_be_null(name: str) -> None:
    for key, spec in read_json(PROVISION / f"{name}.json")["parameters"].items():
        assert spec.get("type") == "securestring" or spec.get("nullable") is True, key


@pytest.mark.parametrize("name", TEMPLATES)
def test_everything_named_is_described(name: str) -> None:
    for template in nested(read_json(PROVISION / f"{name}.json")):
        for kind in ("parameters", "outputs", "definitions"):
            for key, spec in template.get(kind, {}).items():
                assert spec.get("metadata", {}).get("description"), f"{kind}: {key}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_config_file_has_the_outputs_as_keys_and_nothing_yet(name: str) -> None:
    outputs = read_json(PROVISION / f"{name}.json")["outputs"]
    assert read_json(INFRA / f"{name}.config.json") == dict.fromkeys(outputs)


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_output_carries_a_key(name: str) -> None:
    for template in nested(read_json(PROVISION / f"{name}.json")):
        text = json.dumps(template["outputs"])
        assert "listKeys" not in text
        assert "apiKey" not in text


def evaluate(
    bicep: Path, folder: Path, name: str, parameters: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Evaluate a template with the compiler's own engine: resource type -> resource."""
    lines = [f"using '{os.path.relpath(PROVISION / f'{name}.bicep', folder)}'"]
    if name == "inference":
        lines.append("param apiKey = 'not-a-real-key-at-all'")
    lines += [f"param {key} = json('{json.dumps(value)}')" for key, value in parameters.items()]
    source = folder / "case.bicepparam"
    source.write_text("\n".join(lines) + "\n")
    done = run_bicep(
        bicep, "snapshot", source, "--mode", "overwrite", "--location", "westeurope",
        "--subscription-id", "00000000-0000-0000-0000-000000000001", "--resource-group", "rg",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    resources = read_json(folder / "case.snapshot.json")["predictedResources"]
    return {resource["type"]: resource for resource in resources}


def test_serverless_profiles_carry_no_counts_and_dedicated_ones_do(
    bicep: Path, tmp_path: Path
) -> None:
    found = evaluate(
        bicep,
        tmp_path,
        "finetuning",
        {"workloadProfileType": "NC24-A100", "maximumInstanceCount": 2},
    )
    profiles = found["Microsoft.App/managedEnvironments"]["properties"]["workloadProfiles"]
    assert profiles == [
        {"name": "Consumption", "workloadProfileType": "Consumption"},
        {
            "name": "NC24-A100",
            "workloadProfileType": "NC24-A100",
            "minimumCount": 0,
            "maximumCount": 2,
        },
    ]


def test_both_templates_agree_on_what_they_share(bicep: Path, tmp_path: Path) -> None:
    one, other = (evaluate(bicep, tmp_path, name, {}) for name in TEMPLATES)
    shared = set(one) & set(other)
    assert len(shared) == 6
    for kind in shared:
        assert one[kind] == other[kind]


def test_cpu_can_be_chosen_and_names_be_given(bicep: Path, tmp_path: Path) -> None:
    found = evaluate(
        bicep,
        tmp_path,
        "inference",
        {"workloadProfileType": "Consumption", "cpu": "0.5", "memory": "1Gi", "acaAppName": "mine"},
    )
    app = found["Microsoft.App/containerApps"]
    assert app["name"] == "mine"
    container = app["properties"]["template"]["containers"][0]
    assert container["resources"] == {"cpu": 0.5, "memory": "1Gi"}
    assert app["properties"]["workloadProfileName"] == "Consumption"
