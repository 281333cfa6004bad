"""Hot pixels in clusters: found wherever they are, and told from what optics draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.noise.estimation.hot import persistent_hot_pixels, without_hot_pixels
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise

SIDE = 24
CLUSTERS = {
    "one": [(0, 0)],
    "pair in a row": [(0, 0), (0, 1)],
    "pair in a column": [(0, 0), (1, 0)],
    "diagonal": [(0, 0), (1, 1)],
    "corner": [(0, 0), (0, 1), (1, 0)],
    "square": [(0, 0), (0, 1), (1, 0), (1, 1)],
    "row of three": [(0, 0), (0, 1), (0, 2)],
    "column of three": [(0, 0), (1, 0), (2, 0)],
}
NOISE: list[NoiseModel] = [
    GaussianNoise(10.0),
    GaussianNoise(10.0, (0.5, 0.5)),
    PoissonGaussianNoise(1.0, 4.0),
    PoissonGaussianNoise(4.0, -300.0),
]
each_cluster = pytest.mark.parametrize("name", CLUSTERS)
each_noise = pytest.mark.parametrize("noise", NOISE, ids=str)


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def as_mask(name: str, top: int, left: int, side: int = SIDE) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), bool)
    for y, x in CLUSTERS[name]:
        mask[top + y, left + x] = True
    return mask


def risen(level: float, sigmas: float, noise: NoiseModel) -> float:
    """The signal that is so many of its own standard deviations above a level."""
    signal = level
    for _ in range(100):
        signal = level + sigmas * float(noise.variance(signal)) ** 0.5
    return signal


# -- single images -------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(CLUSTERS)),
    place=st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)),
    noise=st.sampled_from(NOISE),
    dtype=st.sampled_from([np.uint16, np.int32, np.float32, np.float64]),
    sigmas=st.sampled_from([30, 100, 1000]),
    seed=st.integers(0, 99),
)
def test_clusters_go_wherever_they_are(name, place, noise, dtype, sigmas, seed):
    height, width = (max(axis) + 1 for axis in zip(*CLUSTERS[name], strict=True))
    hot = as_mask(name, min(place[0], SIDE - height), min(place[1], SIDE - width))
    clean = noise.sample(np.full((SIDE, SIDE), 200.0), rng(seed))
    y = np.where(hot, risen(200.0, sigmas, noise), clean).astype(dtype)
    calm, is_hot = without_hot_pixels(y[None], noise)
    np.testing.assert_array_equal(is_hot[0], hot)
    np.testing.assert_array_equal(calm[0][~hot], y[~hot])
    assert np.abs(calm[0][hot] - 200).max() < 4 * noise.variance(200.0) ** 0.5


@each_noise
@each_cluster
def test_warm_ones_go_too(name, noise):
    found = []
    for seed in range(20):
        hot = as_mask(name, 9, 9)
        y = noise.sample(np.where(hot, risen(200.0, 20, noise), 200.0), rng(seed))
        found.append(without_hot_pixels(y[None], noise)[1][0][hot].mean())
    assert np.mean(found) > 0.5


@each_noise
@pytest.mark.parametrize("width", [0.8, 0.9, 1.2, 2.0])
def test_spots_as_broad_as_the_optics_stay(width, noise):
    draw = rng()
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for sigmas in (13, 20, 50, 300):
        rise = risen(200.0, sigmas, noise) - 200
        for _ in range(25):
            dy, dx = draw.uniform(-0.5, 0.5, 2)
            spot = np.exp(-((y - dy) ** 2 + (x - dx) ** 2) / (2 * width**2))
            image = noise.sample(200 + rise * spot, draw)
            assert not without_hot_pixels(image[None], noise)[1].any()


@pytest.mark.parametrize("angle", [0.0, 0.4, 0.785])
def test_lines_and_their_ends_stay(angle):
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    line = np.exp(-(across**2) / (2 * 0.7**2)) * (np.abs(along) < 6)
    image = GaussianNoise(10.0).sample(100 + 3000 * line, rng())
    assert not without_hot_pixels(image[None], GaussianNoise(10.0))[1].any()


@pytest.mark.parametrize("photons", [0.1, 0.3, 1.0, 3.0, 10.0])
def test_photons_are_no_hot_pixels(photons):
    y = rng().poisson(photons, (512, 512))
    for noise in (PoissonGaussianNoise(1.0, 0.0), estimate_noise(y)):
        assert not without_hot_pixels(y[None], noise)[1].any()


@pytest.mark.parametrize(
    ("name", "most"), [("camera", 120), ("coins", 12), ("moon", 0), ("cell", 0), ("clock", 0)]
)
def test_pictures_keep_their_texture(name, most):
    """The camera man's 107 singles were found before there were clusters."""
    picture = getattr(data, name)()
    found = without_hot_pixels(picture[None], estimate_noise(picture))[1]
    assert found.sum() <= most
    noisy = picture + rng().normal(0, 10, picture.shape)
    assert not without_hot_pixels(noisy[None], GaussianNoise(10.0))[1].any()


def test_what_a_window_shows_is_what_the_whole_shows():
    picture = data.camera()[:200, :200].astype(float)
    hot = rng().random(picture.shape) < 0.01
    picture[hot] = rng().uniform(300, 3000, hot.sum())
    noise = GaussianNoise(5.0)
    calm, is_hot = without_hot_pixels(picture[None], noise)
    window, core = np.s_[:, 40:120, 60:150], np.s_[:, 8:-8, 8:-8]
    part, part_hot = without_hot_pixels(picture[None][window], noise)
    np.testing.assert_array_equal(part[core], calm[window][core])
    np.testing.assert_array_equal(part_hot[core], is_hot[window][core])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 40), (2, 2, 2), (3, 40, 1), (0, 5, 5)])
def test_small_planes_are_answered(shape):
    y = rng().normal(100, 10, shape)
    calm, is_hot = without_hot_pixels(y, GaussianNoise(10.0))
    assert calm.shape == is_hot.shape == shape
    assert not is_hot.any()


# -- missing pixels ------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(CLUSTERS)),
    share=st.sampled_from([0.0, 0.1, 0.3]),
    under=st.sampled_from([np.nan, 0.0, 1e6, -np.inf]),
    seed=st.integers(0, 99),
)
def test_missing_pixels_are_neither_hot_nor_surroundings(name, share, under, seed):
    noise, draw = GaussianNoise(10.0), rng(seed)
    hot = as_mask(name, 11, 10)
    observed = hot | (draw.random(hot.shape) >= share)
    y = np.where(hot, 5000.0, draw.normal(100, 10, hot.shape))
    shown = np.where(observed, y, under)
    calm, is_hot = without_hot_pixels(shown[None], noise, observed=observed[None])
    other, _ = without_hot_pixels(y[None], noise, observed=observed[None])
    assert not (is_hot[0] & ~hot).any()
    np.testing.assert_array_equal(calm[0][~observed], shown[~observed])
    np.testing.assert_array_equal(calm[0][observed], other[0][observed])
    if share == 0:
        np.testing.assert_array_equal(is_hot[0], hot)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95])
def test_spots_stay_where_pixels_are_missing(share):
    noise, draw = GaussianNoise(10.0), rng()
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    spot = 100 + 3000 * np.exp(-(y**2 + x**2) / (2 * 1.2**2))
    for _ in range(100):
        observed = draw.random((1, SIDE, SIDE)) >= share
        image = np.where(observed, noise.sample(spot[None], draw), np.nan)
        assert not without_hot_pixels(image, noise, observed=observed)[1].any()


def test_a_plane_of_which_nothing_is_observed():
    y = np.full((1, 9, 9), np.nan)
    observed = np.zeros(y.shape, bool)
    calm, is_hot = without_hot_pixels(y, GaussianNoise(1.0), observed=observed)
    assert np.isnan(calm).all()
    assert not is_hot.any()


# -- series --------------------------------------------------------------------------


@each_noise
@each_cluster
@pytest.mark.parametrize("n_frames", [8, 16])
def test_the_same_pixels_in_every_frame_are_evidence(name, noise, n_frames):
    hot = as_mask(name, 9, 9)
    signal = np.where(hot, risen(200.0, 10, noise), 200.0)
    frames = noise.sample(np.broadcast_to(signal, (n_frames, *signal.shape)), rng())
    np.testing.assert_array_equal(persistent_hot_pixels(frames, noise), hot)
    calm, is_hot = without_hot_pixels(frames, noise, known=hot)
    np.testing.assert_array_equal(is_hot, np.broadcast_to(hot, frames.shape))
    assert np.abs(calm[is_hot] - 200).max() < 4 * noise.variance(200.0) ** 0.5
    np.testing.assert_array_equal(calm[~is_hot], frames[~is_hot])


@each_noise
def test_what_is_in_few_frames_is_no_evidence(noise):
    frames = noise.sample(np.full((8, SIDE, SIDE), 200.0), rng())
    frames[0, 9, 9] = frames[3, 5, 5] = 60000
    assert not persistent_hot_pixels(frames, noise).any()
    assert not persistent_hot_pixels(frames[:3], noise).any()


@pytest.mark.parametrize("width", [0.8, 1.2])
def test_spots_that_do_not_move_stay(width):
    noise, draw = GaussianNoise(10.0), rng()
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for rise in (50, 100, 1000):
        dy, dx = draw.uniform(-0.5, 0.5, 2)
        spot = 200 + rise * np.exp(-((y - dy) ** 2 + (x - dx) ** 2) / (2 * width**2))
        frames = noise.sample(np.broadcast_to(spot, (16, SIDE, SIDE)), draw)
        assert not persistent_hot_pixels(frames, noise).any()


def test_missing_frames_are_left_out():
    noise = GaussianNoise(10.0)
    hot = as_mask("square", 9, 9)
    frames = noise.sample(np.broadcast_to(200 + 150.0 * hot, (12, SIDE, SIDE)), rng())
    observed = np.ones(frames.shape, bool)
    observed[:4] = observed[:, :3] = False
    found = persistent_hot_pixels(np.where(observed, frames, np.nan), noise, observed=observed)
    np.testing.assert_array_equal(found, hot)
