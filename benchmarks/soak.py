"""Restore many pictures in one process, and open and close the widgets many times.

Resident memory, threads and file handles are looked at after a warm-up and in the end; the
exit status says whether they stayed within the limits below::

    python benchmarks/soak.py --restorations 300
    xvfb-run -a python benchmarks/soak.py --rounds 50
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import cycle, islice, product
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

import napari_vae_restore as vr
from napari_vae_restore.models.devices import give_back_memory

if TYPE_CHECKING:
    from napari import Viewer

MOST_MEGABYTES = 40.0
"""That the resident memory may grow by, in all: a picture's worth of rounding by the
allocator, and nothing for each restoration or round."""

MOST_THREADS = 2
"""More: pools, Qt's and Python's, are filled when several things happen at once."""

WARM_UP = 30
"""Restorations, after which every shape and task was there."""

WARM_UP_ROUNDS = 5

PLUGIN = "napari-vae-restore"

_SHAPES = ((64, 72), (3, 48, 50), (96, 33), (130, 128))
_DTYPES = ("uint8", "uint16", "float32", ">u2")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds.

    Attributes
    ----------
    megabytes : float
        Resident, after all that is garbage was collected and given back.
    threads, handles : int
        Open.
    widgets : int
        Widgets of this package that are alive.
    """

    megabytes: float
    threads: int
    handles: int
    widgets: int = 0

    @classmethod
    def now(cls) -> Usage:
        """That of this process."""
        gc.collect()
        give_back_memory()
        process = psutil.Process()
        handles = process.num_handles() if sys.platform == "win32" else process.num_fds()
        return cls(
            process.memory_info().rss / 2**20, process.num_threads(), handles, _n_widgets()
        )

    def has_grown_since(self, before: Usage) -> list[str]:
        """Names of what is more than it may be."""
        allowed = {"megabytes": MOST_MEGABYTES, "threads": MOST_THREADS}
        return [
            each.name
            for each in fields(self)
            if getattr(self, each.name) > getattr(before, each.name) + allowed.get(each.name, 0)
        ]


def _n_widgets() -> int:
    module = sys.modules.get("napari_vae_restore._napari.widgets.task_widget")
    if module is None:
        return 0
    # Not isinstance, which asks some of torch's objects for a name that is deprecated.
    return sum(issubclass(type(each), module.TaskWidget) for each in gc.get_objects())


def restorations(n: int) -> Iterator[Usage]:
    """Restore pictures of mixed shapes and types by mixed tasks; yields after each.

    Parameters
    ----------
    n : int
        How many.
    """
    rng = np.random.default_rng(0)
    kinds = product(range(4), _SHAPES, _DTYPES, (0, 2))
    mixed = list(kinds)
    rng.shuffle(mixed)
    for kind, shape, dtype, n_samples in islice(cycle(mixed), n):
        rows = np.indices(shape).sum(axis=0)
        image = 120 + 60 * np.sin(rows / 6) + rng.normal(0, 12, shape)
        image = image.clip(0, 255).astype(dtype)
        mask = rng.random(shape[-2:]) < 0.1
        tasks: list[list[Any]] = [
            [vr.Denoise()],
            [vr.Inpaint(mask)],
            [vr.SuperResolve(2)],
            [vr.Denoise(), vr.Inpaint(mask)],
        ]
        vr.restore(image, tasks[kind], n_samples=n_samples)
        yield Usage.now()


def rounds(viewer: Viewer, n: int, *, computes: bool = True) -> Iterator[Usage]:
    """Open all widgets, compute something, and close them; yields after each round.

    Parameters
    ----------
    viewer : napari.Viewer
        With an event loop.
    n : int
        How many.
    computes : bool
        Whether an image is denoised in each round.
    """
    from npe2 import PluginManifest

    widgets = PluginManifest.from_distribution(PLUGIN).contributions.widgets or []
    names = [each.display_name for each in widgets]
    rng = np.random.default_rng(0)
    for _ in range(n):
        image = rng.normal(100, 10, (64, 64)).clip(0, 255).astype(np.uint8)
        layer = viewer.add_image(image, name="cells")
        docks = {
            name: viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
            for name in names
        }
        turn()
        if computes:
            denoise = docks["Denoise"][1]
            denoise.header.layers.value = layer
            denoise.run()
            while denoise.is_busy:
                turn()
        for opened in docks.values():
            viewer.window.remove_dock_widget(opened[0])
        opened = denoise = layer = None
        docks.clear()
        viewer.layers.clear()
        for _ in range(3):
            turn()
        yield Usage.now()


def turn() -> None:
    """Let the window do what it has to do, deletions included."""
    from qtpy.QtCore import QCoreApplication, QEvent

    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    time.sleep(0.005)


def told(name: str, found: list[Usage], warm_up: int) -> bool:
    """Print a row for the warm-up, the middle and the end; whether nothing has grown."""
    first, last = found[warm_up - 1], found[-1]
    for number in (warm_up, (warm_up + len(found)) // 2, len(found)):
        each = found[number - 1]
        print(
            f"| {name}, {number} | {each.megabytes:.0f} | {each.threads} | {each.handles} | "
            f"{each.widgets} |",
            flush=True,
        )
    grown = last.has_grown_since(first)
    if grown:
        print(f"{name}: grown: {', '.join(grown)}")
    return not grown


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restorations", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=0, help="of the widgets")
    given = parser.parse_args()
    print("| after | MB | threads | handles | widgets |\n|---|---:|---:|---:|---:|")
    is_flat = True
    if given.restorations:
        found = list(restorations(given.restorations))
        is_flat &= told("restorations", found, min(WARM_UP, len(found)))
    if given.rounds:
        import napari

        viewer = napari.Viewer(show=False)
        found = list(rounds(viewer, given.rounds))
        is_flat &= told("rounds of all widgets", found, min(WARM_UP_ROUNDS, len(found)))
        viewer.close()
    sys.exit(not is_flat)


if __name__ == "__main__":
    main()
