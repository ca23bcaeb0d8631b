"""The loss over few logits is the stock loss, with and without gradient accumulation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from chat_data import Example


def losses(
    tiny_model: Path, folder: Path, *, few: bool, batch: int, accumulate: int
) -> list[float]:
    """Loss and gradient norm of two steps over eight examples of unequal length."""
    import trainer
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, TrainingArguments, set_seed

    set_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    examples = []
    for i in range(8):
        ids = [(7 * i + 3 * k) % 200 + 3 for k in range(10 + 2 * i)]
        examples.append(Example(ids, [-100] * (6 + i) + ids[6 + i :], i))
    args = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulate,
        max_steps=2,
        logging_steps=1,
        learning_rate=1e-2,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
    )
    chat = trainer.ChatTrainer(
        model=model,
        args=args,
        train_dataset=trainer.Examples(examples),
        data_collator=trainer.Padded(0),
    )
    assert chat._keeps_few_logits
    chat._keeps_few_logits = few
    before = chat.evaluate(trainer.Examples(examples))["eval_loss"]
    chat.train()
    shutil.rmtree(folder, ignore_errors=True)
    found: list[Any] = [before]
    for line in chat.state.log_history:
        if "loss" in line:
            found += [float(line["loss"]), float(line["grad_norm"])]
    return found


def test_few_logits_change_nothing(tiny_model: Path, tmp_path: Path) -> None:
    stock = losses(tiny_model, tmp_path / "a", few=False, batch=8, accumulate=1)
    ours = losses(tiny_model, tmp_path / "b", few=True, batch=8, accumulate=1)
    assert len(stock) == 5
    assert ours == pytest.approx(stock, rel=1e-4)


def test_accumulated_batches_weigh_by_their_tokens(tiny_model: Path, tmp_path: Path) -> None:
    whole = losses(tiny_model, tmp_path / "a", few=True, batch=8, accumulate=1)
    parts = losses(tiny_model, tmp_path / "b", few=True, batch=2, accumulate=4)
    assert parts[1:] == pytest.approx(whole[1:], rel=1e-3)
