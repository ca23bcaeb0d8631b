"""A container's own writable layer over its image.

A virtual environment of its own whose path goes on into the image's packages: what the image
has is found, what the container installs lands in the layer, the image stays as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

from azurebox.images.images import Environment


def make_layer(environment: Environment, folder: Path) -> None:
    """Make the layer at `folder`, which must not exist (about 20 ms, 100 small files).

    Raises: FileExistsError.
    """
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    image_site = environment.site_packages
    site = folder / image_site.relative_to(environment.path)
    site.mkdir(parents=True)
    config = (environment.path / "pyvenv.cfg").read_text()
    (folder / "pyvenv.cfg").write_text(config)
    # addsitedir instead of a bare path: the image's own .pth files count as well.
    (site / "image.pth").write_text(f"import site; site.addsitedir({str(image_site)!r})\n")
    for source in (environment.path / "bin").iterdir():
        target = binaries / source.name
        if source.is_symlink():
            _link_python(source, target)
        elif os.access(source, os.X_OK):  # `activate` is none, and would lead to the image
            _copy_script(source, target, environment.path / "bin", binaries)


def _link_python(source: Path, target: Path) -> None:
    """Copy a link of the chain python -> python3 -> /usr/bin/python3 into the layer."""
    link = os.readlink(source)
    if os.path.isabs(link) and Path(link).parent == source.parent:
        link = Path(link).name
    os.symlink(link, target)


def _copy_script(source: Path, target: Path, image_bin: Path, layer_bin: Path) -> None:
    """Copy a script that names the image's interpreter so that it names the layer's.

    pip is such a script, and thereby installs into the layer. Others are linked.
    """
    with open(source, "rb") as stream:
        script = stream.read() if stream.read(2) == b"#!" else b""
    script = b"#!" + script
    if os.fsencode(image_bin) in script:
        target.write_bytes(script.replace(os.fsencode(image_bin), os.fsencode(layer_bin)))
        target.chmod(0o755)
    else:
        os.symlink(source, target)
