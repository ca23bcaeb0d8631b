"""4-bit training on a CPU: its gradients, and a whole run with merge and comparison, in silence."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import ProjectFolder, fresh_project, read_json, wait_for
from name_watch import NameWatch


def _four_bit(tiny_model: Path) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, set_seed

    set_seed(0)
    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(tiny_model, quantization_config=quantised)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights="gaussian")
    return get_peft_model(model, config)


def _input_gradient(model: Any, *, evaluates_before: bool) -> float:
    """Norm of the gradient that reaches the first layer through all the others."""
    import torch

    ids = torch.arange(3, 99).reshape(6, 16) % 200
    if evaluates_before:
        model.eval()
        with torch.no_grad():
            model(input_ids=ids[:1, :1])
            model(input_ids=ids)
    model.train()
    embeddings = model.get_input_embeddings()(ids).detach().requires_grad_()
    model(inputs_embeds=embeddings, labels=ids).loss.backward()
    assert embeddings.grad is not None
    return float(embeddings.grad.norm())


def test_an_evaluation_takes_no_gradient_away(tiny_model: Path) -> None:
    pytest.importorskip("bitsandbytes")
    import passes

    norms = []
    for evaluates_before in (False, True):
        model = _four_bit(tiny_model)
        passes.keep_gradients_through_4_bits(model)
        norms.append(_input_gradient(model, evaluates_before=evaluates_before))
    assert norms[0] > 0
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)


def test_without_the_remedy_the_gradient_is_lost_where_the_kernel_exists(tiny_model: Path) -> None:
    bnb = pytest.importorskip("bitsandbytes")
    if not bnb.functional.has_avx512bf16():
        pytest.skip("this CPU has no AVX512-BF16, so the kernel without gradient is not used")
    norms = [
        _input_gradient(_four_bit(tiny_model), evaluates_before=evaluates_before)
        for evaluates_before in (False, True)
    ]
    assert norms[1] != pytest.approx(norms[0], rel=0.05)


@dataclass
class QloraRun:
    """A whole run in 4 bits with a merge after it, that was watched all along."""

    project: ProjectFolder
    run: Path
    log: str
    watch: NameWatch


@pytest.fixture(scope="module")
def qlora(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[QloraRun]:
    pytest.importorskip("bitsandbytes")
    folder = tmp_path_factory.mktemp("qlora")
    project = fresh_project(folder, tiny_model)
    project.configure(
        args={"num_train_epochs": 20, "learning_rate": 1e-2},
        type="TunesmithQLoRA",
        lora_dropout=0.05,
        save_minutes=0,
    )
    path = project.root / "finetuning/olive-config.json"
    config = read_json(path)
    config["passes"]["merge"] = {"type": "MergeAdapterWeights"}
    path.write_text(json.dumps(config))
    watch = NameWatch(folder / "watch")
    run = project.make_run("r1")
    code, log = project.finish(run, HF_HUB_OFFLINE="0", **watch.env)
    assert code == 0, log
    yield QloraRun(project, run, log, watch)
    project.close()


def test_qlora_learns_and_its_merge_follows(qlora: QloraRun) -> None:
    assert read_json(qlora.run / "run.json")["method"] == "qlora"
    assert "QLoRA (4-bit base), rank 16, because the config asks for it" in qlora.log
    losses = [float(x) for x in re.findall(r"loss (\d+\.\d+)", qlora.log)]
    assert losses[-1] < losses[0] / 2
    lines = map(json.loads, (qlora.run / "metrics.jsonl").open())
    norms = [line["grad_norm"] for line in lines if "grad_norm" in line]
    assert min(norms[:3]) > 0.2
    assert (qlora.run / "model/model.safetensors").is_file()
    assert not (qlora.run / "adapter/model.safetensors").exists()


def test_qlora_stopped_by_ctrl_c_goes_on_to_the_same_adapter(qlora: QloraRun) -> None:
    run = qlora.project.make_run("r2")
    process = qlora.project.start(run)
    wait_for(lambda: list(run.glob("checkpoint-*/COMPLETE")), "a checkpoint")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output.decode()
    assert b"Traceback" not in output
    code, log = qlora.project.finish(run, 2)
    assert code == 0, log
    assert "of an earlier attempt, whole; going on after it" in log
    adapters = [r / "adapter/adapter_model.safetensors" for r in (qlora.run, run)]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def test_a_comparison_asks_both_and_nothing_looks_up_a_name(qlora: QloraRun) -> None:
    comparison = qlora.run / "compare"
    comparison.mkdir()
    request = read_json(qlora.run / "request.json")
    request |= {
        "task": "compare",
        "settings": {"max_new_tokens": 8},
        "commands": [request["commands"][-1].replace("invoke_olive", "compare")],
    }
    (comparison / "request.json").write_text(json.dumps(request))
    code, log = qlora.project.finish(
        comparison, TUNESMITH_RUN_ID="r1", HF_HUB_OFFLINE="0", **qlora.watch.env
    )
    assert code == 0, log
    result = read_json(comparison / "compare.json")
    assert result["run_id"] == "r1"
    assert result["facts"]["total"] == 4
    assert result["facts"]["base"] == 0
    assert [a["id"] for a in result["answers"]] == ["f0", "f1", "f2", "f3"]
    assert any(a["base"] != a["tuned"] for a in result["answers"])
    assert result["settings"]["max_new_tokens"] == 8
    assert "tuned 8/8 answers" in log
    qlora.watch.check("launcher.py", "invoke_olive.py", "compare.py")
