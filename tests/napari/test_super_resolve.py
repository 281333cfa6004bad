"""Enlarged layers lie where their sources lie; the *Super-resolve* widget in a viewer."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

import napari_vae_restore as vr
from napari_vae_restore._napari.layers.placement import placement
from napari_vae_restore._napari.layers.results import show_preview
from napari_vae_restore._napari.messages import Preview

STACK = {
    "scale": (3.0, 0.5, 0.25),
    "translate": (7.0, -2.0, 11.0),
    "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
    "shear": (0.0, 0.0, 0.3),
    "affine": [[1, 0, 0, 5], [0, 0, 1, 0], [0, -1, 0, 2], [0, 0, 0, 1]],
    "units": ("um", "nm", "nm"),
    "axis_labels": ("z", "y", "x"),
}


def outer_corners(layer):
    """The outer edges of the corner pixels, in the world."""
    sides = [(-0.5, n - 0.5) for n in layer.data.shape[: layer.ndim]]
    corners = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, layer.ndim)
    return np.array([layer.data_to_world(corner) for corner in corners])


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_outer_edges_of_the_pixels_stay_where_they_are(factor):
    source = Image(np.zeros((4, 20, 30)), **STACK)
    zoom = (1, factor, factor)
    result = Image(np.zeros((4, 20 * factor, 30 * factor)), **placement(source, zoom=zoom))
    np.testing.assert_allclose(outer_corners(result), outer_corners(source))
    np.testing.assert_allclose(result.scale, np.divide(source.scale, zoom))
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels


def test_an_upright_layer_moves_by_the_rule():
    source = Image(np.zeros((20, 30)), scale=(2, 4), translate=(10, 20))
    place = placement(source, zoom=(2, 2))
    np.testing.assert_allclose(place["scale"], (1, 2))
    np.testing.assert_allclose(place["translate"], (10 - 0.5, 20 - 1))


def test_results_of_all_kinds_are_registered_with_their_source(make_image):
    viewer = ViewerModel()
    image = make_image((2, 16, 24))
    source = viewer.add_image(image, name="cells", **STACK)
    restored = vr.super_resolve(image, 2, axes="ZYX", n_samples=2, keep_samples=True)
    mean, std, samples = vr.add_to_viewer(viewer, restored, like=source)
    for layer in (mean, std):
        assert layer.data.shape == (2, 32, 48)
        np.testing.assert_allclose(outer_corners(layer), outer_corners(source), atol=1e-9)
    assert samples.data.shape == (2, 2, 32, 48)
    np.testing.assert_allclose(
        samples.data_to_world((1, 1, 5, 7)), (1, *mean.data_to_world((1, 5, 7)))
    )
    assert mean.name == "cells super-resolved"


def test_a_preview_keeps_its_place_when_the_factor_changes():
    viewer = ViewerModel()
    source = viewer.add_image(np.zeros((20, 30)), scale=(2, 2), rotate=30)
    for factor in (1, 2, 4):
        image = np.zeros((5 * factor, 6 * factor))
        preview = show_preview(
            viewer, source, Preview(image, (3, 4), {}, None, (factor, factor))
        )
        first = preview.data_to_world((-0.5, -0.5))
        np.testing.assert_allclose(first, source.data_to_world((2.5, 3.5)))
        last = preview.data_to_world((5 * factor - 0.5, 6 * factor - 0.5))
        np.testing.assert_allclose(last, source.data_to_world((7.5, 9.5)))
    assert len(viewer.layers) == 2


@pytest.mark.gui
def test_from_the_widget_to_a_registered_layer(viewer, open_widget, finish, make_image):
    widget = open_widget("Super-resolve")
    assert "Open Sample" in widget.status
    source = viewer.add_image(
        make_image((40, 48)),
        name="cells",
        scale=(0.5, 0.25),
        translate=(7, -3),
        rotate=20,
        units=("um", "um"),
        axis_labels=("y", "x"),
    )
    assert "80 × 96 pixels" in widget.status
    widget.preview_button.click()
    finish(widget)
    preview = viewer.layers["cells preview"]
    np.testing.assert_allclose(preview.scale, (0.25, 0.125))
    widget.header.factors.value = 3
    widget.header.kernel.value = "box"
    widget.run_button.click()
    finish(widget)
    result = viewer.layers["cells super-resolved"]
    assert result.data.shape == (120, 144)
    assert result.data.dtype == source.data.dtype
    np.testing.assert_allclose(result.scale, (0.5 / 3, 0.25 / 3))
    np.testing.assert_allclose(outer_corners(result), outer_corners(source), atol=1e-9)
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels
    # What the box kernel sees of the result is the image.
    seen = result.data.reshape(40, 3, 48, 3).mean(axis=(1, 3))
    assert np.abs(seen - source.data).max() < 1.5
    task = result.metadata["vae_restore"]["tasks"][0]
    assert (task["factor"], task["kernel"]) == (3, "box")


@pytest.mark.gui
def test_noisy_colour_pictures_are_enlarged(viewer, open_widget, finish, make_image):
    plane = (make_image() // 2).astype(np.uint8)
    picture = np.stack([plane, plane // 2, plane, plane], axis=-1)
    source = viewer.add_image(picture, name="colours", rgb=True)
    widget = open_widget("Super-resolve")
    assert not widget.header.noise.enabled
    widget.header.noisy.value = True
    widget.header.samples.value = 2
    widget.run()
    finish(widget)
    result, std = viewer.layers[1:]
    assert result.name == "colours super-resolved and denoised"
    assert result.rgb
    assert result.data.shape == (128, 144, 4)
    assert std.data.shape == (128, 144)
    np.testing.assert_allclose(outer_corners(result), outer_corners(source), atol=1e-9)
    kinds = [task["kind"] for task in result.metadata["vae_restore"]["tasks"]]
    assert kinds == ["super-resolve", "denoise"]
    assert "Noise" in widget.status
