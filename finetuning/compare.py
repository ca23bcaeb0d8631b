"""Asks base and tuned model the same questions and counts who is right.

Both answers come from one loaded model, with the adapter on and off, greedily, so that nothing
but the training makes the difference. Writes `compare.json` in `runs/<id>/compare/`.
By hand: `python finetuning/compare.py runs/<id>`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before torch is loaded: it looks at these once.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", category=FutureWarning)

import chat_data  # noqa: E402
import events  # noqa: E402
import run_state  # noqa: E402
from answers import is_right  # noqa: E402
from problem import TrainingFailed, unexpected  # noqa: E402

DEFAULTS = {"max_new_tokens": 64, "batch_size": 20}


@dataclass(frozen=True)
class Question:
    """One line of the questions' file."""

    id: str
    kind: str
    text: str
    expected: tuple[str, ...]


def main() -> int:
    """Compare; returns 0, or 1 with a sentence about what is missing; 143 or 130 when stopped."""
    # Not by an exception: libraries catch those. What is written here is written whole or not.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda number, _: os._exit(128 + number))
    root = Path(__file__).resolve().parent.parent
    try:
        compare(root, *_folders(root))
    except TrainingFailed as e:
        events.problem(e.code, e.message, e.hint)
        return 1
    except OSError as e:
        events.problem(
            "compare.notWritten",
            f"A file of the comparison could not be read or written: {e.strerror or e}.",
            "Free space on the share and compare again.",
        )
        return 1
    except Exception as e:
        failure = unexpected("compare.failed", "Comparing", e, _folders(root)[1] / "error.txt")
        events.problem(failure.code, failure.message, failure.hint)
        return 1
    return 0


def compare(root: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Ask everything, write `<folder>/compare.json` and return its content.

    Raises: TrainingFailed, OSError.
    """
    state = run_state.read(run)
    if state is None or state.get("state") != "succeeded":
        how = "has not begun" if state is None else f"is {state.get('state')}"
        raise TrainingFailed(
            "compare.runNotSucceeded",
            f"Run {run.name} {how}, so there is no tuned model to compare.",
            "Wait for the run to succeed, or resume it.",
        )
    questions = _read_questions(root, run, folder)
    settings = {**DEFAULTS, **_asked_settings(folder)}
    events.say(
        f"Comparing on {len(questions)} questions, each asked of the base model and of the "
        f"tuned one: {state['base_model']['id']} with {run.name}."
    )
    started_s = time.monotonic()
    model, tokenizer, dtype = _load(root, run, state)
    said: dict[str, list[str]] = {}
    for name in ("base", "tuned"):
        with model.disable_adapter() if name == "base" else contextlib.nullcontext():
            said[name] = _ask(model, tokenizer, questions, settings, name)
    answers = [
        {
            "id": q.id,
            "kind": q.kind,
            "question": q.text,
            "expected": list(q.expected),
            "base": base,
            "base_right": is_right(base, q.expected),
            "tuned": tuned,
            "tuned_right": is_right(tuned, q.expected),
        }
        for q, base, tuned in zip(questions, said["base"], said["tuned"], strict=True)
    ]
    result = {
        "v": 1,
        "run_id": state["run_id"],
        "facts": _count(answers, "fact"),
        "general": _count(answers, "general"),
        "answers": answers,
        "settings": {
            **settings,
            "decoding": "greedy",
            "dtype": dtype,
            "base_model": state["base_model"]["id"],
            "took_s": round(time.monotonic() - started_s, 1),
        },
    }
    run_state.write_json(folder / "compare.json", result)
    _tell(result)
    return result


# --- what to compare ---------------------------------------------------------------------------


def _folders(root: Path) -> tuple[Path, Path]:
    """Return (run folder, folder of the comparison). Raises: TrainingFailed."""
    named = os.environ.get("TUNESMITH_TASK_DIR", "").strip()
    if named:
        folder = (root / named).resolve()
        run = folder.parent
    elif len(sys.argv) == 2:
        run = (root / sys.argv[1]).resolve()
        folder = run / "compare"
    else:
        raise TrainingFailed(
            "compare.noRun",
            "No run was named.",
            "Name its folder: python finetuning/compare.py runs/<id>",
        )
    if not run.is_relative_to(root / "runs") or not run.is_dir():
        raise TrainingFailed("compare.noRun", f"There is no run folder {run.name} in runs/.")
    folder.mkdir(exist_ok=True)
    return run, folder


def _asked_settings(folder: Path) -> dict[str, int]:
    """Return the numbers that `request.json` sets, as far as they are sensible."""
    try:
        asked = json.loads((folder / "request.json").read_text("utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(asked, dict):
        return {}
    return {k: v for k, v in asked.items() if k in DEFAULTS and isinstance(v, int) and v > 0}


def _read_questions(root: Path, run: Path, folder: Path) -> list[Question]:
    try:
        config = json.loads((run / "inputs/olive-config.json").read_text("utf-8-sig"))
        name = config["passes"]["finetune"].get("questions_path", "dataset/questions.jsonl")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        name = "dataset/questions.jsonl"
    if not name:
        raise TrainingFailed(
            "compare.noQuestions",
            "The run's config names no questions to compare with.",
            'Set "questions_path" to a file of questions and start a new run.',
        )
    places = [folder / "inputs" / name, run / "inputs" / name, root / name]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise TrainingFailed(
            "compare.noQuestions",
            f"The file of questions {name} is neither among the run's inputs nor in the project.",
            "Add it and compare again.",
        )
    try:
        text, _ = chat_data.decode(path.read_bytes())
    except UnicodeDecodeError as e:
        raise TrainingFailed(
            "compare.badQuestion",
            f"{name}: the bytes are no UTF-8 text ({e.reason} at byte {e.start}).",
            "Save the file as UTF-8 and compare again.",
        ) from e
    questions = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            questions.append(_question(line, name, number))
    if not questions:
        raise TrainingFailed("compare.noQuestions", f"There is no question in {name}.")
    return questions


def _question(line: str, name: str, number: int) -> Question:
    try:
        value = json.loads(line)
        expected = tuple(value["expected"])
        kind = value.get("kind", "fact")
        if not expected or not all(isinstance(e, str) and e.strip() for e in expected):
            raise ValueError('"expected" has to be a list of texts')
        if isinstance(value["expected"], str) or not isinstance(value["question"], str):
            raise ValueError('"question" has to be a text, "expected" a list')
        if kind not in ("fact", "general"):
            raise ValueError('"kind" has to be "fact" or "general"')
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        what = f"{e} is missing" if isinstance(e, KeyError) else str(e)
        raise TrainingFailed(
            "compare.badQuestion",
            f"{name}, line {number}: {what}.",
            'A line has to be {"id", "kind", "question", "expected": [...]}.',
        ) from e
    return Question(str(value.get("id") or number), kind, value["question"], expected)


# --- asking ------------------------------------------------------------------------------------


def _load(root: Path, run: Path, state: dict[str, Any]) -> tuple[Any, Any, str]:
    """Return (model with adapter, tokenizer, number format)."""
    import method
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = root / state["base_model"]["path"]
    adapter = run / state["artifact"]["path"]
    for folder, what in ((base, "base model"), (adapter, "adapter")):
        if not folder.is_dir():
            raise TrainingFailed(
                "compare.absent",
                f"The {what} of run {run.name} is not in {folder.relative_to(root)}.",
                "Start the run again.",
            )
    hardware = method.look_at_hardware()
    dtype = torch.bfloat16 if hardware.is_bf16_fast else torch.float32
    more: dict[str, Any] = {}
    if hardware.gpu_bytes:
        dtype = torch.bfloat16 if hardware.is_bf16_fast else torch.float16
        more["device_map"] = "auto"
        if state.get("method") == "qlora" and hardware.has_bitsandbytes:
            from transformers import BitsAndBytesConfig

            # As it was trained: a model that needed 4 bits to train may need them to answer.
            more["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
            )
    events.say("Loading the model ...")
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, **more)
    model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    return model, tokenizer, str(dtype).removeprefix("torch.")


def _ask(
    model: Any,
    tokenizer: Any,
    questions: Sequence[Question],
    settings: dict[str, int],
    name: str,
) -> list[str]:
    """Return the model's answers in the order of the questions. Short ones are asked together."""
    import torch

    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": q.text}], tokenize=False, add_generation_prompt=True
        )
        for q in questions
    ]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers = [""] * len(prompts)
    total, size = 2 * len(prompts), settings["batch_size"]
    done = 0 if name == "base" else len(prompts)
    started_s = time.monotonic()
    for start in range(0, len(order), size):
        some = order[start : start + size]
        batch = tokenizer(
            [prompts[i] for i in some],
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
        ).to(model.device)
        with torch.inference_mode():
            out = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=settings["max_new_tokens"],
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        width = batch["input_ids"].shape[1]
        for i, ids in zip(some, out[:, width:], strict=True):
            answers[i] = tokenizer.decode(ids, skip_special_tokens=True).strip()
        done += len(some)
        per_question_s = (time.monotonic() - started_s) / (start + len(some))
        eta_s = round(per_question_s * (total - done), 1)
        events.say(f"{name:<5} {done}/{total} answers, about {eta_s:.0f} s left")
        events.emit(
            "progress",
            phase=f"compare-{name}",
            step=done,
            steps=total,
            loss=None,
            tokens_per_s=None,
            eta_s=eta_s,
        )
    return answers


# --- the result --------------------------------------------------------------------------------


def _count(answers: Sequence[dict[str, Any]], kind: str) -> dict[str, int]:
    own = [a for a in answers if a["kind"] == kind]
    return {
        "total": len(own),
        "base": sum(a["base_right"] for a in own),
        "tuned": sum(a["tuned_right"] for a in own),
    }


def _tell(result: dict[str, Any]) -> None:
    for key, title in (("facts", "facts"), ("general", "general questions")):
        counts = result[key]
        if counts["total"]:
            events.say(
                f"{title}: base {counts['base']} of {counts['total']} right, "
                f"tuned {counts['tuned']} of {counts['total']}"
            )
    events.emit("metric", name="compare", facts=result["facts"], general=result["general"])


if __name__ == "__main__":
    sys.exit(main())
