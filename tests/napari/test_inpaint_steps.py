"""Filling as the worker runs it: what changes, what stays, what is refused; no window."""

import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore._napari.jobs.inpaint_steps import (
    Holes,
    inpaint_preview_steps,
    inpaint_steps,
    sample_steps,
)
from napari_vae_restore._napari.layers.masks import Grid, Outline, Outlines, Painting
from napari_vae_restore._napari.messages import Source
from napari_vae_restore.restoration.blocks.feathering import grown
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import Denoise

OPTIONS = Options(device="cpu")
TWO = Options(n_samples=2, keep_samples=True, device="cpu")
SQUARE = np.array([[19.5, 29.5], [19.5, 41.5], [31.5, 41.5], [31.5, 29.5]])


def holes(axes, shape, *, planes=(), **options):
    ndim = len(axes) - ("S" in axes)
    corners = [SQUARE] if ndim == 2 else [np.insert(SQUARE, 0, p, axis=1) for p in planes]
    drawing = Outlines(tuple(Outline(points) for points in corners))
    return Holes(drawing, Grid(axes, shape, ndim), "my mask", **options)


def missing(image, axes):
    mask = np.zeros(image.shape, bool)
    y, x = axes.index("Y"), axes.index("X")
    index = [slice(None)] * image.ndim
    index[y], index[x] = slice(20, 32), slice(30, 42)
    mask[tuple(index)] = True
    return mask


def test_the_window_fills_as_the_library_does(make_image, drained):
    image = make_image()
    found = drained(
        inpaint_steps(Source(image, "YX"), holes("YX", image.shape), "default", TWO)
    )[1].restoration
    mask = missing(image, "YX")
    theirs = vr.restore(
        image, vr.Inpaint(mask, "my mask"), n_samples=2, keep_samples=True, device="cpu"
    )
    np.testing.assert_array_equal(found.mean, theirs.mean)
    np.testing.assert_array_equal(found.samples, theirs.samples)
    np.testing.assert_array_equal(found.std, theirs.std)
    assert found.recipe == theirs.recipe
    np.testing.assert_array_equal(found.mean[~mask], image[~mask])


@pytest.mark.parametrize("all_planes", [False, True])
def test_a_shape_on_one_plane_fills_it_or_all(make_image, drained, all_planes):
    image = make_image((3, 64, 72))
    mine = holes("ZYX", image.shape, planes=[1], all_planes=all_planes, grow=1)
    found = drained(inpaint_steps(Source(image, "ZYX"), mine, "default", TWO))[1].restoration
    changed = (found.mean != image).any(axis=(1, 2))
    assert changed.tolist() == [all_planes, True, all_planes]
    assert found.samples.shape == (2, *image.shape)
    assert (found.std > 0).any(axis=(1, 2)).tolist() == changed.tolist()
    assert found.recipe.tasks[0]["mask"] == "my mask, grown 1 px"
    mask = mine.grid.for_task(_grown(mine))
    theirs = vr.inpaint(image, mask, n_samples=2, keep_samples=True, device="cpu")
    np.testing.assert_array_equal(found.mean, theirs.mean)
    np.testing.assert_array_equal(found.samples, theirs.samples)
    np.testing.assert_array_equal(found.std, theirs.std)


def _grown(mine):
    return grown(mine.drawing.on(mine.grid, all_planes=mine.all_planes), mine.grow)


def test_colours_channels_and_samples_that_are_transparent(make_image, drained):
    plane = (make_image() // 2).astype(np.uint8)
    colours = np.stack([plane, plane // 2, plane, plane], axis=-1)
    found = drained(
        inpaint_steps(Source(colours, "YXS"), holes("YXS", colours.shape), "default", TWO)
    )[1].restoration
    outside = ~missing(colours, "YXS")
    np.testing.assert_array_equal(found.mean[outside], colours[outside])
    np.testing.assert_array_equal(found.mean[..., 3], colours[..., 3])
    channels = make_image((2, 64, 72))
    mine = holes("CYX", channels.shape, planes=[1])
    found = drained(inpaint_steps(Source(channels, "CYX"), mine, "default", OPTIONS))[1]
    np.testing.assert_array_equal(found.restoration.mean[0], channels[0])
    assert (found.restoration.mean[1] != channels[1]).any()


def test_feather_fades_into_the_image_and_no_further(make_image, drained):
    image = make_image()
    mine = holes("YX", image.shape, feather=5)
    found = drained(inpaint_steps(Source(image, "YX"), mine, "default", TWO))[1]
    difference = np.abs(found.restoration.mean.astype(float) - image)
    weights = found.weights
    assert (difference[weights == 0] == 0).all()
    assert (difference[(weights > 0) & (weights < 1)] > 0).any()
    assert (found.restoration.std[weights == 0] == 0).all()
    assert "feathered 5 px" in found.restoration.recipe.tasks[0]["mask"]


def test_a_noisy_image_is_denoised_and_filled_in_one(make_image, drained):
    image = make_image()
    mine = holes("YX", image.shape, feather=5, denoising=Denoise("gaussian:8"))
    found = drained(inpaint_steps(Source(image, "YX"), mine, "default", OPTIONS))[1]
    theirs = vr.restore(
        image, [vr.Inpaint(missing(image, "YX")), Denoise("gaussian:8")], device="cpu"
    )
    np.testing.assert_array_equal(found.restoration.mean, theirs.mean)
    sample = drained(sample_steps(found, 1, "default", OPTIONS))[1]
    outside = ~missing(image, "YX")
    np.testing.assert_array_equal(sample.image[outside], theirs.mean[outside])
    assert (sample.image != theirs.mean).any()


def test_further_samples_differ_from_each_other_in_the_holes_alone(make_image, drained):
    image = make_image((2, 200, 240))
    mine = holes("ZYX", image.shape, planes=[1])
    found = drained(inpaint_steps(Source(image, "ZYX"), mine, "default", OPTIONS))[1]
    one, two = (drained(sample_steps(found, k, "default", OPTIONS))[1] for k in (1, 2))
    again = drained(sample_steps(found, 1, "default", OPTIONS))[1]
    np.testing.assert_array_equal(one.image, again.image)
    assert two.number == 2
    mask = np.zeros(image.shape, bool)
    mask[1, 20:32, 30:42] = True
    for sample in (one, two):
        np.testing.assert_array_equal(sample.image[~mask], image[~mask])
    assert (one.image[mask] != two.image[mask]).any()
    assert one.recipe.seed != two.recipe.seed


def preview(image, axes, mine, region, drained):
    steps = inpaint_preview_steps(Source(image, axes), region, mine, "default", OPTIONS, {})
    return drained(steps)[1]


def test_a_preview_fills_what_is_in_view(make_image, drained):
    image = make_image((2, 64, 72))
    mine = holes("ZYX", image.shape, planes=[1], feather=2)
    region = (slice(1, 2), slice(5, 60), slice(10, 70))
    found = preview(image, "ZYX", mine, region, drained)
    assert found.start == (1, 5, 10)
    changed = found.image != image[region]
    assert changed[0, 15:27, 20:32].mean() > 0.9
    changed[0, 13:29, 18:34] = False
    assert not changed.any()


@pytest.mark.parametrize("all_planes", [False, True])
def test_a_preview_takes_the_mask_that_a_run_takes(make_image, drained, all_planes):
    image = make_image((2, 64, 72))
    mine = holes("ZYX", image.shape, planes=[1], all_planes=all_planes, grow=3, feather=4)
    weights = drained(inpaint_steps(Source(image, "ZYX"), mine, "default", OPTIONS))[1].weights
    for region in (
        (slice(1, 2), slice(0, 64), slice(0, 72)),
        (slice(1, 2), slice(28, 60), slice(5, 40)),
    ):
        shown = preview(image, "ZYX", mine, region, drained)
        assert shown.start == tuple(part.start for part in region)
        outside = weights[region] == 0
        np.testing.assert_array_equal(shown.image[outside], image[region][outside])
        assert (shown.image[~outside] != image[region][~outside]).mean() > 0.5


def test_clear_answers_for_masks_that_will_not_do(make_image, drained):
    image = make_image((2, 64, 72))
    source, grid = Source(image, "ZYX"), Grid("ZYX", image.shape, 3)

    def refused(mine, words):
        with pytest.raises(vr.InputError, match=words):
            drained(inpaint_steps(source, mine, "default", OPTIONS))

    refused(Holes(Outlines(()), grid, "my mask"), "“my mask” is empty: draw around")
    refused(holes("ZYX", image.shape, planes=[9]), "covers no pixel of the image")
    refused(holes("ZYX", image.shape, planes=[0], grow=99), "covers a whole plane")
    everywhere = Painting(np.ones((2, 64, 72), int), np.eye(4))
    refused(Holes(everywhere, grid, "my mask"), "covers a whole plane")
    mine = holes("ZYX", image.shape, planes=[0])
    with pytest.raises(vr.InputError, match="Nothing to fill in view"):
        preview(image, "ZYX", mine, (slice(1, 2), slice(0, 64), slice(0, 72)), drained)
    with pytest.raises(vr.InputError, match="all that is in view"):
        preview(image, "ZYX", mine, (slice(0, 1), slice(21, 30), slice(31, 40)), drained)
