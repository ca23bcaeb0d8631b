"""4-bit training on a CPU: its gradients, and a whole run with a merge after it, in silence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ProjectFolder, read_json

# Every look-up of a name is written down and refused, in every Python of the run.
WATCH = """
import os, socket
def getaddrinfo(host, *args, **kw):
    with open(os.environ["LOOKED_UP"], "a") as file:
        file.write(f"{host}\\n")
    raise socket.gaierror(f"no look-up of {host} in this test")
socket.getaddrinfo = getaddrinfo
"""


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


def test_qlora_trains_merges_and_compares_without_looking_up_a_name(
    project: ProjectFolder, tmp_path: Path
) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch/sitecustomize.py").write_text(WATCH)
    looked_up = tmp_path / "looked-up.txt"
    path = project.root / "finetuning/olive-config.json"
    config = read_json(path)
    config["passes"]["finetune"]["type"] = "TunesmithQLoRA"
    config["passes"]["finetune"]["training_args"]["num_train_epochs"] = 20
    config["passes"]["merge"] = {"type": "MergeAdapterWeights"}
    path.write_text(json.dumps(config))
    watch = {
        "PYTHONPATH": str(tmp_path / "watch"),
        "LOOKED_UP": str(looked_up),
        "HF_HUB_OFFLINE": "0",
    }
    run = project.make_run("r1")
    code, log = project.finish(run, **watch)
    assert code == 0, log
    state = read_json(run / "run.json")
    assert state["method"] == "qlora"
    assert "QLoRA (4-bit base), rank 16, because the config asks for it" in log
    losses = [float(x) for x in re.findall(r"loss (\d+\.\d+)", log)]
    assert losses[-1] < losses[0] / 2
    norms = [
        line["grad_norm"]
        for line in map(json.loads, (run / "metrics.jsonl").open())
        if "grad_norm" in line
    ]
    assert min(norms[:3]) > 0.2
    assert (run / "model/model.safetensors").is_file()
    assert not (run / "adapter/model.safetensors").exists()

    comparison = run / "compare"
    comparison.mkdir()
    request = read_json(run / "request.json")
    request |= {
        "task": "compare",
        "settings": {"max_new_tokens": 8},
        "commands": [request["commands"][-1].replace("invoke_olive", "compare")],
    }
    (comparison / "request.json").write_text(json.dumps(request))
    code, log = project.finish(comparison, TUNESMITH_RUN_ID="r1", **watch)
    assert code == 0, log
    result = read_json(comparison / "compare.json")
    assert result["run_id"] == "r1"
    assert result["facts"]["total"] == 4
    assert result["facts"]["base"] == 0
    assert [a["id"] for a in result["answers"]] == ["f0", "f1", "f2", "f3"]
    assert any(a["base"] != a["tuned"] for a in result["answers"])
    assert result["settings"]["max_new_tokens"] == 8
    assert "tuned 8/8 answers" in log

    assert not looked_up.exists(), looked_up.read_text()
