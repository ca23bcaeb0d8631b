"""From a checked config to a job: model at hand, data read and tokenized, method chosen.

Everything that can be wrong with the input is found here, before the model is loaded.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import base_model
import chat_data
import events
import method
from config import RunConfig
from job import Job
from problem import Finding, TrainingFailed
from run_state import RunState
from split import THRESHOLDS, split
from task import Task

RECORDED = ("torch", "transformers", "peft", "olive-ai", "bitsandbytes", "accelerate")
SHOWN_ERRORS = 5


@dataclass(frozen=True)
class Prepared:
    """A job, and what the Olive workflow needs beside it."""

    job: Job
    model: base_model.BaseModel
    data_sha256: str


def prepare(task: Task, config: RunConfig, state: RunState) -> Prepared:
    """Check and fetch all that training needs, and say the plan. Raises: TrainingFailed."""
    settings = config.finetune
    train_rows, eval_rows, sha256 = _read_data(task, config)
    model = base_model.resolve(config.model_path, task.root, events.say)
    tokenizer = _load_tokenizer(model)
    template = chat_data.chat_template(tokenizer)
    max_tokens = _longest(settings["max_seq_len"], model)
    train = _tokenize(tokenizer, train_rows, max_tokens, settings["dataset_path"])
    held = _tokenize(
        tokenizer, eval_rows, max_tokens, settings["eval_dataset_path"] or settings["dataset_path"]
    )
    if not train:
        raise TrainingFailed(
            "dataset.nothingLeft",
            f"No row of {settings['dataset_path']} has an answer within {max_tokens} tokens.",
            'Raise "max_seq_len" or shorten the rows.',
        )
    parameters = method.count_parameters(model.folder)
    hardware = method.look_at_hardware()
    chosen = method.choose(
        settings["type"],
        settings["torch_dtype"],
        config.training_args.get("gradient_checkpointing"),
        parameters,
        hardware,
    )
    steps = count_steps(len(train), config.training_args)
    state.update(
        steps=steps,
        method=chosen.name,
        method_reason=chosen.reason,
        base_model={
            "id": model.id,
            "path": task.shown(model.folder),
            "license": model.license,
        },
        dataset={
            "sha256": sha256,
            "rows": len(train_rows) + len(eval_rows),
            "train_rows": len(train_rows),
            "eval_rows": len(eval_rows),
        },
        chat_template_sha256=hashlib.sha256(template.encode()).hexdigest(),
        dtype=chosen.dtype,
        seed=config.training_args["seed"],
        versions={
            **(task.request.get("versions") or {}),
            **{name: metadata.version(name) for name in RECORDED if _is_installed(name)},
        },
    )
    job = Job(
        folder=task.folder,
        state=state,
        method=chosen,
        train=train,
        eval=held,
        training_args=config.training_args,
        save_minutes=settings["save_minutes"],
        steps=steps,
        has_later_passes=bool(config.later_passes),
    )
    _say_plan(job, config, model, parameters, hardware)
    return Prepared(job, model, sha256)


def count_steps(examples: int, args: dict[str, Any]) -> int:
    """Return how many optimizer steps a training of so many examples takes."""
    if args["max_steps"] > 0:
        return args["max_steps"]
    batches = math.ceil(examples / args["per_device_train_batch_size"])
    per_epoch = math.ceil(batches / args["gradient_accumulation_steps"])
    return math.ceil(per_epoch * args["num_train_epochs"])


def refuse_or_tell(findings: Sequence[Finding]) -> None:
    """Say all warnings; raise TrainingFailed when there are errors, naming the first few."""
    for finding in findings:
        if finding.severity == "warning":
            events.problem(finding.code, finding.message, finding.hint, "warning")
    errors = [f for f in findings if f.severity == "error"]
    if not errors:
        return
    more = len(errors) - SHOWN_ERRORS
    text = " ".join(f.message for f in errors[:SHOWN_ERRORS])
    raise TrainingFailed(
        errors[0].code,
        text + (f" And {more} more." if more > 0 else ""),
        errors[0].hint or "Correct the file and start a new run.",
    )


def _read_data(
    task: Task, config: RunConfig
) -> tuple[list[chat_data.Row], list[chat_data.Row], str]:
    """Return (training rows, held-out rows, SHA-256 of the training file)."""
    settings = config.finetune
    path = _input(task, settings["dataset_path"])
    rows, findings = chat_data.read_rows(path, settings["dataset_path"])
    refuse_or_tell(findings)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    asked = (task.request.get("dataset") or {}).get("sha256")
    if asked and asked != sha256:
        events.problem(
            "dataset.changed",
            f"{settings['dataset_path']} is not the file that the run was started with.",
            "It is used as it lies in the run's folder.",
            "warning",
        )
    if settings["eval_dataset_path"]:
        other = _input(task, settings["eval_dataset_path"])
        held, findings = chat_data.read_rows(other, settings["eval_dataset_path"])
        refuse_or_tell(findings)
        return rows, held, sha256
    parts = split(rows, settings["eval_fraction"], config.training_args["seed"])
    if parts.threshold > THRESHOLDS[0]:
        events.say(
            f"Many questions follow one pattern; only those alike to {parts.threshold:.0%} were "
            "kept on one side of the held-out set."
        )
    return parts.train, parts.held_out, sha256


def _input(task: Task, name: str) -> Path:
    path = (task.inputs / name).resolve()
    if not path.is_relative_to(task.inputs.resolve()):
        raise TrainingFailed(
            "config.outside",
            f'The data file "{name}" lies outside of the project.',
            "Copy it into dataset/ and name it there.",
        )
    if not path.is_file():
        raise TrainingFailed(
            "dataset.absent",
            f'The data file "{name}" is not among the inputs of the run.',
            "Check passes.finetune in finetuning/olive-config.json, and that the file is there.",
        )
    return path


def _load_tokenizer(model: base_model.BaseModel) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model.folder)
    except Exception as e:  # the library raises nearly everything for a damaged file
        raise TrainingFailed(
            "model.damaged",
            f"The tokenizer of {model.id} cannot be loaded: {e}",
            f"Delete {model.folder.name} below model-cache/ so that it is fetched again.",
        ) from e


def _longest(wanted: int, model: base_model.BaseModel) -> int:
    from transformers import AutoConfig

    try:
        known = AutoConfig.from_pretrained(model.folder).get_text_config()
    except Exception as e:  # an architecture that this transformers doesn't know, most of all
        raise TrainingFailed(
            "model.unsupported",
            f"The base model {model.id} cannot be used: {' '.join(str(e).split())[:300]}",
            "Choose another model, or raise the version of transformers in requirements.txt.",
        ) from e
    limit = getattr(known, "max_position_embeddings", None) or wanted
    if wanted > limit:
        events.problem(
            "config.context",
            f"max_seq_len is {wanted}, and {model.id} reads {limit} tokens at most.",
            f"{limit} is used.",
            "warning",
        )
    return min(wanted, limit)


def _tokenize(
    tokenizer: Any, rows: list[chat_data.Row], max_tokens: int, shown: str
) -> list[chat_data.Example]:
    examples, findings = chat_data.tokenize(tokenizer, rows, max_tokens, shown)
    refuse_or_tell(findings)
    return examples


def _say_plan(
    job: Job,
    config: RunConfig,
    model: base_model.BaseModel,
    parameters: int,
    hardware: method.Hardware,
) -> None:
    args, settings, chosen = config.training_args, config.finetune, job.method
    tokens = sum(len(e.input_ids) for e in job.train)
    answers = sum(sum(t != chat_data.IGNORED for t in e.labels) for e in job.train)
    seen = job.steps * args["per_device_train_batch_size"] * args["gradient_accumulation_steps"]
    epochs = min(seen / len(job.train), args["num_train_epochs"])
    if args["max_steps"] > 0:
        epochs = seen / len(job.train)
    size = f"{parameters / 1e9:.1f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M"
    where = hardware.gpu_name or f"CPU, {_threads()} thread{'s' if _threads() > 1 else ''}"
    licence = f", {model.license}" if model.license else ""
    held = f"{len(job.eval)} held out" if job.eval else "none held out"
    batch = f"batches of {args['per_device_train_batch_size']}"
    if args["gradient_accumulation_steps"] > 1:
        batch += f" x {args['gradient_accumulation_steps']}"
    name = "QLoRA (4-bit base)" if chosen.name == "qlora" else "LoRA"
    lines = {
        "model": f"{model.id} ({size} parameters{licence})",
        "data": f"{settings['dataset_path']}: {len(job.train)} rows to train on, {held}",
        "training": f"{job.steps} steps in {batch}, {epochs:.3g} epochs, "
        f"learning rate {args['learning_rate']:g} ({args['lr_scheduler_type']})",
        "tokens": f"about {tokens * epochs:,.0f} in all epochs; the loss counts the "
        f"{answers / tokens:.0%} that are answers",
        "method": f"{name}, rank {settings['r']}, because {chosen.reason}",
        "computes": f"{chosen.dtype} on {where}"
        + (", with gradient checkpointing" if chosen.gradient_checkpointing else ""),
    }
    if config.later_passes:
        lines["then"] = ", ".join(p["type"] for p in config.later_passes.values())
    events.say("Plan")
    for key, text in lines.items():
        events.say(f"  {key:<9} {text}")


def _threads() -> int:
    import torch

    return int(torch.get_num_threads() or os.cpu_count() or 1)


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
