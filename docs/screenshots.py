"""Make the pictures of the window in docs/images.

Run it with a display, or without one as ``xvfb-run -a python docs/screenshots.py``; names
of pictures as arguments make only those.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from qtpy.QtWidgets import QApplication

import napari
import napari_vae_restore as vr
from napari_vae_restore.samples import sample_path

FOLDER = Path(__file__).parent / "images"
SIZE = 1280, 800
PLUGIN = "napari-vae-restore"
BUDGET = "60 s"

AT_WORK = 0.55
"""Share of the training after which its picture is taken."""


def train(viewer: napari.Viewer) -> None:
    """A training at work, its preview in the middle."""
    open_cells(viewer)
    widget = open_widget(viewer, "Train & Adapt")
    widget.time.value = BUDGET
    widget.start()
    # Nearer, so that the preview, the middle of the image, fills the view.
    viewer.scene.camera.zoom *= 1.6
    wait_until(lambda: widget.fraction > AT_WORK and len(viewer.layers) > 1)
    take(viewer, "train")
    widget.stop()
    wait_until(lambda: not widget.is_busy)


def denoise(viewer: napari.Viewer) -> None:
    """Noisy and denoised cells side by side."""
    open_cells(viewer)
    widget = open_widget(viewer, "Denoise")
    finish(widget, widget.run)
    # The first run has prepared the model; what the next one takes is what users see.
    viewer.layers.remove("cells denoised")
    finish(widget, widget.run)
    side_by_side(viewer, centre=(67, 47), zoom=7.5)
    take(viewer, "denoise")


def inpaint(viewer: napari.Viewer) -> None:
    """A scratched picture with its mask, and filled."""
    viewer.open_sample(PLUGIN, "scratched")
    widget = open_widget(viewer, "Inpaint")
    widget.header.grow.value = 1
    finish(widget, widget.run)
    picture, mask, filled = viewer.layers
    viewer.layers.remove(filled)
    widget.header.layers.value = picture
    finish(widget, widget.run)
    filled = viewer.layers[-1]
    mask.visible = False
    side_by_side(viewer, centre=(256, 265), zoom=1.5)
    viewer.layers.selection.active = filled
    take(viewer, "inpaint")


def super_resolve(viewer: napari.Viewer) -> None:
    """Nuclei, and the same with four times as many pixels."""
    viewer.open_sample(PLUGIN, "nuclei")
    viewer.layers["nuclei"].contrast_limits = 0, 110
    widget = open_widget(viewer, "Super-resolve")
    widget.header.noisy.value = True
    finish(widget, widget.run)
    viewer.canvas.grid.shape = 2, 1
    side_by_side(viewer, centre=(115, 80), zoom=4)
    take(viewer, "super-resolve")


def check(viewer: napari.Viewer) -> None:
    """A wipe across denoised cells, and what their residual says."""
    open_cells(viewer)
    denoise = open_widget(viewer, "Denoise")
    finish(denoise, denoise.run)
    widget = open_widget(viewer, "Check & Compare")
    settle()  # it joins the tabs
    finish(widget, widget.check)
    viewer.layers["cells residual"].visible = False
    widget.comparing.wipe_button.click()
    widget.comparing.share.setValue(300)
    viewer.scene.camera.center = 67, 47
    viewer.scene.camera.zoom = 6
    take(viewer, "check")


def batch(viewer: napari.Viewer) -> None:
    """A folder that is restored, and one of its images beside its result."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        for row, column in itertools.product("ABC", range(1, 9)):
            Path("plate", row).mkdir(parents=True, exist_ok=True)
            shutil.copy(sample_path("cells"), Path("plate", row, f"well{column}.tif"))
        widget = open_widget(viewer, "Batch")
        widget.header.images.text = "plate"
        widget.header.what.choose("Denoise")
        widget.run()
        wait_until(lambda: "restored" in widget.table.statuses())
        finish(widget, widget.cancel)
        widget.table.opened.emit(widget.table.jobs[0])
        wait_until(lambda: len(viewer.layers) > 1)
        for layer in viewer.layers:
            layer.contrast_limits = 470, 1100
        side_by_side(viewer, centre=(67, 47), zoom=7.5)
        widget.run()
        wait_until(lambda: widget.table.statuses().count("restored") > AT_WORK * 24)
        take(viewer, "batch")
        wait_until(lambda: not widget.is_busy)


def enhance(viewer: napari.Viewer) -> None:
    """Denoised cells, and enhanced."""
    open_cells(viewer)
    cells = viewer.layers["cells"]
    vr.add_to_viewer(viewer, vr.denoise(cells), like=cells)
    viewer.layers.remove(cells)
    widget = open_widget(viewer, "Enhance")
    for each, gain in zip(widget.header.details, (2.0, 1.8, 1.0, 1.0), strict=True):
        each.value = gain
    widget.header.local.value = 0.4
    wait_until(lambda: "cells denoised preview" in viewer.layers)
    wait_until(lambda: not widget.is_busy)
    side_by_side(viewer, centre=(67, 47), zoom=7.5)
    take(viewer, "enhance")


def explore(viewer: napari.Viewer) -> None:
    """What the bundled model draws."""
    widget = open_widget(viewer, "Explore")
    widget.header.seed.value = 4
    wait_until(lambda: len(viewer.layers) > 0)
    wait_until(lambda: not widget.is_busy)
    finish(widget, widget.draw_stack)
    viewer.layers[0].visible = False
    viewer.reset_view()
    take(viewer, "explore")


PICTURES = {
    "train": train,
    "denoise": denoise,
    "inpaint": inpaint,
    "super-resolve": super_resolve,
    "check": check,
    "batch": batch,
    "enhance": enhance,
    "explore": explore,
}


def main() -> None:
    """Make all pictures, or those that were named."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        os.environ["XDG_DATA_HOME"] = data  # no training of the user's is offered
        for name in sys.argv[1:] or PICTURES:
            viewer = napari.Viewer(show=True)
            viewer.window.resize(*SIZE)
            PICTURES[name](viewer)
            viewer.close()


def open_cells(viewer: napari.Viewer) -> None:
    """Open the sample with its pixel size, and show a scale bar."""
    viewer.open_sample(PLUGIN, "cells")
    viewer.layers["cells"].contrast_limits = 470, 1100
    viewer.canvas.overlays.scale_bar.visible = True


def open_widget(viewer: napari.Viewer, name: str) -> Any:
    """Open a widget as its menu does."""
    return viewer.window.add_plugin_dock_widget(PLUGIN, name)[1]


def finish(widget: Any, start: Callable[[], None]) -> None:
    """Start a computation and wait for its end."""
    start()
    wait_until(lambda: not widget.is_busy)


def side_by_side(viewer: napari.Viewer, *, centre: tuple[float, float], zoom: float) -> None:
    """Show the visible layers in a grid, a part of them large."""
    viewer.canvas.grid.enabled = True
    viewer.scene.camera.center = centre
    viewer.scene.camera.zoom = zoom
    viewer.layers.selection.active = viewer.layers[-1]


def wait_until(is_done: Callable[[], bool], seconds: float = 300) -> None:
    """Let the window live until something has happened."""
    end = time.monotonic() + seconds
    while not is_done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def settle() -> None:
    """Let the window draw what it has to."""
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > 1)


def take(viewer: napari.Viewer, name: str) -> Path:
    """Write a picture of the whole window, with 256 colours, which are plenty here."""
    settle()
    pixels = viewer.window.screenshot(canvas_only=False, flash=False)
    picture = Image.fromarray(pixels).convert("RGB")
    picture = picture.quantize(256, method=Image.Quantize.MEDIANCUT)
    path = FOLDER / f"{name}.png"
    picture.save(path, optimize=True)
    return path


if __name__ == "__main__":
    main()
