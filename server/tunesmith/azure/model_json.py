"""An SDK's model as the JSON it came from, whatever the SDK's version calls its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.json_values import mapping


def json_of(model: Any) -> Mapping[str, Any]:
    """Return the model's JSON object, {} for None."""
    return mapping(model.as_dict() if hasattr(model, "as_dict") else model)
