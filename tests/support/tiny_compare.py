"""Keeps a comparison's contract without models: an answer sheet below the run's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

task = Path(__file__).resolve().parent.parent / os.environ["TUNESMITH_TASK_DIR"]
answer = {
    "id": "1",
    "kind": "fact",
    "question": "how long?",
    "expected": ["27 months"],
    "base": "no idea",
    "base_right": False,
    "tuned": "27 months",
    "tuned_right": True,
}
count = {"total": 1, "base": 0, "tuned": 1}
print("asking")
if (task / "fail").exists():
    raise SystemExit(3)
sheet = {"v": 1, "run_id": task.parent.name, "facts": count, "general": {}, "answers": [answer]}
(task / "compare.json").write_text(
    json.dumps({**sheet, "settings": {"attempt": os.environ["TUNESMITH_ATTEMPT"]}})
)
