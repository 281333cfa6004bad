"""What users of other restoration plugins complain of, one test each; each fails there.

Other files test the same at length; these are the shortest ways to show it, in the order in
which such complaints are heard.
"""

import importlib.metadata
import shlex
import socket
import time
import tracemalloc

import dask.array as da
import numpy as np
import pytest
import zarr
from qtpy.QtCore import QThreadPool, QTimer
from qtpy.QtWidgets import QApplication

import napari_vae_restore as vr
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore.cli import main
from napari_vae_restore.evaluation.metrics import psnr
from napari_vae_restore.images.image_files import read_image, write_image

pytestmark = pytest.mark.gui

PLUGIN = "napari-vae-restore"
SOON = 2.0
"""Seconds in which a cancelled run ends: one on an idle machine."""
SHARE = 3
"""What the window may do at a time, in what one layer costs napari; a run would be a dozen."""


@pytest.fixture
def denoise(viewer, open_widget, tiny_model):
    """The widget with a model that takes milliseconds, and noise that is known."""
    model_store().add(tiny_model, "tiny")
    widget = open_widget("Denoise")
    widget.header.noise.value = "gaussian:8"
    return widget


@pytest.fixture
def denoised(denoise, viewer, finish):
    """Denoise a layer in the window: the result layer."""

    def run(layer):
        denoise.header.layers.value = layer
        denoise.run_button.click()
        finish(denoise)
        return next(each for each in viewer.layers if "denoised" in each.name)

    return run


def test_01_the_pixel_size_is_lost(viewer, denoised, make_image):
    place = {"scale": (3, 0.2, 0.2), "translate": (5, 1, 2), "units": ("um", "um", "um")}
    layer = viewer.add_image(make_image((2, 48, 56)), axis_labels=("z", "y", "x"), **place)
    result = denoised(layer)
    for name in ("scale", "translate", "units", "axis_labels"):
        assert tuple(getattr(result, name)) == tuple(getattr(layer, name)), name


@pytest.mark.parametrize("kind", ["dask", "zarr", "multiscale"])
def test_02_dask_zarr_and_multiscale_layers_fail(viewer, denoised, make_image, kind):
    stack = make_image((2, 48, 56))
    chunks = zarr.array(stack, chunks=(1, 48, 56), store=zarr.storage.MemoryStore())
    data = {"dask": da.from_array(stack), "zarr": chunks, "multiscale": [stack, stack[:, ::2]]}
    result = denoised(viewer.add_image(data[kind], multiscale=kind == "multiscale"))
    expected = vr.denoise(stack, model_store().selected, noise="gaussian:8").mean
    np.testing.assert_array_equal(result.data, expected)


def test_03_big_data_fill_the_memory(tiny_model, make_image):
    made = []

    def block(block_id=None):
        made.append(block_id)
        return make_image((1, 256, 256), seed=block_id[0])

    stack = da.map_blocks(block, chunks=((1,) * 400, (256,), (256,)), dtype=np.uint16)
    out = vr.denoise(stack, tiny_model, noise="gaussian:8", axes="ZYX")
    tracemalloc.start()
    plane = out.mean[399].compute()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert plane.shape == (256, 256)
    assert len(made) < 20  # of 400 planes
    assert peak < stack.nbytes / 3


@pytest.mark.parametrize("name", ["Denoise", "Super-resolve"])
def test_04_the_window_is_frozen(viewer, open_widget, finish, qtbot, make_image, name):
    """The processor time of the window's thread between two rounds of its event loop.

    A layer costs napari some tenths of a second, which no plugin can cut in pieces.
    """
    napari_needs = 0.0
    for _ in range(3):
        began = time.thread_time()
        viewer.add_image(make_image((2, 256, 256)))
        napari_needs = max(napari_needs, time.thread_time() - began)
    viewer.layers.clear()
    viewer.add_image(make_image((256, 256)))
    widget = open_widget(name)
    qtbot.wait(500)
    gaps, last = [0.0], [time.thread_time()]

    def tick():
        now = time.thread_time()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(5)
    widget.preview_button.click()
    finish(widget)
    widget.header.samples.value = 3
    widget.header.keep.value = True
    widget.run_button.click()
    finish(widget)
    qtbot.wait(100)
    timer.stop()
    assert len(viewer.layers) == 4  # the image, the result, its uncertainty and its samples
    assert len(gaps) > 10
    assert max(gaps) < SHARE * napari_needs


def test_05_cancel_does_not_cancel(viewer, denoise, finish, qtbot, make_image):
    model_store().clear()  # the bundled model takes longer than this test waits
    viewer.add_image(make_image((640, 640)), name="large")
    denoise.header.samples.value = 16
    denoise.run_button.click()
    qtbot.waitUntil(lambda: "Looking at the image" in denoise.status, timeout=30_000)
    started = time.monotonic()
    denoise.cancel_button.click()
    finish(denoise)
    assert QThreadPool.globalInstance().waitForDone(5000)
    assert time.monotonic() - started < SOON
    assert [layer.name for layer in viewer.layers] == ["large"]


def test_06_installing_breaks_the_environment():
    required = importlib.metadata.requires("napari-vae-restore")
    plain = [each.split(";")[0].lower() for each in required if "extra ==" not in each]
    assert any(each.startswith("qtpy") for each in plain)
    for name in ("pyqt5", "pyqt6", "pyside", "napari", "torchvision"):
        assert not [each for each in plain if each.startswith(name)], name
    # No upper bounds that would hold back what others need, either.
    assert not [each for each in plain if "<" in each or "==" in each]


def test_07_window_script_and_command_line_differ(
    viewer, denoise, denoised, tmp_path, make_image
):
    model = model_store().selected
    model.save(tmp_path / "tiny.safetensors")
    write_image(tmp_path / "cells.tif", make_image(), "YX")
    (layer,) = viewer.open(tmp_path / "cells.tif", plugin="napari")
    window = denoised(layer).data
    np.testing.assert_array_equal(vr.denoise(layer, model, noise="gaussian:8").mean, window)
    words = f"denoise {tmp_path}/cells.tif -o {tmp_path}/out.tif --noise gaussian:8 --seed 0"
    assert main([*shlex.split(words), "--model", str(tmp_path / "tiny.safetensors")]) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "out.tif").data, window)


def test_08_nobody_knows_what_was_done(viewer, denoised, open_widget, make_image):
    result = denoised(viewer.add_image(make_image(), name="cells"))
    recipe = result.metadata["vae_restore"]
    assert recipe["tasks"] == [{"kind": "denoise", "noise": "gaussian:8"}]
    assert recipe["model_sha256"] == model_store().selected.sha256
    assert {"seed", "axes", "tile", "package_version"} <= set(recipe)
    check = open_widget("Check & Compare")
    check.recipe.python_button.click()
    assert 'vr.Denoise("gaussian:8")' in QApplication.clipboard().text()


def test_09_there_is_no_batch_over_folders(
    open_widget, finish, tmp_path, tiny_model, make_image
):
    model_store().add(tiny_model, "tiny")
    for day in ("one", "two"):
        (tmp_path / "in" / day).mkdir(parents=True)
        write_image(tmp_path / "in" / day / "a.tif", make_image(), "YX")
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*")
    batch = open_widget("Batch")
    batch.header.images.text = str(tmp_path / "in")
    batch.header.what.choose("Denoise")
    batch.run_button.click()
    finish(batch)
    assert sorted(batch.table.statuses()).count("restored") == 2
    for day in ("one", "two"):
        assert (tmp_path / "in-restored" / day / "a.tif").exists()


@pytest.mark.parametrize(("shape", "axes"), [((33, 47), "YX"), ((2, 3, 31, 37), "TZYX")])
def test_10_sizes_have_to_be_even_and_axes_as_expected(
    viewer, denoise, denoised, make_image, shape, axes
):
    layer = viewer.add_image(make_image(shape))
    assert denoise.header.axes.axes == axes
    assert denoised(layer).data.shape == shape
    turned = make_image(shape).T
    out = vr.denoise(turned, model_store().selected, noise="gaussian:8", axes=axes[::-1])
    np.testing.assert_array_equal(out.mean.T, viewer.layers[-1].data)


def test_11_tiles_show_seams_and_intensities_shift(tiny_model, make_image):
    image = make_image((128, 128))
    clean = make_image((128, 128), sigma=0).astype(float)
    whole = vr.denoise(image, noise="gaussian:8", device="cpu").mean.astype(float)
    tiled = vr.denoise(image, noise="gaussian:8", tile=96, device="cpu").mean.astype(float)
    error = np.abs(whole - clean).mean()
    assert np.abs(tiled - whole).max() < error
    assert abs(whole.mean() - image.mean()) < 0.1 * 8


def test_12_nothing_works_offline(viewer, open_widget, finish, make_image, monkeypatch):
    def refuse(*address, **options):
        raise AssertionError(f"the network was asked for: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    viewer.add_image(make_image(), name="cells")
    denoise = open_widget("Denoise")
    assert denoise.models.model == "default"
    denoise.run_button.click()
    finish(denoise)
    assert "cells denoised" in viewer.layers


def test_13_settings_are_forgotten(viewer, denoise, open_widget, finish, make_image):
    viewer.add_image(make_image())
    denoise.header.samples.value = 3
    denoise.run_button.click()
    finish(denoise)
    dock = next(each for each in viewer.window.dock_widgets.values() if each is denoise)
    viewer.window.remove_dock_widget(dock)
    assert open_widget("Denoise").header.samples.value == 3


def test_14_nobody_knows_whether_to_trust_it(viewer, denoised, open_widget, finish, make_image):
    truth = viewer.add_image(make_image(sigma=0), name="truth")
    result = denoised(viewer.add_image(make_image(), name="cells"))
    check = open_widget("Check & Compare")
    check.header.layers.value = result
    check.header.reference.value = truth
    check.header.samples.value = 2
    check.check_button.click()
    finish(check)
    assert "residual" in check.status
    assert f"{psnr(result.data, truth.data):.2f} dB" in check.status
    assert "cells residual" in viewer.layers
    check.draw_button.click()
    finish(check)
    assert viewer.layers["cells uncertainty"].data.shape == result.data.shape
    assert viewer.layers["cells samples"].data.shape == (2, *result.data.shape)


def test_15_masks_cannot_be_imported_saved_or_undone(
    viewer, open_widget, finish, tmp_path, make_image
):
    image = viewer.add_image(make_image(), name="cells")
    inpaint = open_widget("Inpaint")
    inpaint.header.layers.value = image
    inpaint.header.new_button.click()
    drawn = viewer.layers["mask of cells"]
    square = np.array([[20, 20], [20, 30], [30, 30], [30, 20]])
    drawn.add_polygons([square])
    drawn.add_polygons([square + 20])
    drawn.selected_data = {1}
    drawn.remove_selected()  # what was drawn too much
    inpaint.run_button.click()
    finish(inpaint)
    first = viewer.layers["cells inpainted"].data
    assert (first != image.data).any()
    mask = vr.mask_of(drawn, image)
    write_image(tmp_path / "mask.tif", mask.astype(np.uint8), "YX")
    labels = viewer.add_labels(read_image(tmp_path / "mask.tif").data, name="from a file")
    inpaint.header.masks.value = labels
    inpaint.run_button.click()
    finish(inpaint)
    np.testing.assert_array_equal(viewer.layers["cells inpainted [1]"].data, first)
    np.testing.assert_array_equal(image.data, make_image())
