"""What of a workspace is sent: ignore files, named files, hostile names, the cache of hashes."""

import os
import time

import pytest
from tunesmith.core.ignore import IgnoreRules
from tunesmith.core.manifest import Entry, Manifest, read_manifest, recognise, to_json
from tunesmith.core.share_names import check_names
from tunesmith.workspace.scan import scan_workspace
from tunesmith.workspace.stat_cache import StatCache


def make(root, *paths, content="x"):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)


def scan(root, named=()):
    return scan_workspace(root, named, StatCache(root / ".tunesmith/stat-cache.json"))


def test_ignore_files_are_honoured(tmp_path):
    make(tmp_path, "a.txt", "a.log", "keep.log", "build/x", "sub/b.log", "sub/c.txt", "own/o")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n")
    (tmp_path / "sub/.gitignore").write_text("!b.log\n/c.txt\n")
    (tmp_path / ".tunesmithignore").write_text("own/\n.gitignore\n.tunesmithignore\n")
    assert set(scan(tmp_path).files) == {"a.txt", "keep.log", "sub/b.log"}


def test_our_own_state_git_and_outputs_never_go(tmp_path):
    make(tmp_path, ".git/config", ".tunesmith/x", "sub/.git/y", "runs/r/log.txt", "model-cache/m/w")
    make(tmp_path, "a", "finetuning/__pycache__/x.pyc", ".venv/bin/python", ".env", "RUNS/r/x")
    (tmp_path / ".tunesmithignore").write_text("!.git/\n!runs/\n!.tunesmith/\n")
    assert set(scan(tmp_path).files) == {".tunesmithignore", "a"}


def test_a_file_named_by_the_run_config_goes_although_git_ignores_it(tmp_path):
    make(tmp_path, "dataset/train.jsonl", "dataset/raw.jsonl", "deep/er/data/x.jsonl", "other")
    (tmp_path / ".gitignore").write_text("/dataset/\n/deep/\n.gitignore\n")
    named = ["dataset/train.jsonl", "./deep/er/data/../data/x.jsonl", "../outside", "none", ""]
    found = scan(tmp_path, named)
    assert set(found.files) == {"dataset/train.jsonl", "deep/er/data/x.jsonl", "other"}


def test_usual_rubbish_can_be_asked_for(tmp_path):
    make(tmp_path, "notes.tmp", "other.tmp")
    (tmp_path / ".tunesmithignore").write_text("!notes.tmp\n/.tunesmithignore\n")
    assert set(scan(tmp_path).files) == {"notes.tmp"}


@pytest.mark.parametrize(
    "path",
    [
        "a:b",
        "x/con",
        "nul.txt",
        "ends.",
        "ends ",
        "q?",
        "a\\b",
        "t\tb",
        "LPT1/x",
        "n" * 256,
        "a\udcff",
    ],
)
def test_hostile_names_are_refused_with_a_reason(path):
    good, refused = check_names([path, "fine"])
    assert good == ("fine",)
    assert refused[0].path == path and refused[0].reason


def test_of_clashing_names_one_is_sent_and_the_other_refused():
    composed, decomposed = "\u00e9", "e\u0301"
    good, refused = check_names(["data/a", "Data/b", "x.TXT", "x.txt", composed, decomposed])
    assert good == ("Data/b", decomposed, "x.TXT")
    assert [r.path for r in refused] == ["data/a", "x.txt", composed]
    assert "Data" in refused[0].reason


def test_links_are_followed_to_files_and_refused_to_folders(tmp_path):
    make(tmp_path, "out/real", "ws/a")
    (tmp_path / "ws/file").symlink_to("../out/real")
    (tmp_path / "ws/folder").symlink_to("../out")
    (tmp_path / "ws/dead").symlink_to("nowhere")
    os.mkfifo(tmp_path / "ws/pipe")
    found = scan(tmp_path / "ws")
    assert set(found.files) == {"a", "file"}
    assert {r.path for r in found.refused} == {"folder", "dead", "pipe"}


def test_unchanged_files_are_not_hashed_again(tmp_path, monkeypatch):
    make(tmp_path, "a", "b/c")
    cache_file = tmp_path / ".tunesmith/stat-cache.json"

    def hashed():
        cache = StatCache(cache_file)
        files = scan_workspace(tmp_path, (), cache).files
        return cache.hashed_bytes, {path: e.sha256 for path, e in files.items()}

    count, first = hashed()
    assert count == 2
    # Fresh files may change within one tick of the clock, so they are looked at again.
    assert hashed() == (2, first)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10_000_000_000)
    assert hashed() == (2, first)
    assert hashed() == (0, first)
    (tmp_path / "a").write_text("y")
    assert hashed()[0] == 1


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path, monkeypatch):
    make(tmp_path, "a", content="one")
    file = tmp_path / "a"
    os.utime(file, (1_000_000, 1_000_000))
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10_000_000_000)

    def hashed():
        cache = StatCache(tmp_path / "cache.json")
        digest, _ = cache.sha256_of(file, "a")
        cache.save()
        return digest, cache.hashed_bytes

    first = hashed()
    assert first[1] == 3
    assert hashed() == (first[0], 0)
    time.sleep(0.02)  # a tick of the file system's clock
    file.write_text("two")
    os.utime(file, (1_000_000, 1_000_000))
    again = hashed()
    assert again[1] == 3 and again[0] != first[0]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"v":2}', b"\xff", b'{"v":1,"files":{"a":1}}']
)
def test_a_damaged_manifest_or_cache_counts_for_nothing(tmp_path, content):
    assert read_manifest(content).files == {}
    (tmp_path / "cache.json").write_bytes(content)
    (tmp_path / "a").write_text("x")
    assert StatCache(tmp_path / "cache.json").sha256_of(tmp_path / "a", "a")[1] == 1


def test_a_manifest_comes_back_as_it_was_written():
    manifest = Manifest("id", {"a/ü": Entry("h", 3, '"0x1"'), "b": Entry("g", 0)})
    assert read_manifest(to_json(manifest)) == manifest


def test_a_hash_is_only_known_for_the_etag_that_it_was_recorded_with():
    recorded = {"a": Entry("h", 3, "e1"), "b": Entry("h", 3, "e1"), "c": Entry("h", 3, "")}
    found = recognise([("a", 3, "e1"), ("b", 3, "e2"), ("c", 3, ""), ("d", 3, "e1")], recorded)
    assert [found[p].sha256 for p in "abcd"] == ["h", None, None, None]


def test_what_lies_in_an_ignored_folder_stays_ignored():
    rules = IgnoreRules({"": "build/\n!build/keep.txt\n"})
    assert rules.leaves_out("build/keep.txt")
    assert rules.leaves_out("x/build/deep/y")
    assert not rules.leaves_out("builds/y")
