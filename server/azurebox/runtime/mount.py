"""A root folder of one's own, with shares mounted where the container expects them.

Linux only, without Docker, bubblewrap or root: a mount namespace (inside a user namespace for
an ordinary user), a tmpfs as new root into which the machine's top folders are bound, the
shares bound where they belong, then chroot. The calling process changes itself, so its pid stays.
Nothing of it is seen outside the process and its children.

Standard library only, since the supervisor imports this.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# <sys/mount.h> and <sched.h>
_MS_BIND, _MS_REC, _MS_UNBINDABLE, _MS_PRIVATE = 4096, 16384, 1 << 17, 1 << 18
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000


class MountImpossible(OSError):
    """The machine forbids what is needed; the message says which step failed."""


def enter_root(new_root: Path, mounts: Sequence[tuple[str, str]]) -> None:
    """Move this process into a root where each (folder, path) of `mounts` is mounted.

    `new_root` is an existing empty folder; nothing is written to it. The working directory
    is / afterwards. Call it in a process of one thread.
    Raises: MountImpossible, and the process is then fit for nothing but ending.
    """
    _enter_namespace()
    root = str(new_root)
    _new_tmpfs(root)
    _bind_entries("/", root)
    own = {root}
    for folder, path in mounts:
        _bind(folder, _make_mount_point(root, path, own))
    os.chroot(root)
    os.chdir("/")


def can_mount() -> bool:
    """Try `enter_root` in a process of its own (about 0.1 s) and return whether it works."""
    if sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory(prefix="azurebox-mount-") as folder:
        share, root = Path(folder, "share"), Path(folder, "root")
        share.mkdir()
        root.mkdir()
        (share / "seen").touch()
        attempt = subprocess.run(
            [sys.executable, "-I", "-S", __file__, str(root), str(share)],
            capture_output=True,
            timeout=30,
            check=False,
        )
    return attempt.returncode == 0


def _enter_namespace() -> None:
    if os.geteuid() == 0:
        _unshare(_CLONE_NEWNS)
    else:
        uid, gid = os.geteuid(), os.getegid()
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNS)
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        except OSError as e:
            raise MountImpossible(f"cannot map the user into a namespace: {e}") from e
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)


def _new_tmpfs(target: str) -> None:
    _mount("tmpfs", target, "tmpfs", 0, "mode=755")
    # The folder lies below one that is bound next; without this mark it would hold itself.
    _mount(None, target, None, _MS_UNBINDABLE)


def _bind_entries(source: str, target: str) -> None:
    """Bind every entry of a folder into another one; symbolic links are made anew."""
    with os.scandir(source) as entries:
        for entry in entries:
            inside = os.path.join(target, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), inside)
                continue
            if entry.is_dir():
                os.mkdir(inside)
            elif entry.is_file():
                os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o644))
            else:
                continue
            _bind(entry.path, inside)


def _make_mount_point(root: str, path: str, own: set[str]) -> str:
    """Return the folder below `root` for `path`, made without writing to the machine's folders.

    `own` are the folders on a tmpfs of ours. The deepest folder on the way that the machine has
    is covered by one that holds what it held.
    """
    parts = [part for part in Path(path).parts if part != "/"]
    if not parts or ".." in parts:
        raise MountImpossible(f"cannot mount a share at {path!r}")
    # Symbolic links are followed on the machine's side: the bound folders are the same ones.
    inside = root
    for part in Path(os.path.realpath(os.path.join("/", *parts))).parts[1:]:
        child = os.path.join(inside, part)
        if not os.path.isdir(child):
            if inside not in own:
                _mount("tmpfs", inside, "tmpfs", 0, "mode=755")
                _bind_entries("/" + os.path.relpath(inside, root), inside)
                own.add(inside)
            os.mkdir(child)
            own.add(child)
        inside = child
    return inside


def _bind(source: str, target: str) -> None:
    _mount(source, target, None, _MS_BIND | _MS_REC)


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise MountImpossible(number, f"no new namespace: {os.strerror(number)}")


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    done = libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(options))
    if done != 0:
        number = ctypes.get_errno()
        raise MountImpossible(number, f"cannot mount {target}: {os.strerror(number)}")


if __name__ == "__main__":
    enter_root(Path(sys.argv[1]), [(sys.argv[2], "/mount")])
    sys.exit(0 if Path("/mount/seen").exists() and Path("/proc/self/status").exists() else 1)
