"""*Enhance* and *Explore*: the picture follows the sliders, and results say what they are."""

import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.jobs.live_steps import (
    ExploreOptions,
    draw_steps,
    enhance_preview_steps,
    enhance_steps,
    like_steps,
)
from napari_vae_restore._napari.messages import Source
from napari_vae_restore.generation.tones import Tones

OPTIONS = {"detail": {2: 1.5, 4: 1.0}, "tones": Tones(gamma=0.8), "seed": 0, "device": "cpu"}
DRAWN = ExploreOptions(32, (0.8, 0.8, 0.8, 0.5), 3, "cpu")


@pytest.fixture
def picture():
    return data.camera()[100:180, 100:196]


def test_enhancing_gives_the_numbers_of_python(drained, picture):
    expected = vr.enhance(picture, detail={2: 1.5}, tones={"gamma": 0.8}).enhanced
    _, result = drained(enhance_steps(Source(picture, "YX"), "default", OPTIONS))
    np.testing.assert_array_equal(result.enhanced, expected)
    region = (slice(8, 72), slice(16, 80))
    _, part = drained(enhance_preview_steps(Source(picture, "YX"), region, "default", OPTIONS))
    assert part.image.shape == (64, 64)
    assert part.start == (8, 16)


def test_exploring_gives_the_numbers_of_python(drained, picture, tiny_model):
    _, drawn = drained(draw_steps("default", 2, DRAWN))
    for index in range(2):
        expected = vr.sample(n=1, size=32, temperature=(0.8, 0.8, 0.8, 0.5), seed=3 + index)
        np.testing.assert_array_equal(drawn.pictures[index], expected[0])
    assert "nothing of it was measured" in drawn.recipe["generated"]["note"]
    _, shallow = drained(draw_steps(tiny_model, 1, DRAWN))
    assert shallow.pictures.shape == (1, 32, 32)
    _, like = drained(like_steps(Source(picture, "YX"), "default", 2, 2, DRAWN))
    expected = vr.vary(vr.encode(picture), n=2, levels=2, temperature=0.5, seed=3)
    np.testing.assert_array_equal(like.pictures, expected)


@pytest.mark.gui
def test_the_enhanced_preview_follows_the_sliders(viewer, open_widget, finish, qtbot, picture):
    widget = open_widget("Enhance")
    assert "Open Sample" in widget.status
    layer = viewer.add_image(picture, name="mine", scale=(0.5, 0.5))
    widget.header.details[0].value = 2.0
    qtbot.waitUntil(lambda: "mine preview" in viewer.layers, timeout=60_000)
    finish(widget)
    first = viewer.layers["mine preview"].data.copy()
    widget.header.gamma.value = 0.5
    qtbot.waitUntil(lambda: (viewer.layers["mine preview"].data != first).any(), timeout=60_000)
    finish(widget)
    shown = viewer.layers["mine preview"].data.copy()
    widget.header.live.value = False
    widget.run()
    finish(widget)
    assert "mine preview" not in viewer.layers
    enhanced = viewer.layers["mine enhanced"]
    np.testing.assert_array_equal(enhanced.data, shown)
    np.testing.assert_allclose(enhanced.scale, layer.scale)
    assert "no longer measurements" in widget.status
    assert "enhanced" in enhanced.metadata["vae_restore"]
    widget.reset()
    assert [each.value for each in widget.header.details] == [1.0] * 4


@pytest.mark.gui
def test_exploring_a_model(viewer, open_widget, finish, qtbot, picture, tiny_model):
    widget = open_widget("Explore")
    assert not widget.like_button.isEnabled()
    widget.header.side.value = 48
    qtbot.waitUntil(lambda: "Explore" in viewer.layers, timeout=60_000)
    finish(widget)
    live = viewer.layers["Explore"]
    first = live.data.copy()
    assert first.shape == (48, 48)
    widget.next_button.click()
    finish(widget)
    assert (live.data != first).any()
    widget.header.live.value = False
    widget.header.number.value = 3
    widget.stack_button.click()
    finish(widget)
    stack = viewer.layers["samples of the bundled model"]
    np.testing.assert_array_equal(stack.data[0], live.data)
    layer = viewer.add_image(picture, name="mine", scale=(0.5, 0.5))
    widget.header.layers.value = layer
    widget.like_button.click()
    finish(widget)
    variants = viewer.layers["mine, variants"]
    assert variants.data.shape == (3, *picture.shape)
    np.testing.assert_allclose(variants.scale, (1, 0.5, 0.5))
    model_store().add(tiny_model, "tiny")
    widget.draw_next()
    finish(widget)
    assert live.metadata["vae_restore"]["model"] == "tiny"


@pytest.mark.gui
def test_a_deleted_layer_ends_its_preview(viewer, open_widget, finish, qtbot, picture):
    widget = open_widget("Enhance")
    layer = viewer.add_image(picture, name="mine")
    widget.header.smoothing.value = 0.5
    qtbot.waitUntil(lambda: widget.is_busy, timeout=60_000)
    viewer.layers.remove(layer)
    finish(widget)
    assert len(viewer.layers) == 0
    assert not widget.run_button.isEnabled()
