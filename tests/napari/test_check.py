"""*Check & Compare*: what it says, shows, copies, and leaves behind."""

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

import napari_vae_restore as vr
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.jobs.check_steps import check_steps
from napari_vae_restore._napari.layers import placement as layers
from napari_vae_restore._napari.layers.results import subject_of
from napari_vae_restore.evaluation.metrics import psnr

pytestmark = pytest.mark.gui


@pytest.fixture
def checked(viewer, open_widget, tiny_model, make_image):
    """A viewer with a result of the tiny model, and the widget."""
    clean = make_image((2, 64, 72), sigma=0)
    source = viewer.add_image(make_image((2, 64, 72)), name="cells", scale=(3, 0.5, 0.5))
    viewer.add_image(clean, name="truth", scale=(3, 0.5, 0.5), visible=False)
    model_store().add(tiny_model, "tiny")
    out = vr.denoise(source, model_store().selected, axes="ZYX")
    result = vr.add_to_viewer(viewer, out, like=source)[0]
    widget = open_widget("Check & Compare")
    widget.header.layers.value = result
    return widget


def visibilities(viewer):
    return [(layer.name, layer.visible) for layer in viewer.layers]


def test_without_a_result_it_says_what_to_do(viewer, open_widget, make_image):
    viewer.add_image(make_image())
    widget = open_widget("Check & Compare")
    assert widget.status.startswith("No result yet")
    assert not widget.check_button.isEnabled()
    assert not widget.comparing.wipe_button.isEnabled()


def test_the_residual_and_the_reference_are_told(checked, viewer, finish):
    assert checked.header.source.value == viewer.layers["cells"]
    assert checked.header.reference.value is None
    viewer.dims.set_current_step(0, 1)
    checked.header.reference.value = viewer.layers["truth"]
    checked.check_button.click()
    finish(checked)
    residual = viewer.layers["cells residual"]
    cells, result = viewer.layers["cells"].data, viewer.layers["cells denoised"].data
    expected = cells[1:2].astype(float) - result[1:2]
    np.testing.assert_allclose(residual.data, expected, atol=1e-3)
    np.testing.assert_allclose(residual.data_to_world((0, 0, 0)), (3, 0, 0))
    assert "PSNR" in checked.status
    assert "its maximum − minimum" in checked.status
    truth = viewer.layers["truth"].data
    assert f"{psnr(result[1:2], truth[1:2]):.2f} dB" in checked.status
    checked.check_button.click()
    finish(checked)
    assert [layer.name for layer in viewer.layers].count("cells residual") == 1
    viewer.dims.set_current_step(0, 0)


def test_places_to_look_at_are_framed_and_are_no_mask(checked, viewer, open_widget, finish):
    viewer.dims.set_current_step(0, 1)
    result = viewer.layers["cells denoised"]
    good = result.data.copy()
    result.data[1, 16:48, 16:48] = 0
    checked.check_button.click()
    finish(checked)
    assert "More than noise was removed" in checked.status
    frames = viewer.layers["cells look here"]
    (frame,) = frames.data
    world = np.array([frames.data_to_world(corner) for corner in frame])
    np.testing.assert_allclose(world[:, 0], 3)
    np.testing.assert_allclose([world.min(0)[1:], world.max(0)[1:]], [[7.75] * 2, [23.75] * 2])
    inpaint = open_widget("Inpaint")
    assert frames not in inpaint.header.masks.choices
    result.data = good
    checked.check_button.click()
    finish(checked)
    assert "cells look here" not in [layer.name for layer in viewer.layers]
    viewer.dims.set_current_step(0, 0)


def test_samples_are_drawn_for_the_plane_in_view(checked, viewer, finish, qtbot):
    checked.header.samples.value = 3
    viewer.dims.set_current_step(0, 1)
    assert not checked.flicker.play_button.isEnabled()
    checked.draw_button.click()
    finish(checked)
    samples, std = viewer.layers["cells samples"], viewer.layers["cells uncertainty"]
    assert samples.data.shape == (3, 1, 64, 72)
    assert std.data.shape == (1, 64, 72)
    np.testing.assert_allclose(std.data_to_world((0, 0, 0)), (3, 0, 0))
    checked.uncertainty_button.click()
    assert std.visible
    viewer.cursor.position = (3, 10 * 0.5, 20 * 0.5)
    error = std.data[0, 10, 20]
    assert f"error {error:.3g}, 90% interval ± {1.645 * error:.3g}" in checked.line.text()
    viewer.cursor.position = (3, -10, 0)
    assert "interval" not in checked.line.text()
    checked.draw_button.click()
    finish(checked)
    assert std in viewer.layers
    assert [layer.name for layer in viewer.layers].count("cells samples") == 1
    checked.uncertainty_button.click()
    before = visibilities(viewer)
    checked.flicker.speed.setValue(25)
    checked.flicker.play_button.click()
    assert samples.visible
    assert not viewer.layers["cells denoised"].visible
    seen = set()
    qtbot.waitUntil(
        lambda: seen.add(viewer.dims.current_step[0]) or seen == {0, 1, 2}, timeout=5000
    )
    checked.flicker.play_button.click()
    assert visibilities(viewer) == before


def test_a_wipe_follows_planes_and_goes_without_a_trace(checked, viewer):
    before, selected = visibilities(viewer), set(viewer.layers.selection)
    panel = checked.comparing
    panel.wipe_button.click()
    wipe = viewer.layers[-1]
    assert layers.RECIPE_KEY not in wipe.metadata
    panel.share.setValue(0)
    np.testing.assert_array_equal(wipe.data, viewer.layers["cells denoised"].data[:1])
    viewer.dims.set_current_step(0, 1)
    panel.share.setValue(panel.share.maximum())
    np.testing.assert_array_equal(wipe.data, viewer.layers["cells"].data[1:])
    assert "wipe" not in [layer.name[:4] for layer in checked.header.source.choices]
    panel.grid_button.click()
    assert wipe not in viewer.layers
    assert viewer.canvas.grid.enabled
    panel.grid_button.click()
    assert not viewer.canvas.grid.enabled
    assert visibilities(viewer) == before
    assert set(viewer.layers.selection) == selected
    panel.wipe_button.click()
    viewer.layers.remove(viewer.layers[-1])
    assert not panel.wipe_button.isChecked()
    viewer.dims.ndisplay = 3
    panel.wipe_button.click()
    assert not panel.wipe_button.isChecked()
    assert "2D view" in checked.status
    viewer.dims.ndisplay = 2
    panel.hold_button.pressed.emit()
    assert [name for name, is_on in visibilities(viewer) if is_on] == ["cells"]
    panel.hold_button.released.emit()
    assert visibilities(viewer) == before
    panel.wipe_button.click()
    viewer.layers.remove("cells denoised")
    assert not any("wipe" in layer.name for layer in viewer.layers)
    assert not panel.wipe_button.isEnabled()
    assert checked.status.startswith("No result yet")


def test_closing_the_widget_ends_all_comparisons(checked, viewer):
    before = visibilities(viewer)
    checked.comparing.wipe_button.click()
    dock = next(dock for dock in viewer.window.dock_widgets.values() if dock is checked)
    viewer.window.remove_dock_widget(dock)
    assert visibilities(viewer) == before
    assert not viewer.keymap


def test_the_same_recipe_on_another_layer_and_in_the_console(
    checked, viewer, finish, make_image
):
    other = viewer.add_image(make_image((2, 40, 56), seed=5), name="other")
    checked.run_again(other)
    finish(checked)
    result = viewer.layers["other denoised"]
    expected = vr.denoise(other, model_store().selected, axes="ZYX").mean
    np.testing.assert_array_equal(result.data, expected)
    assert "by the same recipe" in checked.status
    checked.header.layers.value = viewer.layers["cells denoised"]
    checked.recipe.python_button.click()
    exec(QApplication.clipboard().text(), {"viewer": viewer})
    np.testing.assert_array_equal(viewer.layers[-1].data, viewer.layers["cells denoised"].data)
    checked.recipe.command_button.click()
    assert "save it" in checked.status


def test_a_wrong_source_is_explained_and_warnings_are_shown(checked, viewer, make_image):
    viewer.add_image(make_image((2, 40, 40)), name="small")
    checked.header.source.value = viewer.layers["small"]
    checked.check_button.click()
    assert "was not made of “small”" in checked.status
    result = viewer.layers["cells denoised"]
    result.metadata[layers.WARNINGS_KEY] = ["Unlike anything seen before."]
    checked.header.source.value = viewer.layers["truth"]
    assert checked.status == "⚠ Unlike anything seen before."


def test_a_run_says_what_to_be_careful_about_and_check_says_it_again(
    viewer, open_widget, finish, make_image
):
    image = np.minimum(make_image(), 230).astype(np.uint16)
    viewer.add_image(image, name="bright")
    denoise = open_widget("Denoise")
    denoise.preview_button.click()
    finish(denoise)
    assert "⚠" not in denoise.status
    denoise.run_button.click()
    finish(denoise)
    first, *_, warning = denoise.status.split("\n\n")
    assert "“bright denoised” added" in first
    assert warning.startswith("⚠")
    assert "saturated" in warning
    check = open_widget("Check & Compare")
    check.header.layers.value = viewer.layers["bright denoised"]
    assert check.status == warning
    check.check_button.click()
    finish(check)
    assert check.status.endswith(warning)


def test_the_parts_of_an_enlarged_result_fit(drained, make_image):
    from napari.layers import Image

    image = make_image((48, 56)).astype(np.float32)
    out = vr.super_resolve(image, 2)
    result = Image(out.mean, metadata={layers.RECIPE_KEY: out.recipe.to_dict()})
    subject = subject_of(result, Image(image), step=(0, 0), all_planes=True)
    _, found = drained(check_steps(subject, out.mean))
    assert found.residual.ratio is None
    assert np.abs(found.residual.residual).max() < 1e-2 * np.ptp(image)
    assert "before" not in found.score
    assert "SSIM 1.000" in found.score
