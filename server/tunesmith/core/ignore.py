"""What of a workspace stays at home: .gitignore, .tunesmithignore, and what no share should hold.

Rules as git has them: the last one that matches decides, deeper files after outer ones; what lies
in an ignored folder is not looked at. .tunesmithignore stands in the root and has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec

GIT_FILE = ".gitignore"
OWN_FILE = ".tunesmithignore"

_USUAL = (
    ".venv/",
    "venv/",
    "node_modules/",
    "__pycache__/",
    "*.pyc",
    ".*_cache/",
    ".ipynb_checkpoints/",
    ".DS_Store",
    "Thumbs.db",
    ".idea/",
    ".vscode/",
    ".env",
    ".env.*",
    "/infra/*.config.json",
    "*.tmp",
    "*.part",
    "*.swp",
)

OUTPUTS = ("runs", "model-cache")
"""Folders of the share that runs write: never deleted, never written over by a sync."""
_NEVER = (".git", ".tunesmith")


def is_output(path: str) -> bool:
    """Return whether the path lies in a folder that belongs to runs."""
    return path.split("/", 1)[0].casefold() in OUTPUTS


def is_never_sent(path: str) -> bool:
    """Return whether the path lies in git's folder or in our own state, whatever rules say."""
    return any(part.casefold() in _NEVER for part in path.split("/"))


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Rules of one workspace. `git`: content of each .gitignore by its folder ("" is the root).
    `named`: files and folders that the run config names; they are sent whatever the rules say."""

    git: Mapping[str, str] = field(default_factory=dict[str, str])
    own: str = ""
    named: frozenset[str] = frozenset()
    _specs: list[tuple[str, GitIgnoreSpec]] = field(
        init=False, repr=False, default_factory=list[tuple[str, GitIgnoreSpec]]
    )

    def __post_init__(self) -> None:
        """Order the rules so that the last one counts."""
        self._specs.append(("", GitIgnoreSpec.from_lines(_USUAL)))
        for folder in sorted(self.git, key=lambda f: f.count("/") + (f != "")):
            self._specs.append((folder, GitIgnoreSpec.from_lines(self.git[folder].splitlines())))
        self._specs.append(("", GitIgnoreSpec.from_lines(self.own.splitlines())))

    def is_named(self, path: str) -> bool:
        """Return whether the run config names the path or a folder above it."""
        parts = path.split("/")
        return any("/".join(parts[:n]) in self.named for n in range(1, len(parts) + 1))

    def leads_to_named(self, folder: str) -> bool:
        """Return whether something that the run config names lies below the folder."""
        return any(name.startswith(f"{folder}/") for name in self.named)

    def leaves_out(self, path: str) -> bool:
        """Return whether a file stays at home, by its own path or a folder's above it."""
        if is_never_sent(path):
            return True
        if self.is_named(path):
            return False
        parts = path.split("/")
        return is_output(path) or any(
            self.is_ignored("/".join(parts[:n]), is_folder=n < len(parts))
            for n in range(1, len(parts) + 1)
        )

    def is_ignored(self, path: str, *, is_folder: bool) -> bool:
        """Return what the rules say of exactly this file or folder."""
        decided = False
        for folder, spec in self._specs:
            if folder and not path.startswith(f"{folder}/"):
                continue
            inner = path[len(folder) + 1 :] if folder else path
            include = spec.check_file(inner + ("/" if is_folder else "")).include
            if include is not None:
                decided = include
        return decided
