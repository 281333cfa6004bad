"""Denoising as the worker runs it: lazy data, channels, previews; without a window."""

import dask.array as da
import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore._napari.denoise_steps import (
    DenoiseOptions,
    denoise_steps,
    preview_steps,
)
from napari_vae_restore._napari.messages import Source, Update
from napari_vae_restore._napari.reading import planes_for_noise, read
from napari_vae_restore._napari.region import visible_region

OPTIONS = DenoiseOptions(device="cpu")


def drained(steps):
    """What a generator yields and returns."""
    messages = []
    while True:
        try:
            messages.append(next(steps))
        except StopIteration as stop:
            return messages, stop.value


def preview(source, model, options=OPTIONS, known=None, **view):
    step = (0,) * source.data.ndim
    region = visible_region(source.data.shape, source.axes, **{"step": step, **view})
    return drained(preview_steps(source, region, model, options, known or {}))[1]


def test_the_window_gives_the_numbers_of_the_library(tiny_model, make_image):
    image = make_image((2, 40, 48))
    options = DenoiseOptions(n_samples=2, seed=3, tile=32, device="cpu")
    _, mine = drained(denoise_steps(Source(image, "ZYX"), tiny_model, options))
    theirs = vr.denoise(
        image, tiny_model, axes="ZYX", n_samples=2, seed=3, tile=32, device="cpu"
    )
    np.testing.assert_array_equal(mine.mean, theirs.mean)
    np.testing.assert_array_equal(mine.std, theirs.std)
    assert mine.recipe == theirs.recipe


def test_lazy_data_are_read_plane_by_plane(make_image):
    image = make_image((3, 2, 16, 16))
    lazy = da.from_array(image, chunks=(1, 1, 16, 16))
    messages, array = drained(read(Source(lazy, "TZYX")))
    np.testing.assert_array_equal(array, image)
    assert len(messages) == 1 + 6
    assert isinstance(messages[0], Update)


@pytest.mark.parametrize(("shape", "axes"), [((16, 20), "YX"), ((16, 20, 3), "YXS")])
def test_a_lazy_plane_is_read_at_once(shape, axes, make_image):
    lazy = da.from_array(np.arange(np.prod(shape)).reshape(shape))
    np.testing.assert_array_equal(drained(read(Source(lazy, axes)))[1], lazy.compute())


def test_the_noise_of_lazy_data_comes_from_a_few_planes():
    lazy = da.zeros((40, 3, 5, 16, 16), chunks=(1, 1, 1, 16, 16))
    few = planes_for_noise(Source(lazy, "TCZYX"))
    assert few.shape[1] == 3
    assert few.shape[0] * few.shape[2] <= 8


def test_a_preview_is_what_the_whole_would_be(tiny_model, make_image):
    image = make_image((3, 64, 72))
    found = preview(Source(image, "ZYX"), tiny_model, step=(1, 0, 0))
    whole = vr.denoise(image[1], tiny_model, device="cpu")
    assert found.start == (1, 0, 0)
    np.testing.assert_array_equal(found.image, whole.mean[None])


def test_the_noise_of_a_preview_is_that_of_the_whole_layer(tiny_model, make_image):
    quiet, loud = make_image((64, 64), sigma=2), make_image((64, 64), sigma=20)
    source = Source(np.concatenate([quiet, loud], axis=1), "YX")
    options = DenoiseOptions(noise="gaussian", device="cpu")
    corners = [(0, 63), (0, 63)]
    found = preview(source, tiny_model, options, corners=corners)
    assert found.noise == {0: vr.estimate_noise(source.data, kind="gaussian")}
    again = preview(source, tiny_model, options, known={0: vr.GaussianNoise(5.0)})
    assert again.noise == {0: vr.GaussianNoise(5.0)}


def test_only_the_channels_of_the_preview_are_looked_at(tiny_model, make_image):
    source = Source(make_image((3, 64, 64)), "CYX")
    options = DenoiseOptions(noise="gaussian", device="cpu")
    found = preview(source, tiny_model, options, step=(2, 0, 0))
    assert list(found.noise) == [2]
    assert found.image.shape == (1, 64, 64)


def test_a_preview_of_a_colour_picture_keeps_alpha(tiny_model, make_image):
    image = np.stack([make_image() // 2] * 4, axis=-1).astype(np.uint8)
    found = preview(Source(image, "YXS"), tiny_model)
    assert list(found.noise) == [0, 1, 2]
    np.testing.assert_array_equal(found.image[..., 3], image[..., 3])
