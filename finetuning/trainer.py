"""Trains an adapter on tokenized conversations with the Hugging Face trainer.

Adds to it: honest token counts, an evaluation before and after, checkpoints that are sealed,
resuming from the newest sound one, and an end on request.
"""

from __future__ import annotations

import inspect
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import checkpoints
import torch
import torch.nn.functional as F
import transformers
from callbacks import Progress
from chat_data import IGNORED, Example
from events import say
from job import Job
from problem import StopRequested
from torch.utils.data import Dataset
from transformers.trainer_callback import PrinterCallback, ProgressCallback


class Examples(Dataset):  # type: ignore[type-arg]
    """A list of examples as torch wants it."""

    def __init__(self, examples: list[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, i: int) -> dict[str, list[int]]:
        example = self._examples[i]
        return {"input_ids": example.input_ids, "labels": example.labels}


class Padded:
    """Joins examples into one batch, padded on the right to the longest of them."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id

    def __call__(self, batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Return int64 (examples, tokens) of input_ids, attention_mask and labels."""
        width = max(len(b["input_ids"]) for b in batch)
        ids, mask, labels = [], [], []
        for b in batch:
            gap = width - len(b["input_ids"])
            ids.append(b["input_ids"] + [self._pad] * gap)
            mask.append([1] * len(b["input_ids"]) + [0] * gap)
            labels.append(b["labels"] + [IGNORED] * gap)
        return {
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.tensor(mask),
            "labels": torch.tensor(labels),
        }


class ChatTrainer(transformers.Trainer):
    """The trainer, counting the tokens that really went through it (no padding).

    It also asks the model for its logits only where some example of the batch has a label: the
    last layer is a large part of a small model, and most tokens are not answers.
    """

    tokens_seen = 0

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        forward = inspect.signature(self.model.get_base_model().forward)
        self._keeps_few_logits = (
            "logits_to_keep" in forward.parameters
            and self.args.label_smoothing_factor == 0
            and self.args.world_size == 1
            and self.args.n_gpu <= 1  # several GPUs in one process cut the list in parts
        )

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kw: Any) -> Any:
        """Count, then train."""
        self.tokens_seen += int(inputs["attention_mask"].sum())
        return super().training_step(model, inputs, *args, **kw)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean cross entropy over the labelled tokens; equal to the stock loss."""
        if not self._keeps_few_logits:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        # The token at place i is predicted from what the model says at place i - 1.
        targets = F.pad(inputs["labels"][:, 1:], (0, 1), value=IGNORED)
        keep = (targets != IGNORED).any(dim=0).nonzero().squeeze(1)
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            logits_to_keep=keep,
        )
        kept = targets[:, keep].to(outputs.logits.device)
        loss = F.cross_entropy(
            outputs.logits.flatten(0, 1).float(), kept.flatten(), reduction="sum"
        )
        count = (kept != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        loss = loss / count
        return (loss, outputs) if return_outputs else loss


def train(job: Job, model: Any, tokenizer: Any, args: transformers.TrainingArguments) -> None:
    """Train to the end and save the adapter to `<run>/adapter`.

    Raises: StopRequested when a signal came, once the checkpoint is there.
    """
    # Olive marks the model as not taking the batch's token count; under gradient accumulation
    # the loss would then be a mean of means.
    base = model.get_base_model()
    if "accepts_loss_kwargs" in vars(base):
        del base.accepts_loss_kwargs
    pad = tokenizer.pad_token_id
    progress = Progress(job)
    chat = ChatTrainer(
        model=model,
        args=args,
        train_dataset=Examples(job.train),
        eval_dataset=Examples(job.eval) if job.eval else None,
        data_collator=Padded(tokenizer.eos_token_id if pad is None else pad),
        callbacks=[progress],
    )
    chat.remove_callback(PrinterCallback)
    chat.remove_callback(ProgressCallback)
    progress.trainer = chat
    with job.stop.listening():
        start = _starting_point(job.folder, progress)
        if start is None and job.eval:
            say(f"Evaluating {len(job.eval)} held-out rows before training ...")
            progress.evaluated_before(chat.evaluate()["eval_loss"])
        # The evaluation draws random numbers; a resumed run does without it.
        transformers.set_seed(args.seed)
        chat.train(resume_from_checkpoint=str(start.folder) if start else None)
        if chat.state.global_step < job.steps:
            raise StopRequested(chat.state.global_step)
        progress.tell_end_of_training()
        if job.eval:
            say(f"Evaluating {len(job.eval)} held-out rows after training ...")
            progress.evaluated_after(chat.evaluate()["eval_loss"])
        save_adapter(model, job.folder / "adapter")
        if job.stop.came and job.has_later_passes:
            raise StopRequested(chat.state.global_step)


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter so that `folder` holds it whole or is not there. Raises: OSError."""
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        model.save_pretrained(part, save_embedding_layers=False)
        for file in part.iterdir():
            with open(file, "rb") as f:
                os.fsync(f.fileno())
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _starting_point(folder: Path, progress: Progress) -> checkpoints.Found | None:
    """Return the checkpoint to go on from, telling what was found; None to start anew."""
    found = checkpoints.find(folder)
    start = checkpoints.newest_valid(found)
    for other in found:
        if other.fault and (start is None or other.step > start.step):
            say(f"Found {other.folder.name}, which can't be used: {other.fault}.")
            shutil.rmtree(other.folder, ignore_errors=True)
    if start is not None:
        say(f"Found {start.folder.name} of an earlier attempt, whole; going on after it.")
        progress.resumed(start)
    elif found or progress.is_later_attempt:
        say("Found no checkpoint of an earlier attempt to go on from; starting at step 0.")
    return start
