"""Restoring as the worker runs it: lazy data, channels, previews; without a window."""

from typing import get_args

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

import napari_vae_restore as vr
from napari_vae_restore._napari.jobs.restoration_steps import (
    preview_steps,
    restore_steps,
)
from napari_vae_restore._napari.layers.region import noise_region, read, visible_region
from napari_vae_restore._napari.layers.results import show_result
from napari_vae_restore._napari.messages import Source, Update
from napari_vae_restore._napari.words import doing
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import (
    Deblur,
    Denoise,
    Inpaint,
    SuperResolve,
    Task,
)

OPTIONS = Options(device="cpu")


@pytest.fixture
def preview(drained):
    """Preview what a view shows."""

    def shown(source, model, *tasks, known=None, **view):
        step = (0,) * source.data.ndim
        region = visible_region(source.data.shape, source.axes, **{"step": step, **view})
        tasks = tasks or [Denoise()]
        return drained(preview_steps(source, region, tasks, model, OPTIONS, known or {}))[1]

    return shown


def test_the_window_gives_the_numbers_of_the_library(tiny_model, make_image, drained):
    image = make_image((2, 40, 48))
    options = Options(n_samples=2, seed=3, tile=32, device="cpu")
    _, mine = drained(restore_steps(Source(image, "ZYX"), [Denoise()], tiny_model, options))
    theirs = vr.denoise(
        image, tiny_model, axes="ZYX", n_samples=2, seed=3, tile=32, device="cpu"
    )
    np.testing.assert_array_equal(mine.mean, theirs.mean)
    np.testing.assert_array_equal(mine.std, theirs.std)
    assert mine.recipe == theirs.recipe


def test_lazy_data_are_read_plane_by_plane(make_image, drained):
    image = make_image((3, 2, 16, 16))
    lazy = da.from_array(image, chunks=(1, 1, 16, 16))
    messages, array = drained(read(Source(lazy, "TZYX")))
    np.testing.assert_array_equal(array, image)
    assert len(messages) == 1 + 6
    assert isinstance(messages[0], Update)


@pytest.mark.parametrize(("shape", "axes"), [((16, 20), "YX"), ((16, 20, 3), "YXS")])
def test_a_lazy_plane_is_read_at_once(shape, axes, drained):
    lazy = da.from_array(np.arange(np.prod(shape)).reshape(shape))
    np.testing.assert_array_equal(drained(read(Source(lazy, axes)))[1], lazy.compute())


def test_the_noise_of_lazy_data_comes_from_a_few_planes():
    lazy = da.zeros((40, 3, 5, 16, 16), chunks=(1, 1, 1, 16, 16))
    few = lazy[noise_region(Source(lazy, "TCZYX"))]
    assert few.shape[1] == 3
    assert few.shape[0] * few.shape[2] <= 8


def test_a_preview_is_what_the_whole_would_be(tiny_model, make_image, preview):
    image = make_image((3, 64, 72))
    found = preview(Source(image, "ZYX"), tiny_model, step=(1, 0, 0))
    whole = vr.denoise(image[1], tiny_model, device="cpu")
    assert found.start == (1, 0, 0)
    np.testing.assert_array_equal(found.image, whole.mean[None])


def test_the_noise_of_a_preview_is_that_of_the_whole_layer(tiny_model, make_image, preview):
    quiet, loud = make_image((64, 64), sigma=2), make_image((64, 64), sigma=20)
    source = Source(np.concatenate([quiet, loud], axis=1), "YX")
    corners = [(0, 63), (0, 63)]
    found = preview(source, tiny_model, Denoise("gaussian"), corners=corners)
    assert found.noise == {0: estimate_noise(source.data, kind="gaussian")}
    again = preview(source, tiny_model, Denoise("gaussian"), known={0: vr.GaussianNoise(5.0)})
    assert again.noise == {0: vr.GaussianNoise(5.0)}


def test_only_the_channels_of_the_preview_are_looked_at(tiny_model, make_image, preview):
    source = Source(make_image((3, 64, 64)), "CYX")
    found = preview(source, tiny_model, Denoise("gaussian"), step=(2, 0, 0))
    assert list(found.noise) == [2]
    assert found.image.shape == (1, 64, 64)


def test_a_preview_of_a_colour_picture_keeps_alpha(tiny_model, make_image, preview):
    image = np.stack([make_image() // 2] * 4, axis=-1).astype(np.uint8)
    found = preview(Source(image, "YXS"), tiny_model)
    assert list(found.noise) == [0, 1, 2]
    np.testing.assert_array_equal(found.image[..., 3], image[..., 3])


def test_the_bundled_model_is_loaded_on_the_way_and_does_all_tasks(make_image, drained):
    image = make_image()
    messages, result = drained(
        restore_steps(Source(image, "YX"), [SuperResolve(2), Denoise()], "default", OPTIONS)
    )
    assert "Loading" in messages[0].text
    theirs = vr.restore(image, [SuperResolve(2), Denoise()], device="cpu")
    np.testing.assert_array_equal(result.mean, theirs.mean)
    assert result.diagnostics.noise == theirs.diagnostics.noise


def test_a_preview_of_an_enlargement_knows_its_zoom(make_image, preview):
    source = Source(make_image((2, 64, 72)), "ZYX")
    corners = [(0, 0), (10, 29), (20, 51)]
    found = preview(source, "default", SuperResolve(3), step=(1, 0, 0), corners=corners)
    assert found.image.shape == (1, 60, 96)
    assert found.start == (1, 10, 20)
    assert found.zoom == (1, 3, 3)


@pytest.mark.parametrize("whole", [True, False])
def test_the_noise_is_not_looked_for_under_a_mask(make_image, preview, whole):
    image = make_image((2, 64, 96))
    mask = np.zeros(image.shape if whole else image.shape[1:], bool)
    mask[..., 60:] = True
    damaged = np.where(mask, 0, image).astype(image.dtype)
    tasks = Denoise("gaussian"), Inpaint(mask)
    found = preview(
        Source(damaged, "ZYX"), "default", *tasks, corners=[(0, 0), (0, 63), (0, 79)]
    )
    expected = estimate_noise(damaged, "gaussian", observed=~np.broadcast_to(mask, image.shape))
    assert found.noise == {0: expected}
    assert 5 < found.noise[0].sigma < 12


TASKS = {
    Denoise: Denoise("gaussian:12"),
    Inpaint: Inpaint(np.eye(40, 48, dtype=bool)),
    SuperResolve: SuperResolve(2),
    Deblur: Deblur(np.full((1, 3), 1 / 3)),
}


@pytest.mark.parametrize("kind", get_args(Task))
def test_every_task_has_words_and_runs_to_its_end(kind, make_image, drained):
    source = Source(make_image((40, 48)), "YX")
    tasks = list({Denoise: TASKS[Denoise], kind: TASKS[kind]}.values())
    _, result = drained(restore_steps(source, tasks, "default", OPTIONS))
    assert doing([TASKS[kind]]) in doing(tasks)
    layer = show_result(ViewerModel(), result, like=None)
    assert layer.name.count("ed") == len(tasks)


def test_a_computation_is_named_after_its_boldest_task():
    assert doing([Denoise()]) == "Denoising"
    assert doing([SuperResolve(2), Denoise()]) == "Enlarging"
