"""The noise of small and thin images: seen wherever it can be, rather too low than too high."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import Correlation
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.noise.models import GaussianNoise, PoissonGaussianNoise

# Shapes with tens, hundreds and thousands of pixels, and how far estimates may be off.
TINY = [(3, 3), (1, 8), (2, 5), (5, 5), (8, 8)]
SMALL = [(1, 64), (16, 16), (20, 20), (64, 2, 2), (2, 300)]
THIN = [
    (9, 300),
    (300, 9),
    (5, 500),
    (1, 2000),
    (3, 8, 33),
    (64, 4, 4),
    (200, 3, 5),
    (7, 7, 40),
]
LIMITS = [(TINY, 0.3, 2.0), (SMALL, 0.7, 1.4), (THIN, 0.85, 1.25)]
SHAPES = [pytest.param(s, low, high, id=str(s)) for group, low, high in LIMITS for s in group]
each_shape = pytest.mark.parametrize(("shape", "low", "high"), SHAPES)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def crops(shape: tuple[int, ...], draw: np.random.Generator) -> NDArray[np.float64]:
    """Parts of a picture, of any shape."""
    picture = np.tile(data.coins().astype(float), (1 + shape[-2] // 303, 1 + shape[-1] // 384))
    height, width = shape[-2:]
    parts = []
    for _ in range(int(np.prod(shape[:-2]))):
        y, x = (
            draw.integers(n - m + 1) for n, m in zip(picture.shape, shape[-2:], strict=True)
        )
        parts.append(picture[y : y + height, x : x + width])
    return np.array(parts).reshape(shape)


@each_shape
@pytest.mark.parametrize("structure", [False, True], ids=["flat", "structured"])
def test_sigma_is_seen(shape, low, high, structure):
    draw, found = rng(), []
    for _ in range(15):
        clean = crops(shape, draw) if structure else np.full(shape, 100.0)
        noise = estimate_noise(clean + 20 * draw.standard_normal(shape))
        found.append(np.sqrt(noise.variance(clean).mean()) / 20)
    assert low < np.median(found) < high


@pytest.mark.parametrize("shape", THIN, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_any_dtype_will_do(shape, dtype):
    y = (100 + 10 * rng().standard_normal(shape)).astype(dtype)
    assert estimate_noise(y, "gaussian").sigma == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("shape", [(7, 600), (5, 1000), (8, 6, 100)], ids=str)
def test_noise_that_rises_with_the_signal_is_seen(shape):
    truth = PoissonGaussianNoise(2.0, 9.0)
    clean = np.broadcast_to(np.linspace(10, 400, shape[-1]), shape)
    noise = estimate_noise(truth.sample(clean, rng()))
    assert noise.kind == "poisson-gaussian"
    levels = np.array([50.0, 200.0, 380.0])
    ratio = np.sqrt(noise.variance(levels) / truth.variance(levels))
    np.testing.assert_allclose(ratio, 1, atol=0.2)
    assert estimate_noise(GaussianNoise(10.0).sample(clean, rng())).kind == "gaussian"


@pytest.mark.parametrize("correlation", [(0.5, 0.5), (0.0, 0.8)])
def test_a_known_correlation_counts(correlation: Correlation):
    truth = GaussianNoise(10.0, correlation)
    found = estimate_noise(
        truth.sample(np.full((30, 6, 60), 100.0), rng()), correlation=correlation
    )
    assert found.correlation == correlation
    assert found.variance(100.0) == pytest.approx(100, rel=0.25)


@pytest.mark.parametrize("shape", [(20, 20), (9, 300), (20, 4, 6)], ids=str)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_missing_pixels_do_not_count(shape, share):
    draw = rng()
    y = 100 + 10 * draw.standard_normal(shape)
    observed = draw.random(shape) >= share
    found = estimate_noise(np.where(observed, y, 1e6), observed=observed)
    assert found == estimate_noise(np.where(observed, y, np.nan))
    assert 0.5 < found.variance(100.0) ** 0.5 / 10 < 1.4


def test_few_observed_pixels_of_a_large_image_will_do():
    draw = rng()
    observed = np.zeros((300, 300), bool)
    observed[100:112, 50:70] = True
    y = np.where(observed, 100 + 10 * draw.standard_normal(observed.shape), 0)
    assert estimate_noise(y, observed=observed).sigma == pytest.approx(10, rel=0.25)


@pytest.mark.parametrize(
    "planes",
    [
        np.full((5, 40), 3.0),
        np.add.outer(np.arange(5.0), np.arange(40.0)),
        np.tile([0, 1], (5, 20)),
        np.random.default_rng(0).normal(size=(1, 2)),
        np.random.default_rng(0).normal(size=(64, 1, 1)),
        np.full((9, 30), np.nan),
        np.repeat([0, 50, 100], 100).reshape(3, 100).T,
    ],
    ids=["constant", "slope", "two values", "two pixels", "single pixels", "nothing", "steps"],
)
def test_where_nothing_can_be_known_there_is_a_refusal(planes):
    with pytest.raises(InputError, match=r"noise=.gaussian:"):
        estimate_noise(planes)


def test_a_slope_of_few_levels_is_not_asked_of_a_small_image():
    y = 100 + 10 * rng().standard_normal((5, 20))
    assert estimate_noise(y).kind == "gaussian"
    with pytest.raises(InputError, match="does not rise"):
        estimate_noise(y, "poisson-gaussian")


# -- larger images are judged as ever ------------------------------------------------


def noisy(name: str, a: float, b: float) -> NDArray[np.float64]:
    clean = getattr(data, name)().astype(float)
    return clean + np.sqrt(a * clean + b) * rng(7).standard_normal(clean.shape)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (noisy("camera", 0, 100), GaussianNoise(10.073660375203202)),
        (
            noisy("coins", 0, 625).round().clip(0, 255).astype(np.uint8),
            GaussianNoise(25.077563034259956),
        ),
        (noisy("camera", 2, 9), PoissonGaussianNoise(2.0916190567524406, 9.269891549341384)),
        (data.cell(), GaussianNoise(0.206897556031307, (0.24, 0.24))),
        (data.coins(), GaussianNoise(2.6980847574914364, (0.39, 0.48))),
    ],
    ids=["gaussian", "quantised", "signal-dependent", "cell", "coins"],
)
def test_images_with_enough_blocks_keep_their_numbers(image, expected):
    found = estimate_noise(image)
    assert found.correlation == expected.correlation
    levels = [0.0, 50.0, 200.0]
    np.testing.assert_allclose(found.variance(levels), expected.variance(levels), rtol=1e-6)
