"""The commands of the palette, called as the palette calls them."""

import time

import numpy as np
import pytest
from napari._app_model import get_app_model

pytestmark = pytest.mark.gui


def call(name):
    """Call a command by its id, and tell how many seconds the window had to wait."""
    started = time.monotonic()
    get_app_model().commands.execute_command(f"napari-vae-restore.{name}").result()
    return time.monotonic() - started


def test_the_selected_image_is_restored_and_checked(
    viewer, open_widget, finish, make_image, monkeypatch
):
    said = []
    monkeypatch.setattr("napari_vae_restore._napari.commands.show_info", said.append)
    call("denoise_now")
    assert "Open an image first" in said[0]
    denoise, check = open_widget("Denoise"), open_widget("Check & Compare")
    enlarge = open_widget("Super-resolve")
    layer = viewer.add_image(
        make_image(), name="cells", scale=(2, 2), units="um", axis_labels=("y", "x")
    )
    viewer.add_image(make_image(), name="other")
    viewer.layers.selection.active = layer
    # The window's own work; the first paint of a dock on a busy machine is not ours.
    assert call("denoise_now") < 1
    finish(denoise)
    result = viewer.layers[-1]
    assert result.name == "cells denoised"
    assert tuple(result.scale) == (2, 2)
    assert result.units == layer.units
    assert tuple(result.axis_labels) == ("y", "x")
    viewer.layers.selection.active = result
    call("check_now")
    finish(check)
    assert "residual" in check.status
    viewer.layers.selection.active = layer
    call("super_resolve_now")
    finish(enlarge)
    assert viewer.layers[-1].data.shape == (128, 144)
    assert tuple(viewer.layers[-1].scale) == (1, 1)


def test_what_is_missing_is_filled(viewer, open_widget, finish, make_image, monkeypatch):
    said = []
    monkeypatch.setattr("napari_vae_restore._napari.commands.show_info", said.append)
    inpaint = open_widget("Inpaint")
    image = make_image().astype(np.float32)
    whole = viewer.add_image(image, name="whole")
    call("inpaint_now")
    assert "Nothing is known to be missing" in said[0]
    assert not inpaint.is_busy

    holes = image.copy()
    holes[20:24, 30:33] = np.nan
    layer = viewer.add_image(holes, name="holes", scale=(2, 2))
    viewer.layers.selection = {layer}
    call("inpaint_now")
    finish(inpaint)
    filled = viewer.layers["holes inpainted"]
    assert np.isfinite(filled.data).all()
    kept = np.isfinite(holes)
    np.testing.assert_array_equal(filled.data[kept], holes[kept])
    assert np.abs(filled.data - image).max() < 60

    mask = viewer.add_labels(np.zeros(image.shape, np.uint8), name="drawn")
    mask.data[40:44, 40:44] = 1
    viewer.layers.selection = {whole, mask}
    call("inpaint_now")
    finish(inpaint)
    filled = viewer.layers["whole inpainted"].data
    np.testing.assert_array_equal(filled != image, mask.data == 1)
