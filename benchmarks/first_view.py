"""How long until a large restored image is first seen, and how smoothly it is panned.

    xvfb-run -a python benchmarks/first_view.py [--planes 20] [--side 4096]

writes a noisy OME-Zarr-like pyramid of two channels, opens it in napari, lets the Denoise
widget restore "only what I look at", and prints the seconds from the click to the first
restored view; then it zooms in and pans, and prints the longest time for which the window
did not answer (a timer's gap) and the seconds until each view was restored. Nothing else
should run meanwhile; the load is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 512
SIGMA = 15.0
N_LEVELS = 3
PERIOD = 5
"""Milliseconds between two ticks of the timer."""
PATIENCE = 120.0
LEAST = 0.1
"""Seconds in which napari begins to draw what has been asked for."""


def write_levels(folder: Path, planes: int, side: int) -> list[Any]:
    """Arrays (C, Z, Y, X) of a pyramid, finest first; each plane has noise of its own."""
    import zarr
    from skimage import data

    shapes = [(2, planes, side >> level, side >> level) for level in range(N_LEVELS)]
    arrays = [
        zarr.create_array(
            folder / str(level), shape=shape, dtype="uint16", chunks=(1, 1, CHUNK, CHUNK)
        )
        for level, shape in enumerate(shapes)
    ]
    picture = data.camera().astype(np.float32)
    clean = np.tile(picture, (side // 512 + 1,) * 2)[:side, :side]
    noise = np.random.default_rng(0).normal(0, SIGMA, (side, side)).astype(np.float32)
    for channel, plane in np.ndindex(2, planes):
        own = np.roll(noise, (97 * plane, 61 * channel), (0, 1))
        values = 20 * (clean[::1, :: 1 - 2 * channel] + own).clip(0)
        for array in arrays:
            array[channel, plane] = values.astype(np.uint16)
            values = values.reshape(len(values) // 2, 2, -1, 2).mean(axis=(1, 3))
    return arrays


class Watch:
    """Counts for how long the window does not answer."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._last = 0.0
        self.longest = 0.0
        self._timer.start(PERIOD)

    def _tick(self) -> None:
        now = time.monotonic()
        if self._last:
            self.longest = max(self.longest, now - self._last)
        self._last = now

    def wait(self, is_done: Callable[[], bool]) -> tuple[float, float]:
        """Seconds until something is done, and the longest block meanwhile."""
        from qtpy.QtWidgets import QApplication

        started = self._last = time.monotonic()
        self.longest = 0.0
        while time.monotonic() - started < LEAST or not is_done():
            if time.monotonic() - started > PATIENCE:
                raise TimeoutError(f"not done within {PATIENCE:.0f} s")
            QApplication.processEvents()
            time.sleep(0.001)
        return time.monotonic() - started, self.longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planes", type=int, default=20)
    parser.add_argument("--side", type=int, default=4096)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watch_views(write_levels(Path(folder), given.planes, given.side))


def watch_views(levels: list[Any]) -> None:
    """Open the pyramid, restore it in view, and pan over it."""
    import dask.array as da
    from qtpy.QtWidgets import QApplication

    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    layers = viewer.add_image(
        [da.from_zarr(level) for level in levels],
        channel_axis=0,
        multiscale=True,
        contrast_limits=(0, 6000),
        name=["first", "second"],
    )
    layers[1].visible = False
    _, widget = viewer.window.add_plugin_dock_widget("napari-vae-restore", "Denoise")
    widget.header.layers.value = layers[0]
    widget.looking.setChecked(True)
    watch = Watch()
    watch.wait(lambda: widget.run_button.isEnabled() and layers[0].loaded)
    for _ in range(200):
        QApplication.processEvents()
        time.sleep(0.005)
    widget.run_button.click()
    name = "first restored in view"
    shown = watch.wait(lambda: name in viewer.layers and viewer.layers[name].loaded)
    report("first view", *shown)
    result = viewer.layers[name]
    middle = levels[0].shape[2] / 2
    for number in range(4):
        viewer.camera.zoom = 1.0
        viewer.camera.center = (0, middle, middle + 400 * number)
        QApplication.processEvents()
        report(f"panned, view {number}", *watch.wait(lambda: result.loaded))
    viewer.dims.set_current_step(0, 0)
    report("next plane", *watch.wait(lambda: result.loaded))
    viewer.close()


def report(what: str, seconds: float, block: float) -> None:
    """Print one line."""
    row = {"what": what, "seconds": round(seconds, 2), "longest_block": round(block, 3)}
    print(json.dumps(row | {"load": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
