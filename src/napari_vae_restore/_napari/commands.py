"""Commands of the palette: the selected image restored with defaults, in one step.

A command that returned a layer would hold up the window until it is there. These open the
widget and press Run, so that there is progress to see and a way to stop; the result is added
as by the widget, with scale, units and axis labels of its source.
"""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_info

# Not for type checking alone: napari looks at the annotations when it calls a command.
from napari.viewer import Viewer

from napari_vae_restore._napari.task_widget import NO_LAYER, PLUGIN


def denoise(viewer: Viewer) -> None:
    """Denoise the selected image with the bundled model and measured noise.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer in front.
    """
    _run(viewer, "Denoise")


def super_resolve(viewer: Viewer) -> None:
    """Enlarge the selected image twofold, removing its noise.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer in front.
    """
    widget = _open(viewer, "Super-resolve")
    if widget is not None:
        widget.noisy.setChecked(True)
        widget.run()


def check(viewer: Viewer) -> None:
    """Check the selected result: does what was removed look like noise?

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer in front.
    """
    widget = _open(viewer, "Check & Compare")
    if widget is not None:
        widget.check()


def _run(viewer: Viewer, name: str) -> None:
    widget = _open(viewer, name)
    if widget is not None:
        widget.run()


def _open(viewer: Viewer, name: str) -> Any:
    """Bring a widget to the front with the selected image chosen; None if there is none."""
    layer = viewer.layers.selection.active
    images = [each for each in viewer.layers if isinstance(each, Image)]
    if not isinstance(layer, Image):
        layer = images[-1] if images else None
    if layer is None:
        show_info(NO_LAYER)
        return None
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
    if widget.is_busy:
        show_info(f"{name} is at work: wait for it, or cancel it.")
        return None
    if widget.header.layers.offers(layer):
        widget.header.layers.choose(layer)
    return widget
