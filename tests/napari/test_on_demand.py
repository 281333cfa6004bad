"""Restoring what is looked at: offered where it pays, there at once, right where one looks."""

from __future__ import annotations

import numpy as np
import pytest
from napari.settings import get_settings

import napari_vae_restore as vr
from napari_vae_restore._napari.jobs.restoration_steps import on_demand_steps, pays
from napari_vae_restore.restoration.blocks.on_demand import _Level
from napari_vae_restore.restoration.options import Options


@pytest.fixture
def asynchronous():
    """Put napari's setting back."""
    before = get_settings().experimental.async_
    yield
    get_settings().experimental.async_ = before


def test_it_is_offered_for_what_is_large_or_lazy():
    da = pytest.importorskip("dask.array")
    small = np.zeros((64, 64), np.uint8)
    assert not pays([small])
    assert pays([small, small[::2, ::2]])
    assert pays([da.from_array(small)])
    assert pays([np.broadcast_to(small[:1, :1], (2**13, 2**13))])


@pytest.mark.gui
def test_levels_are_restored_where_one_looks(
    viewer, open_widget, finish, make_image, asynchronous, qtbot
):
    image = np.stack([make_image((64, 72), seed=seed) for seed in range(2)])
    levels = [image, image[:, ::2, ::2]]
    source = viewer.add_image(levels, multiscale=True, name="cells", scale=(1, 0.5, 0.5))
    viewer.add_image(make_image(), name="small")
    widget = open_widget("Denoise")
    widget.header.layers.value = viewer.layers["small"]
    assert widget.header.on_demand_row.native.isHidden()
    widget.header.layers.value = source
    assert not widget.header.on_demand_row.native.isHidden()
    widget.header.on_demand.value = True
    assert not widget.header.samples.enabled
    widget.run_button.click()
    finish(widget)
    result = viewer.layers["cells restored in view"]
    assert result.multiscale
    assert [level.shape for level in result.data] == [(2, 64, 72), (2, 32, 36)]
    np.testing.assert_allclose(result.scale, source.scale)
    assert result.metadata["vae_restore"]["tasks"][0]["kind"] == "denoise"
    assert get_settings().experimental.async_
    assert "zoom in" in widget.status
    qtbot.waitUntil(lambda: result.loaded, timeout=60_000)
    fine = np.asarray(result.data[0])
    assert fine.dtype == image.dtype
    assert 0 < np.abs(fine.astype(float) - image).mean() < 16


def test_no_plane_but_the_one_in_view_is_computed_first(monkeypatch, tiny_model, make_image):
    image = np.stack([make_image((64, 72), seed=seed) for seed in range(5)])
    computed = []
    chunk = _Level._chunk

    def noting(self, block_id=(0, 0, 0, 0)):
        computed.append((self._layout.shape, block_id[0]))
        return chunk(self, block_id)

    monkeypatch.setattr(_Level, "_chunk", noting)
    levels = [image, image[::2, ::2, ::2]]
    steps = on_demand_steps(
        levels, "ZYX", lambda: [vr.Denoise()], tiny_model, Options(), (4, 30, 200)
    )
    for _ in steps:
        pass
    assert computed == [((3, 32, 36), 2)]


@pytest.mark.gui
def test_holes_are_filled_where_one_looks(
    viewer, open_widget, finish, make_image, asynchronous, qtbot
):
    image = np.stack([make_image((64, 72), seed=seed) for seed in range(2)])
    image[:, 20:25, 30:40] = 0
    source = viewer.add_image([image, image[:, ::2, ::2]], multiscale=True, name="cells")
    labels = np.zeros(image.shape, np.uint8)
    labels[0, 20:25, 30:40] = 1
    viewer.add_labels(labels, name="holes")
    widget = open_widget("Inpaint")
    widget.header.layers.value = source
    widget.header.on_demand.value = True
    widget.run_button.click()
    finish(widget)
    result = viewer.layers["cells restored in view"]
    qtbot.waitUntil(lambda: result.loaded, timeout=60_000)
    fine = np.asarray(result.data[0])
    assert fine[0, 20:25, 30:40].min() > 50
    np.testing.assert_array_equal(fine[1], image[1])
