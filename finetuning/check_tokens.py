"""Checks a data set by token: what the model's own template and tokenizer make of each row.

`python check_tokens.py --dataset FILE --model FOLDER_OR_NAME [--root PROJECT]
[--max-seq-len N]` prints one JSON object: `{"v", "problems", "summary"}`. Exit code 0 when it
could check, whatever it found; 1 when it could not, with `"problems"` saying why.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
logging.getLogger().setLevel(logging.ERROR)
warnings.filterwarnings("ignore")

import base_model  # noqa: E402
import chat_data  # noqa: E402
from problem import Finding, TrainingFailed  # noqa: E402


def main() -> int:
    """Parse the command line, check, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--model", required=True, help="a folder, or a name as in the config")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's folder")
    parser.add_argument("--max-seq-len", type=int, default=512)
    args = parser.parse_args()
    try:
        report = check(args.dataset, args.model, args.root.resolve(), args.max_seq_len)
    except TrainingFailed as e:
        report = {"v": 1, "problems": [Finding(e.code, e.message, hint=e.hint).as_json()]}
        print(json.dumps(report | {"summary": None}))
        return 1
    print(json.dumps(report))
    return 0


def check(dataset: Path, model: str, root: Path, max_tokens: int) -> dict[str, Any]:
    """Return the report. Raises: TrainingFailed when the tokenizer cannot be had."""
    shown = str(dataset.relative_to(root)) if dataset.is_relative_to(root) else dataset.name
    rows, findings = chat_data.read_rows(dataset, shown)
    tokenizer, limit = _load(model, root)
    tokens = min(max_tokens, limit) if limit else max_tokens
    examples, more = chat_data.tokenize(tokenizer, rows, tokens, shown)
    lengths = sorted(len(e.input_ids) for e in examples)
    answers = sum(sum(t != chat_data.IGNORED for t in e.labels) for e in examples)
    return {
        "v": 1,
        "problems": [f.as_json() for f in [*findings, *more]],
        "summary": {
            "rows": len(rows),
            "examples": len(examples),
            "max_seq_len": tokens,
            "context_tokens": limit,
            "tokens": sum(lengths),
            "answer_tokens": answers,
            "longest": lengths[-1] if lengths else 0,
            "median": lengths[len(lengths) // 2] if lengths else 0,
        },
    }


def _load(model: str, root: Path) -> tuple[Any, int | None]:
    """Return (tokenizer, the model's context in tokens or None)."""
    folder, gguf = base_model.tokenizer_folder(model, root)
    from transformers import AutoConfig, AutoTokenizer

    more = {"gguf_file": gguf} if gguf else {}
    try:
        with base_model.quick_gguf() if gguf else contextlib.nullcontext():
            tokenizer = AutoTokenizer.from_pretrained(folder, **more)
            config = AutoConfig.from_pretrained(folder, **more).get_text_config()
    except Exception as e:  # the library raises nearly everything for a damaged file
        raise TrainingFailed(
            "model.damaged",
            f'The tokenizer of "{model}" cannot be loaded: {" ".join(str(e).split())[:300]}',
        ) from e
    return tokenizer, getattr(config, "max_position_embeddings", None)


if __name__ == "__main__":
    sys.exit(main())
