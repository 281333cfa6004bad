"""Before and after: slices joined on the result's pixels, the viewer brought back."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_vae_restore import InputError
from napari_vae_restore._napari.layers.comparing import (
    ViewState,
    current_slices,
    grid_of,
    line_value,
    share_at,
    show_only,
    show_wipe,
)


def pair(shape=(3, 8, 12), zoom=1, **options):
    """A viewer with a dark image and the bright one that was made of it."""
    viewer = ViewerModel()
    before = viewer.add_image(np.zeros(shape, np.uint8), name="before", **options)
    large = (*shape[:-2], shape[-2] * zoom, shape[-1] * zoom)
    after = viewer.add_image(np.full(large, 9, np.uint8), name="after", **options)
    return viewer, before, after


def test_left_is_before_and_right_is_after():
    viewer, before, after = pair()
    viewer.dims.set_current_step(0, 2)
    slices = current_slices(viewer, before, after)
    assert slices.first == (2, 0, 0)
    joined = slices.joined(0.25)
    assert joined.shape == (1, 8, 12)
    np.testing.assert_array_equal(joined[0, :, :3], 0)
    np.testing.assert_array_equal(joined[0, :, 3:], 9)
    np.testing.assert_array_equal(slices.joined(0), slices.after)
    np.testing.assert_array_equal(slices.joined(1), slices.before)
    assert (slices.joined(0.5, 255) == 255).any()
    assert not (slices.joined(0, 255) == 255).any()


def test_an_enlarged_result_is_compared_on_its_own_pixels():
    viewer, before, after = pair((8, 12), zoom=3)
    before.data = np.arange(96, dtype=np.uint8).reshape(8, 12)
    slices = current_slices(viewer, before, after)
    assert slices.before.shape == (24, 36)
    np.testing.assert_array_equal(slices.before[::3, ::3], before.data)


def test_other_axes_in_view_are_joined_across_the_canvas():
    viewer, before, after = pair()
    viewer.dims.order = (1, 2, 0)
    slices = current_slices(viewer, before, after)
    assert slices.across == 0
    assert slices.after.shape == (3, 1, 12)


def test_a_wipe_lies_where_its_result_lies_and_its_line_where_the_mouse_is():
    viewer, before, after = pair(scale=(2, 0.5, 0.25), translate=(1, 5, 7))
    viewer.dims.set_current_step(0, 1)
    slices = current_slices(viewer, before, after)
    wipe = show_wipe(viewer, before, after, 0.5)
    np.testing.assert_allclose(wipe.data_to_world((0, 0, 0)), after.data_to_world((1, 0, 0)))
    assert not wipe.mouse_pan
    position = after.data_to_world((1, 0, 2.5))
    assert share_at(wipe, slices, position) == pytest.approx(3 / 12)
    assert share_at(wipe, slices, after.data_to_world((1, 0, -99))) == 0


def test_colours_have_a_white_line():
    viewer = ViewerModel()
    before = viewer.add_image(np.zeros((8, 12, 3), np.uint8), rgb=True)
    after = viewer.add_image(np.ones((8, 12, 3), np.uint8), rgb=True)
    assert line_value(after) == 255
    assert current_slices(viewer, before, after).joined(0.5).shape == (8, 12, 3)


def test_what_cannot_be_compared_is_refused():
    viewer, before, after = pair()
    viewer.dims.ndisplay = 3
    with pytest.raises(InputError, match="2D view"):
        current_slices(viewer, before, after)
    viewer.dims.ndisplay = 2
    after.data = np.ones((3, 9, 12), np.uint8)
    with pytest.raises(InputError, match="choose its source"):
        current_slices(viewer, before, after)


def test_the_viewer_is_brought_back():
    viewer, before, after = pair()
    other = viewer.add_image(np.ones((8, 12)), visible=False)
    mask = viewer.add_shapes()
    viewer.layers.selection = {before}
    viewer.dims.set_current_step(0, 1)
    state = ViewState.of(viewer)
    show_only(viewer, [after])
    assert (before.visible, after.visible, mask.visible) == (False, True, True)
    grid_of(viewer).enabled = True
    viewer.dims.set_current_step(0, 2)
    viewer.layers.selection = {after}
    viewer.layers.remove(other)
    state.restore(viewer)
    assert (before.visible, after.visible) == (True, True)
    assert not grid_of(viewer).enabled
    assert viewer.dims.current_step[0] == 1
    assert viewer.layers.selection == {before}
