"""Which method and which number format: a visible rule, with its reason in a sentence."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from problem import TrainingFailed

LORA, QLORA = "TunesmithLoRA", "TunesmithQLoRA"
CHECKPOINTING_FROM_PARAMETERS = 1_000_000_000


@dataclass(frozen=True)
class Hardware:
    """What the rule looks at. Bytes; `gpu_bytes` is 0 without a CUDA GPU."""

    gpu_name: str
    gpu_bytes: int
    memory_bytes: int
    has_bitsandbytes: bool
    is_bf16_fast: bool


@dataclass(frozen=True)
class Method:
    """The outcome: type of the pass, Olive's dtype, whether to autocast, and the reason."""

    pass_type: str
    reason: str
    weights_dtype: str
    autocast_bf16: bool
    gradient_checkpointing: bool
    optim: str

    @property
    def name(self) -> str:
        """The short name that run.json keeps: lora or qlora."""
        return "qlora" if self.pass_type == QLORA else "lora"

    @property
    def dtype(self) -> str:
        """The number format in words, for run.json and for people."""
        return "float32 with bfloat16 autocast" if self.autocast_bf16 else self.weights_dtype


def choose(
    wanted: str, dtype: str, checkpointing: bool | None, parameters: int, hardware: Hardware
) -> Method:
    """Apply the rule. `wanted` is the pass's type from the config; "TunesmithAuto" decides here.

    On a GPU with bitsandbytes QLoRA: it needs a quarter of the memory for the weights and is as
    good. On a CPU LoRA: 4-bit weights are unpacked for every product, so nothing is won in speed,
    and with small models nothing in memory either (2.2 against 2.8 GB at 135 M parameters);
    unless the weights in full precision would not fit.
    Raises: TrainingFailed("method.*").
    """
    if wanted == QLORA and not hardware.has_bitsandbytes:
        raise TrainingFailed(
            "method.noBitsandbytes",
            "QLoRA was asked for, and bitsandbytes cannot be loaded here.",
            'Set passes.finetune.type to "TunesmithLoRA" or "TunesmithAuto".',
        )
    room = hardware.gpu_bytes or hardware.memory_bytes
    # Weights, and a half more for activations, adapter and optimizer.
    needed = int(parameters * (2 if hardware.gpu_bytes else 6) * 1.5)
    if wanted != "TunesmithAuto":
        pass_type, reason = wanted, "the config asks for it"
    elif not hardware.has_bitsandbytes:
        pass_type, reason = LORA, "bitsandbytes cannot be loaded here, so 4 bits are not possible"
    elif hardware.gpu_bytes:
        pass_type = QLORA
        reason = f"{hardware.gpu_name} and bitsandbytes are here, and 4-bit weights leave more room"
    elif needed > room:
        pass_type = QLORA
        reason = (
            f"the weights in full precision need about {_gb(needed)} and {_gb(room)} are free; "
            "in 4 bits they fit"
        )
    else:
        pass_type = LORA
        reason = "4-bit weights are no faster on a CPU, and the model fits in full precision"
    on_gpu = hardware.gpu_bytes > 0
    autocast = False
    if dtype == "auto":
        if on_gpu:
            dtype = "bfloat16" if hardware.is_bf16_fast else "float16"
        else:
            # Autocast is as fast as bfloat16 weights and keeps the sums in float32.
            dtype, autocast = "float32", hardware.is_bf16_fast
    if checkpointing is None:
        checkpointing = parameters >= CHECKPOINTING_FROM_PARAMETERS
    optim = "paged_adamw_32bit" if on_gpu and pass_type == QLORA else "adamw_torch"
    return Method(pass_type, reason, dtype, autocast, checkpointing, optim)


def look_at_hardware() -> Hardware:
    """Return what this machine has. Imports torch."""
    import torch

    try:
        import bitsandbytes  # noqa: F401

        has_bnb = True
    except Exception:  # a broken CUDA set-up raises all sorts of things
        has_bnb = False
    memory = _free_memory_bytes()
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return Hardware(gpu.name, gpu.total_memory, memory, has_bnb, torch.cuda.is_bf16_supported())
    bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return Hardware("", 0, memory, has_bnb, bf16)


def count_parameters(folder: Path) -> int:
    """Return how many parameters the safetensors of a model hold, from their headers alone.

    Raises: TrainingFailed("model.damaged").
    """
    total = 0
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with open(file, "rb") as f:
                header_bytes = int.from_bytes(f.read(8), "little")
                if header_bytes > file.stat().st_size:
                    raise ValueError("it is shorter than its header says")
                header = json.loads(f.read(header_bytes))
            end = 8 + header_bytes
            end += max((v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"))
            if end > file.stat().st_size:
                raise ValueError(f"it has {file.stat().st_size} of {end} bytes")
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise TrainingFailed(
                "model.damaged",
                f"{file.name} of the base model in {folder.name} cannot be read: {e}.",
                f"Delete model-cache/{folder.name} on the share; the next run fetches it again.",
            ) from e
        for key, tensor in header.items():
            if key != "__metadata__":
                size = 1
                for n in tensor["shape"]:
                    size *= n
                total += size
    return total


def _free_memory_bytes() -> int:
    """Return what this container may still use: the machine's free memory or its own limit."""
    free = 0
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except OSError:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, int(limit) - used) if limit.isdigit() else free


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
