"""Drawings as masks on the image's own pixel grid, whatever the transforms; no window."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes

from napari_vae_restore import InputError
from napari_vae_restore._napari.layers.mask_layers import drawing_on, grid_of, new_mask
from napari_vae_restore._napari.layers.masks import Grid

ROTATED = {"scale": (0.5, 0.25), "translate": (7, -3), "rotate": 30, "shear": [0.2]}
STACK = {
    "scale": (3.0, 0.5, 0.25),
    "translate": (7.0, -2.0, 11.0),
    "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
}
SQUARE = np.array([[3.5, 5.5], [3.5, 14.5], [11.5, 14.5], [11.5, 5.5]])
EXPECTED = np.zeros((24, 30), bool)
EXPECTED[4:12, 6:15] = True


def rasterised(image, mask, axes="YX", point=(0, 0), *, all_planes=False):
    grid = grid_of(image, axes)
    return drawing_on(image, mask, axes, point).on(grid, all_planes=all_planes)


def mapped(points, source, target):
    """Data coordinates of one layer in those of another."""
    return np.array([target.world_to_data(source.data_to_world(p)) for p in points])


@pytest.mark.parametrize("place", [{}, ROTATED])
@pytest.mark.parametrize("other", [{}, ROTATED, {"scale": (2, 3), "rotate": -75}])
def test_pixels_whose_centres_lie_in_a_shape_are_taken_through_both_transforms(place, other):
    image = Image(np.zeros((24, 30)), **place)
    empty = Shapes(ndim=2, **other)
    shapes = Shapes([mapped(SQUARE, image, empty)], shape_type="polygon", **other)
    np.testing.assert_array_equal(rasterised(image, shapes), EXPECTED)


def test_units_are_converted():
    image = Image(np.zeros((24, 30)), scale=(0.5, 0.5), units=("um", "um"))
    shapes = Shapes([SQUARE * 500], units=("nm", "nm"))
    np.testing.assert_array_equal(rasterised(image, shapes), EXPECTED)
    pixels = Shapes([SQUARE * 0.5])
    np.testing.assert_array_equal(rasterised(image, pixels), EXPECTED)


def test_an_ellipse_is_round_and_a_line_as_broad_as_it_is_drawn():
    image = Image(np.zeros((40, 50)))
    rows, columns = np.mgrid[:40, :50]
    box = np.array([[5, 5], [5, 35], [25, 35], [25, 5]])
    ellipse = rasterised(image, Shapes([box], shape_type="ellipse"))
    inside = ((rows - 15) / 10) ** 2 + ((columns - 20) / 15) ** 2 <= 1
    assert (ellipse ^ inside).sum() <= 8
    path = np.array([[8.0, 5.0], [8.0, 40.0], [30.0, 40.0]])
    stroke = rasterised(image, Shapes([path], shape_type="path", edge_width=5))
    assert stroke[6:11, 5:38].all()
    assert stroke[12:30, 38:43].all()
    assert stroke.sum() < 5 * (36 + 22) + 30
    thin = rasterised(image, Shapes([path + 0.4], shape_type="path", edge_width=0.01))
    assert thin.sum() == 36 + 22


def test_a_shape_beside_the_image_covers_nothing_and_one_across_its_edge_a_part():
    image = Image(np.zeros((24, 30)))
    assert not rasterised(image, Shapes([SQUARE - 100])).any()
    np.testing.assert_array_equal(
        rasterised(image, Shapes([SQUARE - (6, 0)])),
        np.roll(EXPECTED, -6, 0) * (np.arange(24) < 6)[:, None],
    )
    line = Shapes([[[-50, 3], [80, 3]]], shape_type="line", edge_width=0.1)
    assert rasterised(image, line).sum() == 24


def test_each_shape_counts_on_its_plane_or_on_all():
    image = Image(np.zeros((5, 24, 30)), **STACK)
    corners = [np.insert(SQUARE, 0, plane, axis=1) for plane in (1, 3, 9)]
    shapes = Shapes(corners, **STACK)
    own = rasterised(image, shapes, "ZYX")
    assert own.any(axis=(1, 2)).tolist() == [False, True, False, True, False]
    np.testing.assert_array_equal(own[3], EXPECTED)
    np.testing.assert_array_equal(rasterised(image, shapes, "ZYX", all_planes=True), EXPECTED)


def test_a_flat_mask_counts_on_the_plane_in_view():
    image = Image(np.zeros((5, 24, 30)), scale=(3, 0.5, 0.5))
    labels = Labels(EXPECTED.astype(int), scale=(0.5, 0.5))
    for mask in (Shapes([SQUARE], scale=(0.5, 0.5)), labels):
        found = rasterised(image, mask, "ZYX", point=(6.0, 1, 1))
        assert found.any(axis=(1, 2)).tolist() == [False, False, True, False, False]
        np.testing.assert_array_equal(found[2], EXPECTED)
        np.testing.assert_array_equal(
            rasterised(image, mask, "ZYX", point=(99.0, 1, 1), all_planes=True),
            EXPECTED if mask is not labels else np.zeros_like(EXPECTED),
        )


def test_a_shape_across_planes_is_refused():
    image = Image(np.zeros((20, 24, 30)))
    with pytest.raises(InputError, match="across planes"):
        rasterised(image, Shapes([np.insert(SQUARE, 1, 4, axis=1)]), "ZYX")


def test_labels_are_looked_up_at_the_centres_of_pixels():
    image = Image(np.zeros((24, 30)), **ROTATED)
    same = Labels(EXPECTED.astype(np.uint8) * 7, **ROTATED)
    np.testing.assert_array_equal(rasterised(image, same), EXPECTED)
    half = Image(np.zeros((12, 15)), scale=(2, 2), translate=(0.5, 0.5))
    coarse = Labels(EXPECTED[::2, ::2].astype(int), scale=(2, 2), translate=(0.5, 0.5))
    np.testing.assert_array_equal(rasterised(half, coarse), EXPECTED[::2, ::2])
    fine = rasterised(Image(np.zeros((24, 30))), coarse)
    np.testing.assert_array_equal(fine, EXPECTED[::2, ::2].repeat(2, 0).repeat(2, 1))


def test_labels_of_other_planes_and_of_more_dimensions():
    image = Image(np.zeros((3, 24, 30)), scale=(2, 1, 1))
    labels = np.zeros((6, 24, 30), int)
    labels[2] = EXPECTED
    found = rasterised(image, Labels(labels), "ZYX")
    assert found.any(axis=(1, 2)).tolist() == [False, True, False]
    np.testing.assert_array_equal(
        rasterised(image, Labels(labels), "ZYX", all_planes=True), EXPECTED
    )
    flat = Image(np.zeros((24, 30)))
    np.testing.assert_array_equal(rasterised(flat, Labels(labels), point=(2, 0, 0)), EXPECTED)
    assert not rasterised(flat, Labels(labels), point=(3, 0, 0)).any()


@pytest.mark.parametrize(
    ("axes", "shape", "ndim", "mask_axes"),
    [
        ("YX", (4, 5), 2, "YX"),
        ("YXS", (4, 5, 3), 2, "YX"),
        ("XY", (5, 4), 2, "XY"),
        ("ZYX", (2, 4, 5), 3, "ZYX"),
        ("CYX", (2, 4, 5), 3, "CYX"),
        ("TZYXS", (2, 3, 4, 5, 3), 4, "TZYXS"),
        ("YXZ", (4, 5, 2), 3, "YXZ"),
    ],
)
def test_masks_are_brought_into_the_order_of_the_axes(axes, shape, ndim, mask_axes):
    grid = Grid(axes, shape, ndim)
    mask = np.zeros((*grid.plane_shape, *grid.size), bool)
    mask[..., 1, 3] = True
    for each in (mask, mask.reshape(-1, *grid.size)[0]):
        spread = grid.spread(each)
        assert spread.shape == shape
        where = tuple({"Y": 1, "X": 3}.get(a, slice(None)) for a in axes)
        assert spread[where].all()
        assert spread.sum() == spread[where].size
    assert grid.for_task(mask).shape == tuple(shape[axes.index(a)] for a in mask_axes)
    assert grid.for_task(mask[(0,) * (mask.ndim - 2)]).ndim == 2


@pytest.mark.parametrize("all_planes", [False, True])
@pytest.mark.parametrize("kind", ["shapes", "labels", "flat labels"])
def test_a_part_of_the_grid_is_drawn_on_as_the_whole(kind, all_planes):
    image = Image(np.zeros((5, 24, 30)), **STACK)
    painted = np.zeros((5, 24, 30), int)
    painted[3] = EXPECTED
    mask = {
        "shapes": Shapes([np.insert(SQUARE, 0, 3, axis=1)], **STACK),
        "labels": Labels(painted, **STACK),
        "flat labels": Labels(painted[3], scale=(0.5, 0.25)),
    }[kind]
    grid = grid_of(image, "ZYX")
    drawing = drawing_on(image, mask, "ZYX", point=image.data_to_world((3, 0, 0)))
    whole = drawing.on(grid, all_planes=all_planes)
    region = (slice(2, 5), slice(6, 20), slice(3, 10))
    part = drawing.on(grid.part(region), all_planes=all_planes)
    if kind != "flat labels":
        assert part.any()
    expected = whole[region[1:]] if all_planes else whole[region]
    np.testing.assert_array_equal(part, expected)


def test_a_new_mask_lies_on_its_image_ready_to_draw():
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros((5, 24, 30)),
        name="cells",
        affine=np.diag([1, 2, 2, 1]),
        units=("um", "nm", "nm"),
        axis_labels=("z", "y", "x"),
        **STACK,
    )
    mask = new_mask(viewer, image)
    assert mask.name == "mask of cells"
    for point in ((0, 0, 0), (1, 20, 7)):
        np.testing.assert_allclose(mask.data_to_world(point), image.data_to_world(point))
    assert mask.units == image.units
    assert mask.axis_labels == image.axis_labels
    assert mask.mode == "add_polygon"
    assert viewer.layers.selection.active is mask
    mask.add_polygons([np.insert(SQUARE, 0, 2, axis=1)])
    np.testing.assert_array_equal(rasterised(image, mask, "ZYX")[2], EXPECTED)
