"""Any axes and dtype to planes and back; and what is refused, with its sentence."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import MIN_SIDE, as_image, guess_axes


def picture(*shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


class FakeLayer:
    """What as_image knows of a napari layer, without napari."""

    def __init__(self, data, *, multiscale=False, rgb=False, axis_labels=()):
        self.data, self.multiscale, self.rgb = data, multiscale, rgb
        self.axis_labels = axis_labels


FakeLayer.__module__ = "napari.layers.image.image"


class Labels:
    data = np.zeros((20, 20), int)
    multiscale = False


Labels.__module__ = "napari.layers.labels.labels"


class Labelled:
    """An array with named dimensions, as in xarray."""

    def __init__(self, data, dims):
        self.values, self.dims = data, dims
        self.shape, self.dtype = data.shape, data.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize(
    ("shape", "dtype", "axes"),
    [
        ((64, 48), "uint8", "YX"),
        ((30, 64, 48), "uint16", "ZYX"),
        ((64, 48, 3), "uint8", "YXS"),
        ((64, 48, 4), "float32", "YXS"),
        ((64, 48, 3), "int32", "ZYX"),
        ((3, 64, 48), "uint8", "ZYX"),
        ((64, 3, 3), "uint8", "ZYX"),
        ((9, 5, 64, 48), "uint8", "TZYX"),
        ((9, 64, 48, 3), "uint16", "ZYXS"),
        ((9, 2, 5, 64, 48), "float64", "TCZYX"),
        ((2, 9, 64, 48, 3), "uint8", "TZYXS"),
    ],
)
def test_axes_are_guessed(shape, dtype, axes):
    assert guess_axes(shape, dtype) == axes


@given(st.integers(0, 9), st.sampled_from(["u1", "f4", "i2"]))
def test_a_guess_fits_or_asks_for_axes(ndim, dtype):
    if 2 <= ndim <= 5:
        assert len(guess_axes((9,) * ndim, dtype)) == ndim
    else:
        with pytest.raises(InputError, match="give axes=" if ndim > 5 else "at least 2"):
            guess_axes((9,) * ndim, dtype)


@given(
    st.data(),
    st.sampled_from(["u1", "<u2", ">u2", "i2", "u4", "i8", "f2", ">f4", "f8"]),
    st.permutations("TZCYX"),
    st.integers(2, 5),
)
def test_images_pass_unchanged(data, dtype, order, ndim):
    others = data.draw(st.permutations("TZC"))[: ndim - 2]
    axes = "".join(letter for letter in order if letter in "YX" or letter in others)
    shape = tuple(data.draw(st.integers(8, 13)) if a in "YX" else 2 for a in axes)
    array = data.draw(hnp.arrays(dtype, shape, elements=st.integers(0, 100), fill=st.just(1)))
    array.flat[0] = 101
    array.flags.writeable = False
    result, found = as_image(array[..., ::-1], axes.lower())
    assert found == axes
    assert result.dtype == array.dtype
    assert np.shares_memory(result, array)


def test_layers_give_their_finest_level_and_colour():
    fine = picture(16, 20, 3)
    array, axes = as_image(FakeLayer([fine, fine[::2, ::2]], multiscale=True, rgb=True))
    assert array is fine
    assert axes == "YXS"
    assert as_image(FakeLayer(fine.transpose(2, 0, 1)))[1] == "ZYX"
    # A layer that is not shown as colour is none, whatever its shape.
    with pytest.raises(InputError, match="along X, but 3"):
        as_image(FakeLayer(fine))


@pytest.mark.parametrize(
    ("labels", "axes"),
    [(("t", "y", "x"), "TYX"), (("-3", "-2", "-1"), "ZYX"), (("a", "b", "c"), "ZYX")],
)
def test_labels_name_the_axes_where_they_can(labels, axes):
    array = picture(9, 10, 12)
    assert as_image(FakeLayer(array, axis_labels=labels))[1] == axes
    assert as_image(Labelled(array, labels))[1] == axes
    assert as_image(Labelled(array, labels), "CYX")[1] == "CYX"


def test_labels_of_a_colour_layer_leave_out_the_samples():
    layer = FakeLayer(picture(9, 10, 12, 3), rgb=True, axis_labels=("t", "y", "x"))
    assert as_image(layer)[1] == "TYXS"


BROKEN = picture(10, 12, dtype="float32")
NAN, INF = BROKEN.copy(), BROKEN.copy()
NAN[0, :3], INF[2, 2] = np.nan, -np.inf


@pytest.mark.parametrize(
    ("image", "axes", "message"),
    [
        ([[1, 2], [3, 4]], None, "but a list came"),
        ("cells.tif", None, "but a str came.*read_image"),
        (None, None, "but a NoneType came"),
        (Labels(), None, "image layer, but a Labels came"),
        (np.ma.masked_array(BROKEN), None, "masked array"),
        (BROKEN > 3, None, "looks like a mask; pass astype"),
        (BROKEN * 1j, None, "complex.*numpy.abs"),
        (BROKEN.astype(object), None, "Python objects"),
        (BROKEN.astype(str), None, "values of type <U"),
        (BROKEN.astype("datetime64[s]"), None, "values of type datetime64"),
        (np.float32(3), None, "2 dimensions, but an array with 0"),
        (np.arange(9), None, "2 dimensions, but an array with 1"),
        (np.zeros((0, 12)), None, "empty array"),
        (np.zeros((2,) * 6), None, "give axes="),
        (BROKEN, "ZYX", "Expected 2 axes for shape"),
        (BROKEN, "YY", "repeats one"),
        (BROKEN, "ZX", "lacks Y"),
        (BROKEN, "ZT", "lacks Y and X"),
        (BROKEN, "Y1", "made of letters"),
        (BROKEN, "ÝX", "made of letters"),
        (BROKEN, ("Y", "X"), "axes as a text, but a tuple"),
        (picture(10, 12, 5), "YXS", "at most 4 colour samples"),
        (picture(MIN_SIDE, MIN_SIDE - 1), None, "at least 8 pixels along X, but 7"),
        (picture(7, 20, 20), "YZX", "at least 8 pixels along Y, but 7"),
        (NAN, None, "3 NaN and 0 infinite of 120 values"),
        (INF, None, "0 NaN and 1 infinite"),
        (np.full((9, 9), np.nan), None, "all values are NaN"),
        (np.full((9, 9), 7, "u2"), None, "every pixel has the value 7"),
        (np.full((9, 9, 9), -0.5), None, "every pixel has the value -0.5"),
    ],
)
def test_unusable_images_are_refused_in_one_sentence(image, axes, message):
    with pytest.raises(InputError, match=message) as caught:
        as_image(image, axes)
    assert "\n" not in str(caught.value)
    assert re.fullmatch(r"Expected .+, but .+: .+\.", str(caught.value))


def test_a_constant_picture_is_one_under_any_alpha():
    rgba = np.dstack([np.full((10, 12, 3), 5, "u1"), picture(10, 12)])
    with pytest.raises(InputError, match="every pixel has the value 5"):
        as_image(rgba)


def test_memory_that_does_not_suffice_is_said():
    class Huge:
        shape, dtype = (10**6, 10**6), np.dtype("f8")

        def __array__(self, dtype=None, copy=None):
            raise MemoryError

    with pytest.raises(InputError, match="fits into memory"):
        as_image(Huge())


def test_what_numpy_cannot_read_is_said():
    class OnAnotherDevice:
        shape, dtype = (10, 10), np.dtype("f4")

        def __array__(self, dtype=None, copy=None):
            raise TypeError("can't convert cuda:0 device type tensor")

    with pytest.raises(InputError, match="cuda:0"):
        as_image(OnAnotherDevice())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_checks_allocate_little(order):
    volume = np.ones((4, 2000, 1000), "f4")
    volume[-1, -1, -1] = 2
    tracemalloc.start()
    as_image(volume.transpose(order), "".join("ZYX"[axis] for axis in order))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < volume.nbytes / 8
