"""Our training passes: Olive's LoRA and QLoRA with training code of our own.

Olive keeps what it is good at: loading, quantising, attaching the adapter, and the passes that
follow (merge, quantise, convert). Shape and traps were found with olive-ai 0.13.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

import trainer
import transformers
from job import current
from olive.model import HfModelHandler
from olive.passes.olive_pass import PassConfigParam
from olive.passes.pytorch.lora import LoRA, QLoRA
from problem import TrainingFailed, unexpected

# Part of Olive's cache key, which knows nothing of the code of a pass.
PASS_VERSION = 1
WRITE_FAILED = ("os error", "No space left", "File too large", "PytorchStreamWriter", "iostream")


class AdapterOnly(HfModelHandler):
    """A model that Olive writes down by name, so that it makes no copy of the base model."""

    def to_json(self, check_object: bool = False) -> dict[str, Any]:
        """Return the handler's form with the base model's path as a name."""
        config = super().to_json(check_object)
        config["config"]["model_path"] = {
            "type": "string_name",
            "config": {"name": str(self.model_path)},
        }
        return config


class ChatTraining:
    """What both passes share. First among the bases, so that it comes before Olive's class."""

    @classmethod
    def _default_config(cls, accelerator_spec: Any) -> dict[str, PassConfigParam]:
        config = super()._default_config(accelerator_spec)  # type: ignore[misc]
        config.pop("train_data_config")
        config.pop("eval_data_config")
        # Olive's own type is list[str], which rules "all-linear" out.
        config["target_modules"] = PassConfigParam(
            type_=Union[str, list[str]],  # noqa: UP007 (Olive inspects it)
            default_value="all-linear",
            description="Layers to adapt",
        )
        config["dataset_sha256"] = PassConfigParam(
            type_=str, required=True, description="Hash of all that was read; for the cache key"
        )
        config["seed"] = PassConfigParam(type_=int, default_value=0, description="Seed")
        config["pass_version"] = PassConfigParam(
            type_=int, default_value=PASS_VERSION, description="Version of this code"
        )
        return config

    @classmethod
    def check_dependencies(cls, config: Any, is_qlora: bool = False) -> None:
        """Accept a run folder with files in it; Olive's check does not."""

    def _run_for_config(self, model: Any, config: Any, output_model_path: str) -> Any:
        try:
            return super()._run_for_config(model, config, output_model_path)  # type: ignore[misc]
        except Exception as e:
            # Olive would swallow RuntimeError, OSError and MemoryError and end with success.
            raise explain(e) or unexpected("train.failed", "Training", e, current().details) from e

    def load_base_pytorch_model(self, model_handler: Any, config: Any, **kwargs: Any) -> Any:
        """Load the base model; seeds first, since the adapter is drawn right after."""
        transformers.set_seed(config.seed)
        model = super().load_base_pytorch_model(model_handler, config, **kwargs)  # type: ignore[misc]
        keep_gradients_through_4_bits(model)
        return model

    def train_and_save_new_model(
        self,
        model: Any,
        tokenizer: Any,
        config: Any,
        output_model: Any,
        output_model_path: str,
    ) -> Any:
        """Train on the current job's examples; the adapter lands in the run's folder too."""
        job = current()
        args = config.training_args.create_training_args()
        trainer.train(job, model, tokenizer, args)
        adapter = Path(output_model_path) / "adapter"
        trainer.save_adapter(model, adapter)
        output_model.set_resource("adapter_path", adapter)
        output_model.__class__ = AdapterOnly
        return output_model


class TunesmithLoRA(ChatTraining, LoRA):
    """LoRA on the base model in full precision."""


class TunesmithQLoRA(ChatTraining, QLoRA):
    """LoRA on the base model in 4 bits."""


def keep_gradients_through_4_bits(model: Any) -> None:
    """Turn off a kernel that has no gradient.

    With AVX512-BF16, bitsandbytes 0.50 repacks a 4-bit weight at the first forward in eval mode
    and never unpacks it; from then on the layer's input gets no gradient, with nothing but a
    warning. The flag is looked at in every forward.
    """
    try:
        from bitsandbytes.nn import Linear4bit
    except Exception:  # no bitsandbytes, no 4-bit layers
        return
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def explain(error: Exception) -> TrainingFailed | None:
    """Turn an exception of torch and its friends into a sentence with a next step, if known."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return TrainingFailed(
            "train.outOfMemory",
            f"The memory was not enough for training: {text[:300]}",
            'Lower "per_device_train_batch_size" (raise "gradient_accumulation_steps" instead), '
            'lower "max_seq_len", or choose TunesmithQLoRA or a larger machine.',
        )
    # safetensors and torch have error types of their own for a write that failed.
    if isinstance(error, OSError) or any(t in text for t in WRITE_FAILED):
        return TrainingFailed(
            "train.notWritten",
            f"A file of the run could not be read or written: {text[:300]}",
            "Free space on the share (or raise its quota) and resume the run.",
        )
    if "target modules" in text.lower():
        return TrainingFailed(
            "config.targetModules",
            f"The adapter could not be attached: {text[:300]}",
            'Set "target_modules" to "all-linear" or to names of layers the model has.',
        )
    return None
