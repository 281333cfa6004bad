"""Nothing asks the network without being asked; the window itself: tests/napari."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from napari_vae_restore.images.image_files import write_image

OFFLINE = """
import importlib, pkgutil, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        # A display on this machine is no network.
        if not (event == "socket.connect" and isinstance(arguments[1], (str, bytes))):
            print("asked for", event, arguments, file=sys.stderr)
            sys.stderr.flush()
            importlib.import_module("os")._exit(7)

sys.addaudithook(refuse)
import napari_vae_restore as vr
from napari_vae_restore.cli import main

for module in pkgutil.walk_packages(vr.__path__, "napari_vae_restore."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in vr.__all__:
    getattr(vr, name)
image = vr.read_image(sys.argv[1]).data
vr.inpaint(image, image == image.max())
vr.encode(image)
for line in (["denoise", sys.argv[1], "-o", sys.argv[2]], ["models", "list"], ["doctor"]):
    status = main(line)
    assert status == 0 or line == ["doctor"], line
"""


def test_nothing_asks_the_network(tmp_path: Path) -> None:
    waves = 120 + 60 * np.sin(np.add.outer(np.arange(64) / 4, np.arange(64) / 5))
    noisy = waves + np.random.default_rng(0).normal(0, 10, waves.shape)
    write_image(tmp_path / "in.tif", noisy.astype(np.uint8), "YX")
    command = [sys.executable, "-c", OFFLINE, tmp_path / "in.tif", tmp_path / "out.tif"]
    done = subprocess.run(
        command,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.tif").exists()
