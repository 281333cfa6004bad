"""Make the pictures of the window in docs/images.

Run it with a display, or without one as ``xvfb-run -a python docs/screenshots.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from qtpy.QtWidgets import QApplication

import napari

FOLDER = Path(__file__).parent / "images"
SIZE = 1280, 800
PLUGIN = "napari-vae-restore"
BUDGET = "60 s"
CENTRE = 67, 47
"""Of the denoised picture, µm."""

ZOOM = 7.5
"""Of the denoised picture, screen pixels per µm."""

AT_WORK = 0.55
"""Share of the training after which its picture is taken."""


def main() -> None:
    """Open a sample, train on it, denoise it, and take pictures on the way."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample(PLUGIN, "cells")
    cells = viewer.layers["cells"]
    cells.contrast_limits = 470, 1100
    viewer.canvas.overlays.scale_bar.visible = True
    FOLDER.mkdir(exist_ok=True)

    dock, train = viewer.window.add_plugin_dock_widget(PLUGIN, "Train")
    train.time.setCurrentText(BUDGET)
    train.start()
    # Nearer, so that the preview, the middle of the image, fills the view.
    viewer.scene.camera.zoom *= 1.6
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > AT_WORK * 60 and len(viewer.layers) > 1)
    take(viewer, "train.png")
    wait_until(lambda: not train.is_busy)

    viewer.window.remove_dock_widget(dock)
    viewer.layers.remove("cells preview")
    _, denoise = viewer.window.add_plugin_dock_widget(PLUGIN, "Denoise")
    denoise.samples.setValue(8)
    denoise.run()
    wait_until(lambda: not denoise.is_busy)
    viewer.layers.remove("cells uncertainty")
    viewer.canvas.grid.enabled = True
    viewer.scene.camera.center = CENTRE
    viewer.scene.camera.zoom = ZOOM
    viewer.layers.selection.active = viewer.layers["cells denoised"]
    take(viewer, "denoise.png")
    viewer.close()


def wait_until(is_done: Callable[[], bool], seconds: float = 300) -> None:
    """Let the window live until something has happened."""
    end = time.monotonic() + seconds
    while not is_done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def take(viewer: napari.Viewer, name: str) -> None:
    """Write a picture of the whole window, with 256 colours, which are plenty here."""
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > 1)
    pixels = viewer.window.screenshot(canvas_only=False, flash=False)
    picture = Image.fromarray(pixels).convert("RGB")
    picture.quantize(256, method=Image.Quantize.MEDIANCUT).save(FOLDER / name, optimize=True)


if __name__ == "__main__":
    main()
