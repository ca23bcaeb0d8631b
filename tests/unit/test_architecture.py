"""Who may know whom: the layers of the server, held by the import graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import tunesmith

HOME = Path(tunesmith.__file__).parent.parent
HEAVY = ("torch", "transformers", "gradio", "olive", "peft", "datasets", "bitsandbytes")
AZURE_SDKS = ("azure", "msal")

# Each may import those before it, none behind it. `workspace` is the disk, `azure` the cloud.
LAYERS = ("core", "catalog", "workspace", "azure", "ops")
FRONTS = ("lsp", "cli")


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(
        "tunesmith", "azurebox", include_external_packages=True, cache_dir=None
    )


def imports(graph, package):
    """Yield (importer, imported) for every import out of a package, deferred ones too."""
    for module in graph.modules:
        if module == package or module.startswith(f"{package}."):
            for imported in graph.find_modules_directly_imported_by(module):
                yield module, imported


def part_of(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "tunesmith" and len(parts) > 1 else ""


def test_layers_look_down_only(graph):
    wrong = [
        (importer, imported)
        for index, layer in enumerate(LAYERS)
        for importer, imported in imports(graph, f"tunesmith.{layer}")
        if part_of(imported) in (*LAYERS[index + 1 :], *FRONTS)
    ]
    assert wrong == []


def test_the_graph_was_really_read(graph):
    assert {"tunesmith.azure.cloud", "azurebox.serve", "azure", "pygls"} <= graph.modules
    assert ("tunesmith.ops.session", "tunesmith.azure.cloud") in imports(graph, "tunesmith.ops")


def test_the_fronts_know_neither_each_other_nor_the_cloud(graph):
    known_to = {"lsp": {"azure", "cli"}, "cli": {"azure", "lsp"}}
    wrong = [
        (importer, imported)
        for front in FRONTS
        for importer, imported in imports(graph, f"tunesmith.{front}")
        if part_of(imported) in known_to[front]
    ]
    # `tunesmith lsp` is how an editor starts the language server.
    assert set(wrong) <= {("tunesmith.cli.serve", "tunesmith.lsp.server")}


def test_azurebox_and_tunesmith_never_import_each_other(graph):
    assert [i for i in imports(graph, "tunesmith") if i[1].split(".")[0] == "azurebox"] == []
    assert [i for i in imports(graph, "azurebox") if i[1].split(".")[0] == "tunesmith"] == []


@pytest.mark.parametrize(
    ("library", "owner"),
    [
        *((sdk, ("tunesmith.azure",)) for sdk in AZURE_SDKS),
        ("pygls", ("tunesmith.lsp",)),
        ("lsprotocol", ("tunesmith.lsp",)),
        ("argparse", ("tunesmith.cli", "azurebox")),
        ("rich", ("tunesmith.cli",)),
    ],
)
def test_a_library_has_one_owner(graph, library, owner):
    importers = [
        module
        for module in graph.modules
        if any(
            imported.split(".")[0] == library
            for imported in graph.find_modules_directly_imported_by(module)
        )
    ]
    assert [m for m in importers if not m.startswith(owner)] == []


def test_no_package_of_the_server_imports_the_training_stack(graph):
    for name in HEAVY:
        assert name not in graph.modules


def test_core_does_no_io(graph):
    forbidden = {
        "asyncio",
        "subprocess",
        "socket",
        "aiohttp",
        "urllib",
        "http",
        "shutil",
        "tempfile",
    }
    wrong = [i for i in imports(graph, "tunesmith.core") if i[1].split(".")[0] in forbidden]
    assert wrong == []


def test_posix_only_modules_stay_in_the_runtime(graph):
    posix = {"fcntl", "pwd", "grp", "resource", "termios", "pty"}
    wrong = [
        i
        for package in ("tunesmith", "azurebox")
        for i in imports(graph, package)
        if i[1] in posix and not i[0].startswith("azurebox.runtime")
    ]
    assert wrong == []


def loaded_by(statement):
    code = f"import sys; {statement}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(HOME), "PATH": ""},
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import tunesmith.ops", "import tunesmith.lsp.server", "import tunesmith.cli.__main__"],
)
def test_a_front_starts_without_clouds_and_models(statement):
    loaded = loaded_by(statement)
    assert not loaded & {*HEAVY, "azure", "msal", "cryptography", "jsonschema"}
