"""Which parts of an image are computed: arithmetic without a window."""

import numpy as np
import pytest

from napari_vae_restore._napari.layers.region import (
    bounding_region,
    start,
    visible_region,
)


def test_everything_in_view_is_the_current_plane():
    region = visible_region((5, 30, 40), "ZYX", step=(2, 0, 0))
    assert region == (slice(2, 3), slice(0, 30), slice(0, 40))


def test_corners_cut_a_window_and_are_inclusive():
    corners = [(0, 0), (4, 19), (10, 25)]
    region = visible_region((5, 30, 40), "ZYX", step=(2, 0, 0), corners=corners)
    assert region == (slice(2, 3), slice(4, 20), slice(10, 26))
    assert start(region) == (2, 4, 10)


def test_corners_beyond_the_data_are_clipped():
    region = visible_region((30, 40), "YX", step=(0, 0), corners=[(-9, 99), (35, 99)])
    assert region == (slice(0, 30), slice(35, 40))


def test_an_interval_without_extent_says_nothing():
    region = visible_region((30, 40), "YX", step=(0, 0), corners=[(0, 0), (0, 0)])
    assert region == (slice(0, 30), slice(0, 40))


def test_the_middle_of_a_large_view_is_kept():
    region = visible_region((3000, 2000), "YX", step=(0, 0), limit=1024)
    assert region == (slice(988, 2012), slice(488, 1512))


@pytest.mark.parametrize(("step", "plane"), [(-3, 0), (99, 4)])
def test_a_plane_beside_the_data_is_the_nearest(step, plane):
    assert visible_region((5, 9, 9), "TYX", step=(step, 0, 0))[0] == slice(plane, plane + 1)


def test_colours_stay_whole_and_channels_where_the_model_needs_all():
    shape, step = (3, 30, 40, 4), (1, 0, 0, 0)
    assert visible_region(shape, "CYXS", step=step)[::3] == (slice(1, 2), slice(0, 4))
    joint = visible_region(shape, "CYXS", step=step, joint_channels=True)
    assert joint[::3] == (slice(0, 3), slice(0, 4))


def test_centre_of_the_training_preview():
    region = visible_region((2, 600, 100), "ZYX", step=(1, 0, 0), limit=256)
    assert region == (slice(1, 2), slice(172, 428), slice(0, 100))


def test_the_box_around_holes():
    mask = np.zeros((4, 3, 100, 90), bool)
    mask[2, 1, 40:50, 2:5] = True
    region = bounding_region(mask, "ZCYX", margin=8)
    assert region == (slice(2, 3), slice(0, 3), slice(32, 58), slice(0, 13))
    whole = bounding_region(mask, "ZCYX", margin=None)
    assert whole == (slice(2, 3), slice(0, 3), slice(0, 100), slice(0, 90))
