"""The loaded model: one base with one adapter that is switched on and off.

Not safe for concurrent use: one thread owns it (engine.py). Only `render` may be called from
elsewhere; it touches nothing that a step changes.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import math
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from choosing import choose_token, make_generator
from decoding import Decoder
from engine import PromptRefused
from peft import PeftModel
from run_contract import RefusedToServe, ServedRun
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

# Progress bars and advice for programmers have no place in the app's log.
transformers_logging.disable_progress_bar()
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")

# A message that no template drops or trims, to find what a template puts after an answer.
PROBE = "answer"


class LoadedModel:
    """A base model and, unless only the base is served, the adapter of a run."""

    def __init__(self, run: ServedRun) -> None:
        torch.set_num_threads(usable_cores())
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = AutoTokenizer.from_pretrained(run.base_path)
        check_template(self._tokenizer.chat_template, run)
        # A copy for the thread that decodes: a tokenizer may not be shared while it encodes.
        self.decoder: Decoder = copy.deepcopy(self._tokenizer)
        base = AutoModelForCausalLM.from_pretrained(run.base_path, dtype=choose_dtype(self.device))
        self.context_tokens = int(getattr(base.config, "max_position_embeddings", 0) or 2048)
        self.end_ids = frozenset(find_end_ids(self._tokenizer, base.generation_config))
        self._last_only = "logits_to_keep" in inspect.signature(base.forward).parameters
        self._config = base.config
        self._adapted: PeftModel | None = None
        if run.adapter_path is not None:
            base = self._adapted = PeftModel.from_pretrained(base, run.adapter_path)
        self._model: Any = base.to(self.device).eval()
        self._is_tuned_on = self._adapted is not None

    @property
    def has_adapter(self) -> bool:
        """Whether "tuned" can be asked for."""
        return self._adapted is not None

    def render(self, messages: list[dict[str, str]]) -> list[int]:
        """Return the prompt's token ids, rendered as in training by the model's own template.

        Raises: PromptRefused with the template's own reason.
        """
        try:
            text = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # Jinja's errors and whatever a template raises itself
            raise PromptRefused(f"The model's chat template refuses this: {error}") from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    choose = staticmethod(choose_token)
    make_generator = staticmethod(make_generator)

    def new_cache(self) -> DynamicCache:
        """Return an empty store for one sequence's keys and values."""
        return DynamicCache(config=self._config)

    @torch.inference_mode()
    def forward(self, token_ids: list[int], cache: DynamicCache, *, tuned: bool) -> torch.Tensor:
        """Feed tokens of one sequence; return the logits after the last, shape (vocabulary,)."""
        self._switch(tuned)
        extra = {"logits_to_keep": 1} if self._last_only else {}
        out = self._model(
            input_ids=torch.tensor([token_ids], device=self.device),
            past_key_values=cache,
            use_cache=True,
            **extra,
        )
        return out.logits[0, -1]

    def _switch(self, tuned: bool) -> None:
        if self._adapted is None or tuned == self._is_tuned_on:
            return
        layers = self._adapted.base_model
        layers.enable_adapter_layers() if tuned else layers.disable_adapter_layers()
        self._is_tuned_on = tuned


def check_template(template: Any, run: ServedRun) -> None:
    """Raises: RefusedToServe when there is no chat template, or not the one of the training."""
    if not isinstance(template, str) or not template:
        raise RefusedToServe(
            f"{run.base_model} has no chat template, so it cannot chat.",
            "Tune a model whose name says 'instruct' or 'chat'.",
        )
    found = hashlib.sha256(template.encode()).hexdigest()
    if run.chat_template_sha256 and found != run.chat_template_sha256:
        raise RefusedToServe(
            f"The chat template of {run.base_model} is not the one that run {run.run_id} "
            "trained with.",
            "Start a new run, or put the model's folder on the share back as it was.",
        )


def find_end_ids(tokenizer: Any, generation_config: Any) -> set[int]:
    """Return what ends an answer: the model's own tokens, and what its template puts after one."""
    ends: set[int] = set()
    for found in (getattr(generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        ends.update(found if isinstance(found, list) else [] if found is None else [found])
    turn = [{"role": "user", "content": PROBE}, {"role": "assistant", "content": PROBE}]
    try:
        text = tokenizer.apply_chat_template(turn, tokenize=False)
    except Exception:  # a template with demands of its own; the model's tokens have to do
        return ends
    tail = tokenizer(text.rpartition(PROBE)[2], add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", {}))
    ends.update(token for token in tail[:1] if token in special)
    return ends


def choose_dtype(device: torch.device) -> torch.dtype | str:
    """Return the weights' type: as stored on a CPU, what the GPU computes natively otherwise."""
    if device.type == "cpu":
        return "auto"
    return torch.bfloat16 if torch.cuda.get_device_capability()[0] >= 8 else torch.float16


def usable_cores() -> int:
    """Return how many cores this container may use; torch would count those of the whole host."""
    if named := os.environ.get("OMP_NUM_THREADS", ""):
        return max(1, int(named)) if named.isdigit() else 1
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup, or no limit ("max")
        pass
    return max(1, cores)
