"""The widgets in a viewer: from opening a sample to a result, and all that can go wrong."""

import threading
import time
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch
from qtpy.QtCore import QThreadPool, QTimer

import napari_vae_restore as vr
from napari_vae_restore._napari.forms.model_store import BUNDLED, model_store
from napari_vae_restore._napari.training.runs import known_runs

pytestmark = pytest.mark.gui

PATIENCE = 60_000
"""Milliseconds that a process may take to start on a busy machine."""


def total_variation(image):
    """Mean difference of neighbours: noise raises it."""
    return np.abs(np.diff(image.astype(float))).mean()


def test_a_newcomer_denoises_at_once_and_may_train_a_model(
    viewer, open_widget, finish, make_image
):
    denoise = open_widget("Denoise")
    assert "Open Sample" in denoise.status
    assert not denoise.run_button.isEnabled()
    assert not denoise.train_button.isEnabled()
    layer = viewer.add_image(make_image(), name="mine")
    assert denoise.models.model == "default"
    assert "measured" in denoise.header.noise.native.placeholderText()
    denoise.run_button.click()
    finish(denoise)
    assert "“mine denoised” added" in denoise.status
    assert "Noise: σ" in denoise.status
    denoised = viewer.layers["mine denoised"]
    assert total_variation(denoised.data) < 0.5 * total_variation(layer.data)
    denoise.header.layers.value = viewer.layers["mine"]
    denoise.train_button.click()
    train = open_widget("Train & Adapt")
    assert train.header.layers.value.name == "mine"
    assert train.start_button.isEnabled()
    assert not train.stop_button.isEnabled()
    assert not train.resume_button.isEnabled()


def test_sample_to_training_to_result(viewer, open_widget, finish, tiny_networks):
    viewer.open_sample("napari-vae-restore", "cells")
    cells = viewer.layers["cells"]
    train, denoise = open_widget("Train & Adapt"), open_widget("Denoise")
    train.header.way.value = "scratch"
    train.time.value = "4 s"
    train.start_button.click()
    assert not train.start_button.isEnabled()
    assert train.stop_button.isEnabled()
    finish(train)
    assert train.status.startswith("Trained for 4 s. The model is selected in Denoise")
    assert viewer.layers["cells preview"].data.shape == (256, 256)
    assert denoise.models.model.name == "cells model"

    denoise.preview_button.click()
    finish(denoise)
    assert viewer.layers["cells preview"].data.shape == (512, 512)
    denoise.header.samples.value = 2
    denoise.run_button.click()
    finish(denoise)
    assert [layer.name for layer in viewer.layers] == [
        "cells",
        "cells denoised",
        "cells uncertainty",
    ]
    denoised = viewer.layers["cells denoised"]
    assert denoised.data.shape == cells.data.shape
    assert denoised.data.dtype == cells.data.dtype
    assert total_variation(denoised.data) < 0.5 * total_variation(cells.data)
    for layer in viewer.layers:
        assert tuple(layer.scale) == (0.229674, 0.229674)
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
        assert tuple(layer.axis_labels) == ("y", "x")
    recipe = denoised.metadata["vae_restore"]
    assert recipe["model"] == "cells model"
    assert recipe["n_samples"] == 2
    assert recipe["axes"] == "YX"
    assert tuple(denoised.contrast_limits) == tuple(cells.contrast_limits)


def test_stop_keeps_the_best_and_resume_goes_on(
    viewer, open_widget, finish, qtbot, tiny_networks, make_image
):
    viewer.add_image(make_image(), name="mine")
    train = open_widget("Train & Adapt")
    train.header.way.value = "scratch"
    train.time.value = "10 min"
    train.start_button.click()
    qtbot.waitUntil(lambda: "step" in train.status, timeout=PATIENCE)
    train.stop_button.click()
    finish(train)
    assert train.status.startswith("Stopped")
    first = model_store().selected
    assert first.record.n_steps > 0
    viewer.layers.remove("mine")
    assert train.resume_button.isEnabled()  # it has a copy of the layer
    train.resume_button.click()
    qtbot.waitUntil(lambda: train.fraction > first.record.seconds / 600, timeout=PATIENCE)
    train.stop_button.click()
    finish(train)
    assert model_store().names == (BUNDLED, "mine model")
    assert model_store().selected.record.n_steps >= first.record.n_steps


def test_a_training_goes_on_without_its_window(
    viewer, open_widget, finish, qtbot, fake_trainer, make_image
):
    viewer.add_image(make_image(), name="mine")
    dock, train = viewer.window.add_plugin_dock_widget("napari-vae-restore", "Train & Adapt")
    train.time.value = "60 s"
    train.start()
    qtbot.waitUntil(lambda: "step" in train.status, timeout=PATIENCE)
    viewer.window.remove_dock_widget(dock)
    assert QThreadPool.globalInstance().waitForDone(5000)
    again = open_widget("Train & Adapt")
    assert "at work in the background" in again.status
    assert again.resume_button.text() == "Watch"
    again.resume_button.click()
    qtbot.waitUntil(lambda: "step" in again.status, timeout=PATIENCE)
    again.stop_button.click()
    finish(again)
    assert again.status.startswith("Stopped")
    assert model_store().selected_name == "mine model"
    assert viewer.layers["mine preview"].data.shape == (64, 72)
    assert again.resume_button.text() == "Resume"
    assert again.resume_button.isEnabled()


def test_a_training_that_did_not_help_says_so(
    viewer, open_widget, finish, fake_trainer, tiny_model, make_image
):
    fake_trainer(replace(tiny_model, record=replace(tiny_model.record, n_steps=0)))
    viewer.add_image(make_image(), name="mine")
    train = open_widget("Train & Adapt")
    train.time.value = "0.2 s"
    train.start()
    finish(train)
    assert "did not improve" in train.status
    assert model_store().names == (BUNDLED,)


def test_a_training_that_fails_is_explained(
    viewer, open_widget, finish, fake_trainer, make_image, shown_errors
):
    fake_trainer(end="fail")
    viewer.add_image(make_image(), name="mine")
    train = open_widget("Train & Adapt")
    train.time.value = "0.1 s"
    train.start()
    finish(train)
    assert shown_errors == ["out of memory on cpu"]
    assert train.start_button.isEnabled()
    assert not train.resume_button.isEnabled()


def test_what_there_is_to_learn_from(
    viewer, open_widget, finish, fake_trainer, make_image, tmp_path
):
    train = open_widget("Train & Adapt")
    header = train.header
    assert "choose a folder" in train.status
    assert not header.second.native.isVisibleTo(train)
    header.images.use_path(str(tmp_path / "nowhere"))
    assert "There is no file or folder" in train.status
    assert not train.start_button.isEnabled()
    for name in ("noisy", "clean"):
        (tmp_path / name).mkdir()
    header.images.use_path(str(tmp_path / "noisy"))
    assert "“noisy”" in train.status
    assert train.start_button.isEnabled()
    header.way.value = "pairs"
    assert header.second.native.isVisibleTo(train)
    assert not train.start_button.isEnabled()
    header.second.use_path(str(tmp_path / "clean"))
    train.time.value = "0.1 s"
    train.start()
    finish(train)
    request = known_runs()[0].request
    assert (request.images, request.second) == (
        str(tmp_path / "noisy"),
        str(tmp_path / "clean"),
    )
    assert request.axes == ""
    assert model_store().selected_name == "noisy model"
    assert not len(viewer.layers)
    header.images.use_path("")
    viewer.add_image(make_image(), name="mine")
    assert header.axes.axes == "YX"
    assert header.images.title == "mine"


def test_a_model_goes_through_a_file(
    viewer, open_widget, finish, fake_trainer, make_image, tmp_path, shown_errors
):
    viewer.add_image(make_image(), name="mine")
    train, denoise = open_widget("Train & Adapt"), open_widget("Denoise")
    train.time.value = "0.2 s"
    train.start()
    finish(train)
    train.save(str(tmp_path / "mine"))
    assert (tmp_path / "mine.report.html").exists()
    denoise.open_model(str(tmp_path / "mine.safetensors"))
    finish(denoise)
    assert denoise.models.model.name == "mine"
    assert model_store().names == (BUNDLED, "mine model", "mine")
    denoise.open_model(str(tmp_path / "other.safetensors"))
    finish(denoise)
    assert "does not exist" in shown_errors[0]
    assert denoise.models.model.name == "mine"


def test_cancel_ends_a_run_within_a_second(
    viewer, open_widget, finish, qtbot, tiny_model, make_image
):
    viewer.add_image(make_image((4, 512, 512)), name="large")
    model_store().add(tiny_model, "tiny")
    denoise = open_widget("Denoise")
    denoise.header.samples.value = 256
    denoise.run_button.click()
    qtbot.waitUntil(lambda: "Denoising" in denoise.status, timeout=30_000)
    assert denoise.cancel_button.isEnabled()
    started = time.monotonic()
    denoise.cancel_button.click()
    finish(denoise)
    assert time.monotonic() - started < 1
    assert QThreadPool.globalInstance().waitForDone(1000)
    assert [layer.name for layer in viewer.layers] == ["large"]
    assert denoise.status.startswith("Cancelled")
    assert denoise.run_button.isEnabled()


def test_a_failure_of_torch_is_reported_and_the_button_returns(
    viewer, open_widget, finish, tiny_model, make_image, monkeypatch, shown_errors
):
    def fail(*args, **kwargs):
        return torch.ones(2) + torch.ones(3)

    monkeypatch.setattr("napari_vae_restore.restoration.restore.image_for", fail)
    viewer.add_image(make_image())
    model_store().add(tiny_model, "tiny")
    denoise = open_widget("Denoise")
    for push in (denoise.run_button, denoise.preview_button):
        push.click()
        finish(denoise)
        assert "must match the size" in shown_errors[-1]
        assert "did not work" in denoise.status
        assert push.isEnabled()
    assert len(shown_errors) == 2


def test_mistakes_are_explained(
    viewer, open_widget, finish, tiny_model, make_image, shown_errors
):
    viewer.add_image(make_image((3, 40, 40)))
    model_store().add(tiny_model, "tiny")
    denoise, train = open_widget("Denoise"), open_widget("Train & Adapt")
    denoise.header.axes.value = "YX"
    assert "one letter per dimension" in denoise.status
    assert not denoise.run_button.isEnabled()
    denoise.header.axes.value = "tyx"
    assert denoise.run_button.isEnabled()
    denoise.header.noise.value = "gausian:3"
    denoise.run_button.click()
    finish(denoise)
    assert "gausian" in shown_errors[0]
    train.time.value = "soon"
    assert "time budget" in train.status
    assert not train.start_button.isEnabled()


def test_the_window_stays_alive_while_training(
    viewer, open_widget, finish, qtbot, fake_trainer, make_image
):
    viewer.add_image(make_image((128, 128)))
    train = open_widget("Train & Adapt")
    train.time.value = "4 s"
    gaps, last = [], [time.monotonic()]

    def tick():
        now = time.monotonic()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(10)
    train.start()
    finish(train)
    timer.stop()
    # The median shows a window that lives; the tail leaves room for a busy machine.
    assert np.median(gaps) < 0.05
    assert np.percentile(gaps, 95) < 0.2


@pytest.mark.parametrize("end", ["close the dock", "close the viewer"])
def test_no_thread_outlives_what_it_works_for(viewer, qtbot, fake_trainer, make_image, end):
    viewer.add_image(make_image(), name="mine")
    dock, train = viewer.window.add_plugin_dock_widget("napari-vae-restore", "Train & Adapt")
    train.time.value = "60 s"
    train.start()
    qtbot.waitUntil(lambda: "step" in train.status, timeout=PATIENCE)
    threads = threading.active_count()
    if end == "close the dock":
        viewer.window.remove_dock_widget(dock)
    else:
        viewer.close()
    assert QThreadPool.globalInstance().waitForDone(5000)
    assert threading.active_count() <= threads
    assert known_runs()[0].is_alive  # the training itself goes on


def test_the_preview_is_what_is_in_view(
    viewer, open_widget, finish, qtbot, tiny_model, make_image
):
    layer = viewer.add_image(
        make_image((3, 200, 240)), scale=(2, 0.5, 0.5), translate=(0, 10, 0), rotate=(0, 0, 30)
    )
    model_store().add(tiny_model, "tiny")
    denoise = open_widget("Denoise")
    viewer.dims.set_current_step(0, 1)
    layer.corner_pixels = np.array([[0, 20, 50], [0, 119, 199]])
    denoise.preview()
    finish(denoise)
    preview = viewer.layers[-1]
    assert preview.data.shape == (1, 100, 150)
    np.testing.assert_allclose(
        preview.data_to_world((0, 0, 0)), layer.data_to_world((1, 20, 50))
    )
    assert preview.data.std() < layer.data[1, 20:120, 50:200].std()


def images(make_image):
    """Layers of all kinds, as arguments of add_image and the axes that are guessed."""
    plane = make_image((64, 80))
    stack = make_image((2, 64, 80))
    colours = np.stack([plane // 2] * 3, axis=-1).astype(np.uint8)
    return {
        "rgb": (colours, {"rgb": True}, "YXS"),
        "labelled stack": (stack, {"axis_labels": ("t", "y", "x")}, "TYX"),
        "multiscale": ([plane, plane[::2, ::2]], {"multiscale": True}, "YX"),
        "dask": (da.from_array(stack, chunks=(1, 64, 80)), {}, "ZYX"),
        "float": (plane / 1e4, {}, "YX"),
    }


@pytest.mark.parametrize("kind", ["rgb", "labelled stack", "multiscale", "dask", "float"])
def test_all_kinds_of_layers_are_denoised(
    viewer, open_widget, finish, tiny_model, make_image, kind
):
    data, options, axes = images(make_image)[kind]
    layer = viewer.add_image(data, name="image", **options)
    model_store().add(tiny_model, "tiny")
    denoise = open_widget("Denoise")
    assert denoise.header.axes.axes == axes
    denoise.header.noise.value = "gaussian:0.0008" if kind == "float" else ""
    denoise.preview()
    finish(denoise)
    assert "Preview" in denoise.status
    denoise.header.samples.value = 2
    denoise.run()
    finish(denoise)
    finest = data[0] if kind == "multiscale" else data
    denoised = viewer.layers["image denoised"]
    assert denoised.data.shape == finest.shape
    assert denoised.data.dtype == finest.dtype
    assert denoised.rgb == layer.rgb
    assert tuple(denoised.axis_labels) == tuple(layer.axis_labels)


def test_the_same_numbers_as_in_python(viewer, open_widget, finish, tiny_model, make_image):
    layer = viewer.add_image(make_image())
    model_store().add(tiny_model, "tiny")
    denoise = open_widget("Denoise")
    denoise.run()
    finish(denoise)
    expected = vr.denoise(layer.data, tiny_model)
    np.testing.assert_array_equal(viewer.layers[-1].data, expected.mean)
