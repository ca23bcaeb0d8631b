"""A container's layer: all of the image is there, nothing reaches it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from azurebox.images.environment import container_env
from azurebox.images.images import Environment, Images
from azurebox.images.layer import make_layer
from azurebox.images.pull import pull
from image_catalog import make_catalog, make_wheel


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An image with tiny 1.0 and a .pth file; the wheels beside it hold tiny 2.0 and extra 1."""
    folder = tmp_path_factory.mktemp("image")
    make_wheel(folder / "wheels", "tiny", "1.0", pth="import os; os.environ['PTH_RAN'] = '1'\n")
    make_wheel(folder / "wheels", "tiny", "2.0")
    make_wheel(folder / "wheels", "extra", "1")
    images = Images(folder / "cache", make_catalog(folder / "catalog", "tiny==1.0\n"))
    environment = images.environment(images.find("tiny"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in pip_settings(folder / "wheels").items():
            patch.setenv(name, value)
        pull(environment, lambda _: None)
    return environment


def pip_settings(wheels: Path) -> dict[str, str]:
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_EXTRA_INDEX_URL": "",
    }


class Layer:
    def __init__(self, image: Environment, folder: Path) -> None:
        self.folder = folder
        folder.parent.mkdir(exist_ok=True)
        make_layer(image, folder)
        wheels = image.path.parents[2] / "wheels"
        own = pip_settings(wheels)
        self.env = container_env(folder, folder.parent, folder.parent, own)

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-ec", script], env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture
def layer(image: Environment, tmp_path: Path) -> Layer:
    return Layer(image, tmp_path / "layer")


def test_python_of_the_layer_finds_what_the_image_has(layer: Layer) -> None:
    show = "import sys, tiny; print(tiny.VERSION, sys.prefix)"
    assert layer.run(f'python3 -c "{show}"') == f"1.0 {layer.folder}"
    assert layer.run(f'python -c "{show}"') == f"1.0 {layer.folder}"


def test_scripts_of_the_image_run_on_the_layers_python(layer: Layer) -> None:
    assert layer.run("tiny-tool") == f"1.0 {layer.folder}"


def test_pth_files_of_the_image_count(layer: Layer) -> None:
    assert layer.run("python3 -c \"import os; print(os.environ['PTH_RAN'])\"") == "1"


def test_what_the_image_has_is_satisfied_without_an_index(layer: Layer) -> None:
    layer.env |= {"PIP_FIND_LINKS": "/nowhere"}
    assert "already satisfied" in layer.run("pip install tiny==1.0 2>/dev/null")
    assert list(layer.folder.rglob("tiny*.dist-info")) == []


@pytest.mark.parametrize("pip", ["pip", "pip3", "python3 -m pip"])
def test_what_is_installed_lands_in_the_layer_alone(
    layer: Layer, image: Environment, tmp_path: Path, pip: str
) -> None:
    before = sorted(image.site_packages.iterdir())
    layer.run(f"{pip} install -q extra==1 tiny==2.0")
    assert layer.run("tiny-tool; extra-tool") == f"2.0 {layer.folder}\n1 {layer.folder}"
    assert sorted(image.site_packages.iterdir()) == before
    other = Layer(image, tmp_path / "other" / "layer")
    assert other.run("tiny-tool") == f"1.0 {other.folder}"


def test_uninstall_does_not_reach_the_image(layer: Layer, image: Environment) -> None:
    layer.run("pip uninstall -y tiny || true")
    assert layer.run("tiny-tool") == f"1.0 {layer.folder}"


def test_users_pip_settings_stay_in_force(tmp_path: Path) -> None:
    settings = tmp_path / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.touch()
    env = container_env(tmp_path, tmp_path, tmp_path, {"HOME": str(tmp_path)})
    assert env["PIP_CONFIG_FILE"] == str(settings)
    env = container_env(tmp_path, tmp_path, tmp_path, {"PIP_CONFIG_FILE": "/dev/null"})
    assert env["PIP_CONFIG_FILE"] == "/dev/null"
