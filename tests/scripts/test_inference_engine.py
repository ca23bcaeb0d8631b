"""The engine against transformers' own generation, and against itself under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from inference_share import RUN_ID, make_share

import torch  # isort: skip
from decoding import Sampling
from engine import AnswerEvents, Engine, Finished, Piece, PromptRefused, QueueFull
from model import LoadedModel
from run_contract import RefusedToServe, read_run

QUESTION = [{"role": "user", "content": "How long is the warranty?"}]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    return make_share(tmp_path_factory.mktemp("share"), tiny_model)


@pytest.fixture(scope="module")
def engine(share: Path) -> Iterator[Engine]:
    engine = Engine(LoadedModel(read_run(share, RUN_ID)), max_active=3, max_waiting=2)
    yield engine
    engine.close()


async def read_all(events: AnswerEvents) -> tuple[str, Finished]:
    text = ""
    async for event in events:
        if isinstance(event, Finished):
            return text, event
        text += event.text
    raise AssertionError("no end")


def answer(engine: Engine, *, tuned: bool, sampling: Sampling) -> tuple[str, Finished]:
    prompt = engine.model.render(QUESTION)

    async def run() -> tuple[str, Finished]:
        return await read_all(engine.generate(prompt, sampling, tuned=tuned))

    return asyncio.run(run())


@pytest.mark.parametrize("tuned", [True, False])
def test_greedy_answers_are_those_of_transformers(engine: Engine, share: Path, tuned: bool) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(share / "model-cache" / "tiny")
    model = AutoModelForCausalLM.from_pretrained(share / "model-cache" / "tiny")
    if tuned:
        model = PeftModel.from_pretrained(model, share / "runs" / RUN_ID / "adapter")
    prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        made = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    new = made[0, inputs["input_ids"].shape[1] :]
    text, end = answer(engine, tuned=tuned, sampling=Sampling(24))
    assert text == tokenizer.decode(new, skip_special_tokens=True)
    assert end.completion_tokens == len(new)
    assert end.prompt_tokens == inputs["input_ids"].shape[1]


def test_a_prompt_read_in_parts_gives_the_same_answer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = answer(engine, tuned=True, sampling=Sampling(12))
    monkeypatch.setattr("engine.PREFILL_TOKENS", 3)
    assert answer(engine, tuned=True, sampling=Sampling(12))[0] == whole[0]


def test_answers_do_not_depend_on_who_else_asks(engine: Engine) -> None:
    prompt = engine.model.render(QUESTION)
    asked = [
        (True, Sampling(30, 1.0, 0.9, seed=1)),
        (False, Sampling(20, 1.0, 0.9, seed=2)),
        (True, Sampling(25)),
        (False, Sampling(30)),
    ]

    async def together() -> list[tuple[str, Finished]]:
        events = [engine.generate(prompt, sampling, tuned=tuned) for tuned, sampling in asked]
        return await asyncio.gather(*(read_all(each) for each in events))

    texts = [text for text, _ in asyncio.run(together())]
    alone = [answer(engine, tuned=tuned, sampling=sampling)[0] for tuned, sampling in asked]
    assert texts == alone
    assert len(set(texts)) == 4


def test_answers_side_by_side_keep_pace(engine: Engine) -> None:
    prompt = engine.model.render(QUESTION)
    order: list[int] = []

    async def follow(name: int, events: AnswerEvents) -> None:
        async for event in events:
            if isinstance(event, Piece):
                order.append(name)

    async def together() -> None:
        events = [engine.generate(prompt, Sampling(40), tuned=True) for _ in range(2)]
        await asyncio.gather(*(follow(name, each) for name, each in enumerate(events)))

    asyncio.run(together())
    for at in range(2, len(order), 2):
        ahead = order[:at].count(0) - order[:at].count(1)
        assert abs(ahead) <= 3


def test_a_full_line_is_refused_and_a_dropped_answer_makes_room(engine: Engine) -> None:
    prompt = engine.model.render(QUESTION)

    async def run() -> None:
        long = Sampling(1500)
        asked = [engine.generate(prompt, long, tuned=True) for _ in range(5)]
        with pytest.raises(QueueFull):
            engine.generate(prompt, long, tuned=True)
        await asked[0].aclose()
        del asked
        text, _ = await asyncio.wait_for(
            read_all(engine.generate(prompt, Sampling(3), tuned=True)), 20
        )
        assert text

    # The thread frees a place with its next step, so the closing answer may need a moment.
    asyncio.run(run())


def test_a_stop_text_ends_the_answer_before_it(engine: Engine) -> None:
    text, _ = answer(engine, tuned=True, sampling=Sampling(40))
    stop = text[4:7]
    cut, end = answer(engine, tuned=True, sampling=Sampling(40, stop=(stop,)))
    assert cut == text[: text.index(stop)]
    assert end.reason == "stop"
    assert answer(engine, tuned=True, sampling=Sampling(5))[1].reason == "length"


def test_the_end_of_turn_ends_the_answer(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = engine.model.decoder
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in engine.model.end_ids  # type: ignore[attr-defined]
    full, _ = answer(engine, tuned=True, sampling=Sampling(10))
    third = tokenizer(full, add_special_tokens=False)["input_ids"]  # type: ignore[operator]
    monkeypatch.setattr(engine.model, "end_ids", frozenset(third))
    text, end = answer(engine, tuned=True, sampling=Sampling(10))
    assert end.reason == "stop"
    assert end.completion_tokens < 10
    assert full.startswith(text)


def test_another_chat_template_than_in_training_is_refused(share: Path) -> None:
    from dataclasses import replace

    run = replace(read_run(share, RUN_ID), chat_template_sha256="0" * 64)
    with pytest.raises(RefusedToServe, match="chat template"):
        LoadedModel(run)


def test_the_templates_own_refusal_is_passed_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = engine.model._tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", "{{ raise_exception('No system role') }}")
    with pytest.raises(PromptRefused, match="No system role"):
        engine.model.render(QUESTION)
