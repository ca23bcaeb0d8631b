"""What a run and its comparison are asked to do."""

from __future__ import annotations

import pytest
from tunesmith.core.run_request import compare_commands

SET_UP = ["cd /mount", "pip install -q -r finetuning/requirements.txt"]


@pytest.mark.parametrize(
    "after_set_up",
    [
        ["python3 finetuning/invoke_olive.py"],
        ["python3 finetuning/invoke_olive.py", "echo done"],
        ["python3 ./finetuning/invoke_olive.py && find models/ | grep adapter"],
        ["bash train.sh"],
    ],
)
def test_the_comparison_takes_the_place_of_the_training(after_set_up):
    asked = compare_commands([*SET_UP, *after_set_up])
    assert asked == [*SET_UP, "python3 finetuning/compare.py"]
