"""The *Inpaint* widget in a viewer: from drawing a mask to the checked layers."""

import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore._napari.forms.model_store import BUNDLED, model_store

pytestmark = pytest.mark.gui

SQUARE = np.array([[19.5, 29.5], [19.5, 41.5], [31.5, 41.5], [31.5, 29.5]])
PLACE = {"scale": (0.5, 0.25), "translate": (7, -3), "rotate": 20, "units": ("um", "um")}


@pytest.fixture
def hole():
    """Pixels of SQUARE in an image of conftest's size."""
    mask = np.zeros((64, 72), bool)
    mask[20:32, 30:42] = True
    return mask


def test_from_a_new_mask_to_a_filled_layer(viewer, open_widget, finish, make_image, hole):
    inpaint = open_widget("Inpaint")
    assert "Open Sample" in inpaint.status
    assert not inpaint.header.new_button.isEnabled()
    image = viewer.add_image(make_image(), name="cells", axis_labels=("y", "x"), **PLACE)
    assert "No mask yet" in inpaint.status
    assert not inpaint.run_button.isEnabled()
    inpaint.header.new_button.click()
    mask = viewer.layers["mask of cells"]
    np.testing.assert_allclose(mask.data_to_world((3, 4)), image.data_to_world((3, 4)))
    assert mask.mode == "add_polygon"
    assert viewer.layers.selection.active.name == mask.name
    assert inpaint.header.masks.value.name == mask.name
    assert "Draw around" in inpaint.status
    mask.add_polygons([SQUARE])

    inpaint.preview_button.click()
    finish(inpaint)
    preview = viewer.layers["cells preview"]
    assert (preview.data != image.data).any()
    inpaint.header.samples.value = 2
    inpaint.run_button.click()
    finish(inpaint)
    assert "cells preview" not in viewer.layers
    filled, std = viewer.layers["cells inpainted"], viewer.layers["cells uncertainty"]
    np.testing.assert_array_equal(filled.data[~hole], image.data[~hole])
    assert filled.data.dtype == image.data.dtype
    assert (filled.data[hole] != image.data[hole]).mean() > 0.5
    assert (std.data[~hole] == 0).all()
    assert (std.data[hole] > 0).any()
    assert filled.extent.world == pytest.approx(image.extent.world)
    assert filled.units == image.units
    recipe = filled.metadata["vae_restore"]
    assert recipe["tasks"][0]["mask"] == "mask of cells"
    assert recipe["tasks"][0]["missing"] == hole.sum()


def test_next_sample_walks_through_fillings_in_one_layer(
    viewer, open_widget, finish, make_image, hole
):
    image = viewer.add_image(make_image(), name="cells")
    viewer.add_labels(hole.astype(int), name="damage")
    inpaint = open_widget("Inpaint")
    assert inpaint.header.masks.value.name == "damage"
    assert not inpaint.next_button.isEnabled()
    inpaint.header.layers.value = viewer.layers["cells"]
    inpaint.run_button.click()
    finish(inpaint)
    seen = []
    for number in (1, 2):
        assert inpaint.next_button.isEnabled()
        inpaint.next_button.click()
        finish(inpaint)
        assert f"sample {number}" in inpaint.status
        seen.append(viewer.layers[f"cells filled, sample {number}"].data.copy())
        np.testing.assert_array_equal(seen[-1][~hole], image.data[~hole])
    assert (seen[0][hole] != seen[1][hole]).any()
    assert len(viewer.layers) == 4
    viewer.layers.remove("cells filled, sample 2")
    viewer.layers.remove("cells")
    assert not inpaint.next_button.isEnabled()


def test_a_hole_is_filled_with_one_plausible_picture(
    viewer, open_widget, finish, make_image, hole
):
    image = viewer.add_image(make_image(), name="cells")
    viewer.add_labels(hole.astype(int), name="damage")
    inpaint = open_widget("Inpaint")
    inpaint.header.layers.value = image
    assert inpaint.header.fill.value == "mean"
    inpaint.header.fill.value = "sample"
    inpaint.run_button.click()
    finish(inpaint)
    result = viewer.layers["cells inpainted"]
    expected = vr.inpaint(image.data, hole, model_store().selected, fill="sample").mean
    np.testing.assert_array_equal(result.data, expected)
    assert result.metadata["vae_restore"]["tasks"][0]["fill"] == "sample"


def test_a_stack_is_filled_on_the_plane_drawn_on_or_on_all(
    viewer, open_widget, finish, make_image
):
    image = viewer.add_image(make_image((3, 64, 72)), name="stack", scale=(2, 1, 1))
    inpaint = open_widget("Inpaint")
    inpaint.header.new_mask()
    viewer.layers["mask of stack"].add_polygons([np.insert(SQUARE, 0, 1, axis=1)])
    for all_planes in (False, True):
        inpaint.header.planes.value = all_planes
        inpaint.run()
        finish(inpaint)
        changed = (viewer.layers[-1].data != image.data).any(axis=(1, 2))
        assert changed.tolist() == [all_planes, True, all_planes]


def test_who_draws_sees_what_is_drawn(viewer, open_widget, finish, make_image, hole):
    viewer.add_image(make_image(), name="cells")
    inpaint = open_widget("Inpaint")
    inpaint.header.new_mask()
    mask = viewer.layers["mask of cells"]
    mask.add_polygons([SQUARE])
    inpaint.preview()
    finish(inpaint)
    assert viewer.layers["cells preview"].visible
    mask.add_polygons([SQUARE + 20])
    assert not viewer.layers["cells preview"].visible
    inpaint.preview()
    finish(inpaint)
    assert viewer.layers["cells preview"].visible
    inpaint.run()
    finish(inpaint)
    assert viewer.layers[-1].name == "cells inpainted"
    mask.add_polygons([SQUARE - 10])
    assert viewer.layers[-1].name == "mask of cells"
    labels = viewer.add_labels(hole.astype(int), name="damage")
    inpaint.header.masks.value = viewer.layers["damage"]
    inpaint.header.layers.value = viewer.layers["cells"]
    inpaint.preview()
    finish(inpaint)
    labels.paint((5, 5), 1)
    assert not viewer.layers["cells preview"].visible


def test_planes_are_asked_for_where_there_are_some(viewer, open_widget, make_image):
    inpaint = open_widget("Inpaint")
    assert not inpaint.header.planes.enabled
    viewer.add_image(make_image(), name="flat")
    assert not inpaint.header.planes.enabled
    viewer.add_image(make_image((3, 64, 72)), name="stack")
    inpaint.header.layers.value = viewer.layers["stack"]
    assert inpaint.header.planes.enabled


def test_grow_feather_and_noise_go_into_the_computation(
    viewer, open_widget, finish, make_image, hole
):
    image = viewer.add_image(make_image(), name="cells")
    viewer.add_shapes([SQUARE], name="hole")
    inpaint = open_widget("Inpaint")
    inpaint.header.grow.value = 2
    inpaint.header.feather.value = 3
    inpaint.run()
    finish(inpaint)
    filled = viewer.layers["cells inpainted"]
    recipe = filled.metadata["vae_restore"]
    assert recipe["tasks"][0]["mask"] == "hole, grown 2 px, feathered 3 px"
    changed = filled.data != image.data
    assert changed[13:39, 23:49].sum() == changed.sum() > hole.sum()
    inpaint.header.layers.value = viewer.layers["cells"]
    inpaint.header.noisy.value = True
    assert not inpaint.header.feather.enabled
    inpaint.header.noise.value = "gaussian:8"
    inpaint.run()
    finish(inpaint)
    kinds = [task["kind"] for task in viewer.layers[-1].metadata["vae_restore"]["tasks"]]
    assert kinds == ["inpaint", "denoise"]
    assert "Noise: σ\N{NO-BREAK SPACE}8" in inpaint.status


def test_mistakes_are_explained(viewer, open_widget, finish, make_image, shown_errors):
    viewer.add_image(make_image((2, 64, 72)), name="stack")
    inpaint = open_widget("Inpaint")
    inpaint.header.new_mask()
    mask = viewer.layers["mask of stack"]
    inpaint.run()
    finish(inpaint)
    assert "“mask of stack” is empty" in inpaint.status
    mask.add_polygons([np.insert(SQUARE, 0, 0, axis=1)])
    viewer.dims.set_current_step(0, 1)
    inpaint.preview()
    finish(inpaint)
    assert "Nothing to fill in view" in inpaint.status
    viewer.dims.set_current_step(0, 0)
    mask.add_polygons([[[0, -9, -9], [0, -9, 99], [0, 99, 99], [0, 99, -9]]])
    inpaint.run()
    finish(inpaint)
    assert "covers a whole plane" in inpaint.status
    assert len(shown_errors) == 3
    assert inpaint.run_button.isEnabled()
    viewer.layers.remove("mask of stack")
    assert "No mask yet" in inpaint.status


def test_models_that_only_denoise_are_not_offered(
    viewer, open_widget, finish, make_image, tiny_model, tmp_path
):
    viewer.add_image(make_image())
    inpaint, denoise = open_widget("Inpaint"), open_widget("Denoise")
    tiny_model.save(tmp_path / "mine.safetensors")
    inpaint.open_model(str(tmp_path / "mine.safetensors"))
    finish(inpaint)
    assert "removes noise only" in inpaint.status
    assert model_store().names == (BUNDLED, "mine")
    assert inpaint.models.model == "default"
    assert denoise.models.model.name == "mine"
    assert "training images" in denoise.header.noise.native.placeholderText()


def test_the_scratched_sample_is_filled_as_it_comes(viewer, open_widget, finish, qtbot):
    viewer.open_sample("napari-vae-restore", "scratched")
    picture, mask = viewer.layers
    inpaint = open_widget("Inpaint")
    assert inpaint.header.masks.value.name == mask.name
    picture.corner_pixels = np.array([[40, 20], [180, 240]])
    inpaint.preview()
    finish(inpaint)
    preview = viewer.layers["scratched tissue preview"]
    white = (picture.data[40:181, 20:241] == 255).all(axis=-1)
    assert white.sum() > 500
    assert (preview.data[white] == 255).all(axis=-1).mean() < 0.1
