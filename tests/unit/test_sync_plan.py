"""plan_sync, by properties: what is left after a push, and what no push may touch."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tunesmith.core.manifest import Entry, RemoteEntry
from tunesmith.core.share_names import check_names, fold
from tunesmith.core.sync import Conflict, base_after, plan_sync, push_plan, worth_reading

PATHS = ["a", "a/b", "a/c", "A", "b", "b/x/y", "b/x", "c.txt", "C.txt", "d/e", "D/e", "é"]
OUTPUT_PATHS = ["runs/r1/log.txt", "runs/r1/adapter/w.bin", "model-cache/m/w.bin"]
HASHES = ["h1", "h2", "h3"]


def is_output(path):
    return path.startswith(("runs/", "model-cache/"))


def entry(sha):
    return Entry(sha, len(sha), f"etag-{sha}")


@st.composite
def trees(draw, paths=PATHS, unknown=False):
    """A tree as a file system can hold it: no name twice, no file that is a folder."""
    chosen = draw(st.lists(st.sampled_from(paths), unique=True))
    good, _ = check_names(chosen)
    hashes = [None, *HASHES] if unknown else HASHES
    return {path: draw(st.sampled_from(hashes)) for path in good}


def remote_of(tree):
    return {path: RemoteEntry(path, 2, f"etag-{sha}", sha) for path, sha in tree.items()}


def apply(tree, plan):
    """Do to a case-insensitive tree what the plan says, failing where a share would."""
    tree = dict(tree)
    for path in plan.deletes:
        del tree[path]
    for upload in plan.uploads:
        if upload.replaces:
            del tree[upload.replaces]
        for other in list(tree):
            one, two = fold(other), fold(upload.path)
            assert not one.startswith(two + "/"), "a folder is in the way"
            assert not two.startswith(one + "/"), "a file is in the way"
            if one == two:
                assert other == upload.path
        tree[upload.path] = upload.sha256
    return tree


local_trees = trees()
remote_trees = trees(PATHS + OUTPUT_PATHS, unknown=True)
base_trees = trees()


def planned(local, remote, base, **options):
    return plan_sync(
        {path: entry(sha) for path, sha in local.items()},
        remote_of(remote),
        {path: entry(sha) for path, sha in base.items()},
        is_output=is_output,
        **options,
    )


@settings(max_examples=120, deadline=None)
@given(local_trees, remote_trees, base_trees)
def test_after_a_push_the_share_holds_the_workspace(local, remote, base):
    plan = planned(local, remote, base)
    after = apply(remote, plan)
    open_paths = {fold(conflict.path) for conflict in plan.conflicts}
    for path, sha in local.items():
        if fold(path) not in open_paths:
            assert after[path] == sha
    for path, sha in after.items():
        assert fold(path) in {fold(p) for p in local} or remote[path] == sha


@settings(max_examples=120, deadline=None)
@given(local_trees, remote_trees, base_trees)
def test_with_force_only_what_is_foreign_can_be_in_the_way(local, remote, base):
    plan = planned(local, remote, base, force=True)
    assert {conflict.kind for conflict in plan.conflicts} <= {"inTheWay"}
    assert not plan.halt
    apply(remote, plan)


@settings(max_examples=120, deadline=None)
@given(local_trees, remote_trees, base_trees, st.booleans())
def test_what_runs_made_is_never_touched(local, remote, base, force):
    base = {**base, **{path: "h1" for path in OUTPUT_PATHS}}
    plan = planned(local, remote, base, force=force)
    after = apply(remote, plan)
    for path in OUTPUT_PATHS:
        assert after.get(path) == remote.get(path)


@settings(max_examples=120, deadline=None)
@given(local_trees, remote_trees, base_trees)
def test_what_nobody_here_ever_sent_is_never_deleted_or_replaced(local, remote, base):
    plan = planned(local, remote, base)
    known = {fold(path) for path in base}
    for path in plan.deletes:
        assert fold(path) in known
    replaced = {fold(u.path) for u in plan.uploads if not u.is_new}
    for path, sha in remote.items():
        if fold(path) in replaced:
            mine = next(s for p, s in local.items() if fold(p) == fold(path))
            was = next((s for p, s in base.items() if fold(p) == fold(path)), None)
            assert sha is not None and sha in (mine, was)


@settings(max_examples=120, deadline=None)
@given(local_trees, remote_trees, base_trees)
def test_a_second_push_changes_nothing(local, remote, base):
    plan = planned(local, remote, base)
    after = apply(remote, plan)
    now_there = {path: entry(after[path]) for path in plan.unchanged}
    now_there |= {upload.path: entry(upload.sha256) for upload in plan.uploads}
    new_base = base_after(plan, {p: entry(s) for p, s in base.items()}, now_there)
    again = plan_sync(
        {path: entry(sha) for path, sha in local.items()},
        remote_of(after),
        new_base,
        is_output=is_output,
    )
    assert (again.uploads, again.deletes) == ((), ())
    assert {c.path for c in again.conflicts} <= {c.path for c in plan.conflicts}


@settings(max_examples=120, deadline=None)
@given(local_trees, base_trees, st.integers(0, 12))
def test_a_push_that_was_killed_is_gone_on_with(local, base, count):
    remote = dict(base)
    first = planned(local, remote, base)
    begun = {upload.path: frozenset({upload.sha256}) for upload in first.uploads}
    for path in first.deletes[:count]:
        del remote[path]
    if count >= len(first.deletes):
        for upload in first.uploads[: count - len(first.deletes)]:
            if upload.replaces:
                del remote[upload.replaces]
            remote[upload.path] = upload.sha256
    local = {path: "h3" for path in local}  # edited again meanwhile
    second = planned(local, remote, base, pending=begun, force=False)
    assert not second.conflicts
    assert {p: s for p, s in apply(remote, second).items() if p in local} == local


def test_a_change_on_the_share_is_told_and_kept():
    plan = planned(
        {"a": "h1", "b": "h2", "c": "h1"}, {"a": "h3", "b": "h3", "c": "h3"}, {"a": "h1", "b": "h1"}
    )
    assert plan.conflicts == (
        Conflict("a", "changedThere"),
        Conflict("b", "changedBoth"),
        Conflict("c", "unknownThere"),
    )
    gone = planned({"x": "h1"}, {"a": "h3", "x": "h1"}, {"a": "h1"})
    assert gone.conflicts == (Conflict("a", "deletedHere"),)


def test_an_empty_workspace_deletes_nothing():
    files = {f"f{n}": "h1" for n in range(3)}
    assert planned({}, files, files).halt == "emptyWorkspace"
    assert planned({}, files, files, force=True).halt == ""


def test_more_than_half_deleted_halts():
    files = {f"f{n}": "h1" for n in range(21)}
    kept = dict(list(files.items())[:10])
    assert planned(kept, files, files).halt == "manyDeletes"
    assert planned(dict(list(files.items())[:11]), files, files).halt == ""
    few = {f"f{n}": "h1" for n in range(12)}
    assert planned({"f0": "h1", "f1": "h1"}, few, few).halt == ""


def test_a_name_that_changes_case_replaces_the_old_one():
    plan = planned({"train.jsonl": "h1"}, {"Train.JSONL": "h1"}, {"Train.JSONL": "h1"})
    assert [(u.path, u.replaces) for u in plan.uploads] == [("train.jsonl", "Train.JSONL")]
    assert plan.deletes == ()


def test_a_file_becomes_a_folder_and_back():
    plan = planned({"a/b": "h1"}, {"a": "h1"}, {"a": "h1"})
    assert (plan.deletes, [u.path for u in plan.uploads]) == (("a",), ["a/b"])
    plan = planned({"a": "h1"}, {"a/b/c": "h1"}, {"a/b/c": "h1"})
    assert (plan.deletes, plan.empty_folders) == (("a/b/c",), ("a/b", "a"))
    plan = planned({"a": "h1"}, {"a/made-by-a-job": "h1"}, {})
    assert plan.conflicts == (Conflict("a", "inTheWay"),)


def test_a_file_that_is_ignored_now_stays_on_the_share():
    plan = planned({}, {"a": "h1"}, {"a": "h1"}, is_kept=lambda path: path == "a")
    assert (plan.deletes, plan.foreign, plan.halt) == ((), ("a",), "")


def test_only_files_of_a_known_size_are_worth_reading():
    there = {p: RemoteEntry(p, size, "e", None) for p, size in [("a", 1), ("b", 2), ("c", 3)]}
    local = {"a": Entry("x", 1), "b": Entry("x", 9)}
    assert worth_reading(local, there, {"b": Entry("y", 2)}) == ("a", "b")
    assert worth_reading(local, there, {}, {"C": frozenset({3})}) == ("a", "c")


def test_the_plan_is_told_in_rows():
    shown = push_plan(
        planned({"a": "h1", "b": "h1"}, {"b": "h1", "c": "h1"}, {"b": "h1", "c": "h1"})
    )
    assert [(row.action, row.subject) for row in shown.rows] == [
        ("create", "a"),
        ("delete", "c"),
        ("keep", "1 files that did not change"),
    ]
    assert shown.changes
