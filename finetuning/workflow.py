"""Runs the Olive workflow: our pass first, then whatever passes of Olive's own the config adds."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import job as job_module
from config import OURS, RunConfig
from events import say
from prepare import Prepared
from problem import TrainingFailed

# Keys of our pass that are used before Olive runs and would be unknown to it.
NOT_FOR_OLIVE = {
    "dataset_path",
    "eval_dataset_path",
    "questions_path",
    "eval_fraction",
    "max_seq_len",
    "save_minutes",
}
ONLY_QLORA = {"double_quant", "quant_type"}


def run(config: RunConfig, prepared: Prepared) -> str | None:
    """Train, then run the later passes. Returns the folder of their result, or None without any.

    The folder is relative to the run's. Raises: TrainingFailed, StopRequested.
    """
    job = prepared.job
    job_module.set_current(job)
    _quiet_olive()
    from olive.package_config import OlivePackageConfig
    from olive.workflows import run as run_olive

    with open(OlivePackageConfig.get_default_config_path(), encoding="utf-8") as file:
        packages = json.load(file)
    for name in ("TunesmithLoRA", "TunesmithQLoRA"):
        packages["passes"][name] = {"module_path": f"passes.{name}"}
    heard = _Heard()
    logging.getLogger("olive").addHandler(heard)
    here = Path.cwd()
    # A new folder on the local disk: Olive's cache does not look into data files, and a name
    # without a dot, since Olive takes what follows a dot for the ending of a file.
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as scratch:
        folder = Path(scratch).resolve()
        neutral = folder / "cwd"
        neutral.mkdir()
        # In another folder Olive would take a text that equals a file's name for a path.
        os.chdir(neutral)
        try:
            plan = plan_workflow(config, prepared, folder)
            _send_olive_to_stderr(10 * (plan["log_severity_level"] + 1))
            result = run_olive(plan, package_config=packages)
            if not result.has_output_model():
                raise TrainingFailed(
                    "olive.failed",
                    f"A pass after the training failed: {heard.reason or 'no model came out'}.",
                    "The adapter is whole and stays in the run's folder; correct or remove "
                    "the pass and resume the run.",
                )
            return _keep_result(folder / "out", job.folder) if config.later_passes else None
        finally:
            os.chdir(here)
            logging.getLogger("olive").removeHandler(heard)


def plan_workflow(config: RunConfig, prepared: Prepared, scratch: Path) -> dict[str, Any]:
    """Return the workflow as Olive gets it: method resolved, paths absolute, own keys gone."""
    job, method = prepared.job, prepared.job.method
    workflow = copy.deepcopy(config.workflow)
    workflow.pop("$schema", None)
    workflow["input_model"] |= {
        "type": "HfModel",
        "model_path": str(prepared.model.folder),
        "task": workflow["input_model"].get("task", "text-generation"),
    }
    settings = workflow["passes"][OURS]
    args = settings.pop("training_args")
    for key in NOT_FOR_OLIVE | (set() if method.name == "qlora" else ONLY_QLORA):
        settings.pop(key, None)
    on_gpu = _has_cuda()
    settings |= {
        "type": method.pass_type,
        "torch_dtype": method.weights_dtype,
        "device_map": "auto" if on_gpu else None,
        "dataset_sha256": prepared.data_sha256,
        "seed": args["seed"],
    }
    if method.name == "qlora":
        settings["compute_dtype"] = "bfloat16" if method.autocast_bf16 else method.weights_dtype
        settings.pop("target_modules", None)
        settings["save_quant_config"] = True
    args = {k: v for k, v in args.items() if v is not None}
    args.setdefault("optim", method.optim)
    settings["training_args"] = args | {
        "gradient_checkpointing": method.gradient_checkpointing,
        "bf16": method.autocast_bf16,
        "use_cpu": not on_gpu,
        "output_dir": str(job.folder),
        "overwrite_output_dir": True,
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_nan_inf_filter": False,
        "logging_strategy": "steps",
        "prediction_loss_only": True,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    if not on_gpu:
        settings["training_args"]["dataloader_pin_memory"] = False
    workflow.setdefault("log_severity_level", 2)
    device = "gpu" if on_gpu else "cpu"
    provider = "CUDAExecutionProvider" if on_gpu else "CPUExecutionProvider"
    if "systems" not in workflow:
        accelerators = [{"device": device, "execution_providers": [provider]}]
        workflow["systems"] = {"here": {"type": "LocalSystem", "accelerators": accelerators}}
        workflow["host"] = workflow["target"] = "here"
    workflow["cache_dir"] = str(scratch / "cache")
    workflow["output_dir"] = str(scratch / "out")
    workflow["no_artifacts"] = True
    return workflow


class _Heard(logging.Handler):
    """Keeps the last exception that Olive logs: it logs what it swallows."""

    reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = " ".join(str(error).split())[:300]
            self.reason = f"{type(error).__name__}: {text}" if text else type(error).__name__


def _keep_result(out: Path, run_folder: Path) -> str:
    """Copy what the last pass made to `<run>/model`, whole or not at all."""
    part = run_folder / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        # Beside the model Olive writes a description full of paths of the scratch folder.
        shutil.copytree(out / "model" if (out / "model").is_dir() else out, part)
        shutil.rmtree(run_folder / "model", ignore_errors=True)
        part.rename(run_folder / "model")
    except OSError as e:
        raise TrainingFailed(
            "train.notWritten",
            f"The result of the last pass could not be written: {e.strerror or e}.",
            "Free space on the share and resume the run.",
        ) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    say("The result of the last pass is in model/ of the run's folder.")
    return "model"


def _quiet_olive() -> None:
    os.environ["CI"] = "1"  # the only switch that stops all of Olive's telemetry
    logging.getLogger("onnxscript").setLevel(logging.ERROR)


def _send_olive_to_stderr(level: int) -> None:
    """Leave stdout to our own lines. The logger's level alone is not enough: Olive resets it."""
    for handler in logging.getLogger("olive").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
            handler.setLevel(level)


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())
