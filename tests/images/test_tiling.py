import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from napari_vae_restore.images.tiling import tiles

STRIDE = 8
sides = st.integers(1, 90)


@given(height=sides, width=sides, size=st.integers(1, 40), halo=st.integers(0, 20))
def test_cores_cover_the_plane_once_and_lie_where_they_say(
    height: int, width: int, size: int, halo: int
) -> None:
    plane = np.arange(height * width).reshape(height, width)
    rebuilt = np.full_like(plane, -1)
    for tile in tiles(height, width, size=size, halo=halo, stride=STRIDE, margin=STRIDE):
        read = tile.read(plane)
        assert read.shape[0] % STRIDE == 0
        assert read.shape[1] % STRIDE == 0
        assert all(start % STRIDE == 0 for start in tile.origin)
        assert (rebuilt[tile.core] == -1).all()
        rebuilt[tile.core] = read[tile.inner]
    np.testing.assert_array_equal(rebuilt, plane)


@pytest.mark.parametrize("shape", [(64, 64), (61, 47), (9, 100)])
def test_a_filter_within_the_halo_sees_no_seam(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).normal(size=shape)
    whole = tiles(*shape, size=10_000, halo=0, stride=STRIDE, margin=STRIDE)
    (only,) = whole
    expected = uniform_filter(only.read(plane), 7)[only.inner]
    tiled = np.empty(shape)
    for tile in tiles(*shape, size=16, halo=4, stride=STRIDE, margin=STRIDE):
        tiled[tile.core] = uniform_filter(tile.read(plane), 7)[tile.inner]
    np.testing.assert_allclose(tiled, expected, rtol=0, atol=1e-12)


def test_the_frame_mirrors_the_plane() -> None:
    plane = np.arange(20)[None].repeat(20, axis=0)
    (tile,) = tiles(20, 20, size=100, halo=0, stride=STRIDE, margin=STRIDE)
    assert tile.read(plane)[0, :10].tolist() == [7, 6, 5, 4, 3, 2, 1, 0, 0, 1]


def test_leading_axes_are_kept() -> None:
    planes = np.zeros((2, 3, 20, 20), np.uint8)
    tile = tiles(20, 20, size=8, halo=8, stride=STRIDE, margin=STRIDE)[0]
    assert tile.read(planes).shape[:2] == (2, 3)
