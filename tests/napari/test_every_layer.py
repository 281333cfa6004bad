"""Every image layer that napari can show is restored, and stays where it was."""

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels, Shapes

import napari_vae_restore as vr
from napari_vae_restore._napari.forms.model_store import model_store

pytestmark = pytest.mark.gui

H, W = 24, 28
TURN = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]


def pictures(make_image):
    """Data, arguments of add_image, and the axes that are guessed, by what is special."""
    plane, stack = make_image((H, W)), make_image((2, H, W))
    large = make_image((2, 3, 2, H, W))
    colours = np.stack([plane // 2] * 3, axis=-1).astype(np.uint8)
    clear = np.full((H, W, 1), 200, np.uint8)
    chunks = zarr.array(stack, chunks=(1, H, W), store=zarr.storage.MemoryStore())
    place = {"scale": (3, 0.5, 0.25), "translate": (1, 2, 3), "units": ("um", "nm", "nm")}
    return {
        "five axes": (large, {}, "TCZYX"),
        "any order": (stack.transpose(2, 0, 1), {"axis_labels": ("x", "t", "y")}, "XTY"),
        "channels": (stack, {"axis_labels": ("c", "y", "x")}, "CYX"),
        "RGB": (colours, {"rgb": True}, "YXS"),
        "RGBA": (np.concatenate([colours, clear], -1), {"rgb": True}, "YXS"),
        "RGB stack": (np.stack([colours] * 2), {"rgb": True}, "ZYXS"),
        "multiscale": ([stack, stack[:, ::2, ::2]], {"multiscale": True}, "ZYX"),
        "dask": (da.from_array(stack, chunks=(1, H, W)), {}, "ZYX"),
        "zarr": (chunks, {}, "ZYX"),
        "placed": (stack, place, "ZYX"),
        "rotated": (stack, {"rotate": TURN, "shear": (0, 0, 0.2)}, "ZYX"),
        "affine": (plane, {"affine": [[0.9, 0.1, 4], [-0.2, 1.1, 5], [0, 0, 1]]}, "YX"),
    }


def test_every_layer_is_denoised_and_stays_where_it_was(
    viewer, open_widget, finish, tiny_model, make_image
):
    model_store().add(tiny_model, "tiny")
    denoise = open_widget("Denoise")
    denoise.header.noise.value = "gaussian:8"
    for kind, (data, options, axes) in pictures(make_image).items():
        viewer.layers.clear()
        layer = viewer.add_image(data, name="image", **options)
        assert denoise.header.axes.axes == axes, kind
        denoise.run()
        finish(denoise)
        assert "“image denoised” added" in denoise.status, f"{kind}: {denoise.status}"
        result = viewer.layers["image denoised"]
        finest = data[0] if kind == "multiscale" else data
        assert result.data.shape == finest.shape, kind
        assert result.data.dtype == finest.dtype, kind
        assert result.rgb == layer.rgb, kind
        assert result.units == layer.units, kind
        assert result.axis_labels == layer.axis_labels, kind
        corner = tuple(np.array(finest.shape[: layer.ndim]) - 1)
        for point in ((0,) * layer.ndim, corner):
            np.testing.assert_allclose(
                result.data_to_world(point), layer.data_to_world(point), err_msg=kind
            )
        pixels = np.asarray(finest)
        expected = vr.denoise(layer, model_store().selected, noise="gaussian:8", axes=axes)
        np.testing.assert_array_equal(result.data, expected.mean, err_msg=kind)
        if kind == "RGBA":
            np.testing.assert_array_equal(result.data[..., 3], pixels[..., 3])


DTYPES = ("uint8", "int8", "int16", "int32", "uint32", "float16", "float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_of_number_comes_back(tiny_model, make_image, dtype):
    layer = Image((make_image((H, W)) // 3).astype(dtype))
    out = vr.denoise(layer, tiny_model, noise="gaussian:3")
    assert out.mean.dtype == dtype
    assert np.std(out.mean.astype(float)) < np.std(layer.data.astype(float))


def test_a_mask_is_no_picture_and_says_so(viewer, open_widget, make_image):
    viewer.add_image(make_image() > 200, name="cells")
    denoise = open_widget("Denoise")
    assert "“cells” holds True and False only" in denoise.status
    assert not denoise.run_button.isEnabled()


BOX = np.array([[1, 4, 5], [1, 4, 15], [1, 12, 15], [1, 12, 5]], float)
SHAPES = {
    "rectangle": BOX,
    "ellipse": BOX,
    "polygon": BOX,
    "path": BOX,
    "line": BOX[[0, 2]],
}


@pytest.mark.parametrize("kind", SHAPES)
def test_every_shape_on_a_plane_of_a_placed_stack_is_a_mask(make_image, kind):
    image = Image(make_image((3, H, W)), scale=(3, 0.5, 0.5), rotate=(0, 0, 20))
    corners = np.array([image.data_to_world(point) for point in SHAPES[kind]])
    shapes = Shapes([corners], shape_type=kind, edge_width=1, name="mask")
    mask = vr.mask_of(shapes, image)
    assert mask.shape == image.data.shape
    assert mask[1].any()
    assert not mask[[0, 2]].any()
    assert mask[1, 8, 10] == (kind != "path")  # the middle
    filled = vr.inpaint(image, shapes).mean
    np.testing.assert_array_equal(filled[~mask], image.data[~mask])
    assert (filled != image.data).any()


def test_labels_are_masks_in_python_too(make_image):
    image = Image(make_image((2, H, W)), scale=(1, 2, 2))
    painted = np.zeros((2 * H, 2 * W), int)
    painted[10:20, 12:30] = 7
    labels = Labels(painted)
    mask = vr.mask_of(labels, image)
    assert mask.shape == (H, W)  # flat: on every plane
    assert mask.sum() == 5 * 9
    assert vr.inpaint(image, labels).mean.shape == image.data.shape
    with pytest.raises(vr.InputError, match="Shapes or Labels"):
        vr.mask_of(image, image)
    with pytest.raises(vr.InputError, match="the layer itself"):
        vr.mask_of(labels, image.data)
    with pytest.raises(vr.InputError, match="mask_of"):
        vr.Inpaint(labels)
