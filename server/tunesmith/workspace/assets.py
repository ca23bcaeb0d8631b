"""Where the parts that a project is made of lie: in the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

import tunesmith
from tunesmith.core.errors import ToolMissing

PARTS = ("template", "infra", "finetuning", "inference")


def assets_folder() -> Path:
    """Return the folder that holds template/, infra/, finetuning/ and inference/.

    Raises: ToolMissing("tool.assetsMissing") for a broken installation.
    """
    package = Path(tunesmith.__file__).resolve().parent
    for folder in (package / "assets", package.parent.parent):
        if all((folder / part).is_dir() for part in PARTS):
            return folder
    raise ToolMissing("tool.assetsMissing", folder=package / "assets")
