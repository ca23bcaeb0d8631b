"""Names made from a project's: they go into resource groups, which allow little."""

from __future__ import annotations

import re
import unicodedata


def project_name(folder_name: str) -> str:
    """Return a name of a-z, 0-9 and "-", at most 40 long, out of any folder's name."""
    plain = unicodedata.normalize("NFKD", folder_name).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return name or "project"


def resource_group_name(project: str, project_id: str, *, is_taken: bool = False) -> str:
    """Return the default resource group. `is_taken`: another project has the plain name."""
    plain = f"tunesmith-{project}"
    return f"{plain}-{project_id[:6]}" if is_taken and project_id else plain
