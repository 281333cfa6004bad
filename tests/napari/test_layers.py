"""Layers to axes, and results back into the place of their source; without a window."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

import napari_vae_restore as vr
from napari_vae_restore._napari.layers.placement import layer_axes, placement
from napari_vae_restore._napari.layers.results import find_preview, show_preview, show_result
from napari_vae_restore._napari.layers.view import steady
from napari_vae_restore._napari.messages import Preview

TRANSFORMED = {
    "scale": (3.0, 0.5, 0.25),
    "translate": (7.0, -2.0, 11.0),
    "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
    "shear": (0.0, 0.0, 0.3),
    "affine": [[1, 0, 0, 5], [0, 0, 1, 0], [0, -1, 0, 2], [0, 0, 0, 1]],
    "units": ("um", "nm", "nm"),
    "axis_labels": ("z", "y", "x"),
}


@pytest.mark.parametrize(
    ("shape", "options", "axes"),
    [
        ((20, 30), {}, "YX"),
        ((4, 20, 30), {}, "ZYX"),
        ((20, 30, 3), {"rgb": True}, "YXS"),
        ((20, 30, 3), {"rgb": False}, "ZYX"),
        ((4, 20, 30), {"axis_labels": ("t", "y", "x")}, "TYX"),
        ((4, 20, 30), {"axis_labels": ("time", "y", "x")}, "ZYX"),
        ((4, 20, 30, 3), {"rgb": True, "axis_labels": ("t", "y", "x")}, "TYXS"),
    ],
)
def test_axes_are_read_from_labels_or_guessed(shape, options, axes):
    assert layer_axes(Image(np.zeros(shape, np.uint8), **options)) == axes


def test_a_part_lies_where_it_was_cut_out():
    layer = Image(np.zeros((6, 20, 30)), **TRANSFORMED)
    part = Image(np.zeros((1, 5, 5)), **placement(layer, start=(2, 4, 10)))
    for pixel in ((0, 0, 0), (0, 3, 4)):
        there = layer.data_to_world(np.add(pixel, (2, 4, 10)))
        np.testing.assert_allclose(part.data_to_world(pixel), there)
    assert part.units == layer.units
    assert part.axis_labels == layer.axis_labels


def test_results_are_new_layers_in_the_place_of_their_source(tiny_model, make_image):
    viewer = ViewerModel()
    image = make_image((2, 40, 48))
    source = viewer.add_image(
        image,
        name="cells",
        contrast_limits=(100, 300),
        colormap="green",
        gamma=0.7,
        **TRANSFORMED,
    )
    before = image.copy()
    result = vr.denoise(source, tiny_model, axes="ZYX", n_samples=3, keep_samples=True)
    mean, std, samples = vr.add_to_viewer(viewer, result, like=source)
    assert [layer.name for layer in viewer.layers] == [
        "cells",
        "cells denoised",
        "cells uncertainty",
        "cells samples",
    ]
    np.testing.assert_array_equal(source.data, before)
    for layer in (mean, std):
        np.testing.assert_allclose(
            layer.data_to_world((1, 5, 6)), source.data_to_world((1, 5, 6))
        )
        np.testing.assert_allclose(layer.scale, source.scale)
        assert layer.units == source.units
        assert layer.axis_labels == source.axis_labels
        assert layer.metadata["vae_restore"] == result.recipe.to_dict()
    assert mean.data.dtype == image.dtype
    assert mean.contrast_limits == [100, 300]
    assert mean.colormap.name == "green"
    assert mean.gamma == 0.7
    assert std.colormap.name == "inferno"
    np.testing.assert_array_equal(std.data, result.expected_error())
    assert samples.data.shape == (3, *image.shape)
    assert samples.axis_labels == ("sample", "z", "y", "x")
    np.testing.assert_allclose(
        samples.data_to_world((2, 1, 5, 6)), (2, *source.data_to_world((1, 5, 6)))
    )


def test_a_colour_picture_stays_one_and_its_uncertainty_has_one_value_a_pixel(
    tiny_model, make_image
):
    viewer = ViewerModel()
    image = np.stack([make_image() // 2] * 3, axis=-1).astype(np.uint8)
    source = viewer.add_image(image, rgb=True, name="colours")
    mean, std = vr.add_to_viewer(
        viewer, vr.denoise(source, tiny_model, n_samples=2), like=source
    )
    assert mean.rgb
    assert mean.data.shape == image.shape
    assert std.data.shape == image.shape[:2]


def test_without_a_source_a_result_is_shown_at_the_origin(tiny_model, make_image):
    viewer = ViewerModel()
    (layer,) = vr.add_to_viewer(viewer, vr.denoise(make_image(), tiny_model))
    assert layer.name == "image denoised"
    assert tuple(layer.scale) == (1, 1)


def test_there_is_one_preview_and_it_moves(make_image):
    viewer = ViewerModel()
    source = viewer.add_image(make_image(), scale=(2, 2), name="cells")
    other = viewer.add_image(make_image())
    viewer.layers.selection = {other}
    for corner in ((0, 0), (10, 20)):
        preview = show_preview(viewer, source, Preview(np.ones((9, 9), int), corner, {}, None))
    assert len(viewer.layers) == 3
    assert tuple(preview.translate) == (20, 40)
    assert viewer.layers.selection == {other}
    assert find_preview(viewer, source) is preview


def test_a_preview_becomes_the_result(tiny_model, make_image):
    viewer = ViewerModel()
    source = viewer.add_image(make_image(), scale=(2, 2), translate=(5, 5), name="cells")
    part = Preview(np.ones((9, 9), np.uint16), (10, 20), {}, None, (2.0, 2.0))
    preview = show_preview(viewer, source, part)
    preview.visible = False
    out = vr.denoise(source, tiny_model, n_samples=2)
    mean = show_result(viewer, out, like=source, preview=preview)
    assert mean is preview
    assert find_preview(viewer, source) is None
    assert [layer.name for layer in viewer.layers][1:] == ["cells denoised"]
    np.testing.assert_array_equal(mean.data, out.mean)
    np.testing.assert_allclose(mean.data_to_world((3, 4)), source.data_to_world((3, 4)))
    assert mean.visible
    assert mean.metadata["vae_restore"] == out.recipe.to_dict()


def test_the_view_stays_where_a_dimension_comes():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((30, 30)))
    camera = viewer.scene.camera
    camera.zoom, camera.center = 9.0, (0.0, 5.0, 6.0)
    with steady(viewer):
        viewer.add_image(np.zeros((3, 30, 30)), visible=False)
    assert viewer.dims.ndim == 3
    assert (camera.zoom, camera.center) == (9.0, (0.0, 5.0, 6.0))
