"""A root of one's own: as root and as an ordinary user, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from azurebox.runtime import mount

pytestmark = pytest.mark.skipif(not mount.can_mount(), reason="no mount namespaces here")

_SCRIPT = """
import json, os, sys
from pathlib import Path
order = json.load(sys.stdin)
sys.path.insert(0, order["modules"])
import mount
pid = os.getpid()
mount.enter_root(Path(order["root"]), order["mounts"])
print(json.dumps({"same_pid": pid == os.getpid(), "seen": eval(order["expression"])}))
"""


def _users() -> list[int | None]:
    """None: whoever runs the test; nobody besides when that is root."""
    return [None, 65534] if os.geteuid() == 0 else [None]


@pytest.fixture(params=_users(), ids=lambda user: f"uid-{user or os.geteuid()}")
def enter(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    user: int | None = request.param
    python = sys.executable
    folder = Path("/tmp") / f"azurebox-test-{os.getpid()}-{user}"
    folder.mkdir()
    # A tester's interpreter and sources may lie in folders that nobody else may read.
    shutil.copy(mount.__file__, folder / "mount.py")
    (folder / "root").mkdir()
    if user is not None:
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""
        if not python:
            pytest.skip("no interpreter that other users may run")
        shutil.chown(folder, user, user)

    def run(mounts: list[tuple[Path, str]], expression: str) -> Any:
        order = {
            "modules": str(folder),
            "root": str(folder / "root"),
            "mounts": [(str(share), path) for share, path in mounts],
            "expression": expression,
        }
        done = subprocess.run(
            [python, "-I", "-S", "-c", _SCRIPT],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["same_pid"]
        return answer["seen"]

    run.folder = folder  # type: ignore[attr-defined]
    run.user = user  # type: ignore[attr-defined]
    yield run
    shutil.rmtree(folder)


def share(enter: Any, name: str, text: str) -> Path:
    folder: Path = enter.folder / name
    folder.mkdir()
    (folder / "file").write_text(text)
    if enter.user:
        shutil.chown(folder, enter.user, enter.user)
    return folder


def test_share_is_at_mount_and_takes_writes(enter: Any) -> None:
    folder = share(enter, "share", "text")
    before = Path("/proc/self/mountinfo").read_text()
    seen = enter(
        [(folder, "/mount")],
        "(Path('/mount/file').read_text(), Path('/mount/new').write_text('made'))",
    )
    assert seen == ["text", 4]
    assert (folder / "new").read_text() == "made"
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not Path("/mount").exists()


def test_rest_of_the_machine_is_as_it_was(enter: Any) -> None:
    folder = share(enter, "share", "text")
    expression = (
        "(os.path.exists('/proc/self/status'), os.path.exists('/dev/null'),"
        " os.path.exists('/sys/kernel'), Path('/etc/resolv.conf').exists(),"
        " Path('/tmp/' + order['root'].split('/')[2]).exists(),"
        " os.system('/bin/sh -c true'), sorted(os.listdir('/')), os.getcwd())"
    )
    *works, listing, cwd = enter([(folder, "/mount")], expression)
    assert works == [True, True, True, Path("/etc/resolv.conf").exists(), True, 0]
    assert cwd == "/"
    skipped = {name for name in os.listdir("/") if Path("/", name).is_socket()}
    assert set(listing) == (set(os.listdir("/")) - skipped) | {"mount"}


def test_mount_path_below_a_folder_of_the_machine_is_not_made_there(enter: Any) -> None:
    one, two = share(enter, "one", "1"), share(enter, "two", "2")
    places = ["/usr/share/azurebox-x/deep/er", "/usr/share/azurebox-y"]
    seen = enter(
        list(zip([one, two], places, strict=True)),
        "(Path('/usr/share/azurebox-x/deep/er/file').read_text(),"
        " Path('/usr/share/azurebox-y/file').read_text(), sorted(os.listdir('/usr/share')))",
    )
    assert seen[:2] == ["1", "2"]
    assert set(seen[2]) == set(os.listdir("/usr/share")) | {"azurebox-x", "azurebox-y"}
    assert not Path("/usr/share/azurebox-x").exists()


def test_mount_path_that_exists_is_covered(enter: Any) -> None:
    folder = share(enter, "share", "over")
    assert enter([(folder, "/mnt")], "os.listdir('/mnt')") == ["file"]


def test_two_shares_one_inside_the_other(enter: Any) -> None:
    outer, inner = share(enter, "outer", "o"), share(enter, "inner", "i")
    (outer / "in").mkdir()
    seen = enter(
        [(outer, "/mount"), (inner, "/mount/in")],
        "(Path('/mount/file').read_text(), Path('/mount/in/file').read_text())",
    )
    assert seen == ["o", "i"]


def test_path_that_climbs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mount.MountImpossible):
        mount._make_mount_point(str(tmp_path), "/mount/../etc", {str(tmp_path)})  # pyright: ignore


def test_machine_that_forbids_it_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert not mount.can_mount()
