"""Layout: planes and back, exactly; cast: the image's own dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_vae_restore.errors import InputError, RestorationError
from napari_vae_restore.images.layout import Layout, cast

DTYPES = ["u1", ">u2", "i2", "<u4", "i8", "f2", ">f4", "f8"]


@st.composite
def images(draw, letters="TZCSYXP"):
    """An array in any order of axes, of any dtype, strides and writability."""
    chosen = draw(st.sets(st.sampled_from(letters.replace("Y", "").replace("X", ""))))
    axes = "".join(draw(st.permutations([*sorted(chosen), "Y", "X"])))
    shape = [draw(st.integers(1, 4 if axis == "S" else 5)) for axis in axes]
    steps = [draw(st.sampled_from([1, 2, -1])) for _ in axes]
    whole = [size * abs(step) for size, step in zip(shape, steps, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    array = rng.integers(0, 100, whole).astype(draw(st.sampled_from(DTYPES)))
    array = array[tuple(slice(None, None, step) for step in steps)]
    array.flags.writeable = draw(st.booleans())
    return array, axes


@given(images())
def test_planes_return_exactly(image_and_axes):
    image, axes = image_and_axes
    layout = Layout.of(image, axes)
    planes = layout.to_planes(image)
    assert planes.shape == layout.planes_shape
    assert planes.dtype == image.dtype
    back = layout.from_planes(planes, like=image)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


@given(images(), st.integers(1, 9), st.integers(1, 9))
def test_another_height_and_width_go_to_their_places(image_and_axes, height, width):
    image, axes = image_and_axes
    layout = Layout.of(image, axes)
    planes = np.zeros((*layout.planes_shape[:2], height, width), "f4")
    result = layout.from_planes(planes, like=image)
    expected = {"Y": height, "X": width}
    assert result.shape == tuple(
        expected.get(a, n) for a, n in zip(axes, image.shape, strict=True)
    )
    assert result.dtype == np.float32


def test_channels_and_stacks_keep_the_order_of_the_axes():
    image = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    planes = Layout.of(image, "TCZYX").to_planes(image)
    assert planes.shape == (8, 3, 5, 6)
    np.testing.assert_array_equal(planes[1 * 4 + 2, 1], image[1, 1, 2])
    both = Layout.of(image[..., :3], "TCYXS")
    assert both.planes_shape == (2, 9, 4, 5)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("YX", (9, 8)), ("ZYX", (3, 9, 8)), ("CYX", (3, 9, 8)), ("YXS", (9, 8, 3))],
)
def test_planes_are_views_where_they_can_be(axes, shape):
    image = np.zeros(shape)
    layout = Layout.of(image, axes)
    planes = layout.to_planes(image)
    assert np.shares_memory(planes, image)
    assert np.shares_memory(layout.from_planes(planes), image)


@pytest.mark.parametrize(("samples", "channels"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_alpha_is_kept_apart(samples, channels):
    image = np.random.default_rng(0).integers(0, 255, (10, 12, samples)).astype("u1")
    layout = Layout.of(image, "YXS")
    assert layout.has_alpha is (samples in (2, 4))
    planes = layout.to_planes(image)
    assert planes.shape == (1, channels, 10, 12)
    result = layout.from_planes(255 - planes, like=image)
    np.testing.assert_array_equal(result[..., :channels], 255 - image[..., :channels])
    np.testing.assert_array_equal(result[..., channels:], image[..., channels:])
    assert layout.from_planes(planes).shape == (10, 12, channels)


def test_alpha_is_enlarged_with_its_picture():
    image = np.random.default_rng(0).integers(0, 255, (4, 10, 12)).astype("u1")
    layout = Layout.of(image, "SYX")
    enlarged = layout.from_planes(np.zeros((1, 3, 20, 36), "u1"), like=image)
    np.testing.assert_array_equal(enlarged[3], image[3].repeat(2, axis=0).repeat(3, axis=1))


def test_foreign_shapes_are_refused():
    layout = Layout.of(np.zeros((9, 8, 4)), "YXS")
    with pytest.raises(InputError, match=r"Expected an image of shape \(9, 8, 4\)"):
        layout.to_planes(np.zeros((9, 8, 3)))
    with pytest.raises(InputError, match=r"Expected an image of shape \(9, 8, 4\)"):
        layout.from_planes(np.zeros((1, 3, 9, 8)), like=np.zeros((9, 8)))
    for shape in [(1, 4, 9, 8), (3, 9, 8), (2, 3, 9, 8)]:
        with pytest.raises(InputError, match=r"Expected planes of shape \(1, 3, H, W\)"):
            layout.from_planes(np.zeros(shape))
    with pytest.raises(InputError, match="Expected 3 axes"):
        Layout.of(np.zeros((9, 8, 4)), "YX")


@given(st.sampled_from(["u1", "i1", ">u2", "i2", "u4", "i4", "u8", "i8"]), st.booleans())
def test_integers_are_rounded_and_clipped(dtype, double):
    bounds = np.iinfo(dtype)
    values = np.array([-np.inf, -1e30, 0.4, 2.6, 1e30, np.inf], "f8" if double else "f4")
    result = cast(values, dtype)
    assert result.dtype == np.dtype(dtype)
    assert result.tolist() == [bounds.min, bounds.min, 0, 3, bounds.max, bounds.max]
    edge = cast(np.array([bounds.min, bounds.max], values.dtype), dtype)
    assert edge.tolist()[0] == bounds.min
    assert abs(edge.tolist()[1] - bounds.max) <= 1


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 100), min_size=1))
def test_values_of_the_dtype_stay(dtype, numbers):
    values = np.array(numbers, dtype)
    assert cast(values, dtype) is values
    for other in DTYPES:
        np.testing.assert_array_equal(cast(cast(values, other), dtype), values)


def test_integers_of_another_width_are_clipped():
    assert cast(np.array([-5, 300], "i8"), "u1").tolist() == [0, 255]
    assert cast(np.array([2**64 - 1], "u8"), "i8").tolist() == [2**63 - 1]
    assert cast(np.array([-1], "i1"), "u8").tolist() == [0]


def test_floats_are_narrowed_without_overflow():
    result = cast(np.array([1e300, -np.inf, np.nan, 0.5]), ">f2")
    assert result.dtype == np.dtype(">f2")
    np.testing.assert_array_equal(
        result, np.array([np.finfo("f2").max, -np.inf, np.nan, 0.5], "f2")
    )


def test_nan_never_becomes_an_integer():
    with pytest.raises(RestorationError, match="1 of 2 values are NaN"):
        cast([np.nan, 1.0], "uint8")


def test_a_single_number_is_cast_too():
    assert cast(299.6, "u1") == 255
