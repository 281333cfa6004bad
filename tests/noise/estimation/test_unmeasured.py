"""Regions of one repeated value: found whatever it is, and never where chance repeats it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from napari_vae_restore.noise.estimation.unmeasured import (
    LEAST,
    _covered,
    repeat_side,
    unmeasured,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def found(plane: np.ndarray) -> np.ndarray:
    mask = unmeasured(plane, repeat_side(plane[None]))
    return np.zeros(plane.shape, bool) if mask is None else mask


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 6), columns=st.integers(1, 6), seed=st.integers(0, 99), size=st.just(17)
)
def test_covered_is_what_some_rectangle_of_equal_pixels_holds(rows, columns, seed, size):
    plane = rng(seed).integers(0, 2, (size, size + 2))
    plane[4:12, 3:10] = 1
    expected = np.zeros(plane.shape, bool)
    for i in range(plane.shape[0] - rows + 1):
        for j in range(plane.shape[1] - columns + 1):
            part = plane[i : i + rows, j : j + columns]
            expected[i : i + rows, j : j + columns] |= (part == part[0, 0]).all()
    np.testing.assert_array_equal(_covered(plane, rows, columns), expected)


def rotated(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.indices(shape)
    return (0.6 * x + y < 0.5 * shape[0]) | (x - 0.4 * y > 0.75 * shape[1])


def shapes() -> dict[str, np.ndarray]:
    margin, box, rows, frame, disc = (np.zeros((96, 128), bool) for _ in range(5))
    margin[:20], margin[:, :11] = True, True
    box[40:52, 30:60] = True
    rows[33], rows[70:72] = True, True
    frame[:] = True
    y, x = np.indices(disc.shape)
    disc[(y - 50) ** 2 + (x - 60) ** 2 < 15**2] = True
    return {
        "margin": margin,
        "box": box,
        "rows": rows,
        "frame": frame,
        "disc": disc,
        "corners": rotated(disc.shape),
    }


@pytest.mark.parametrize("shape", shapes())
@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 0),
        ("uint8", 255),
        ("uint16", 0),
        ("uint16", 65535),
        ("uint16", 517),
        ("int16", -3024),
        ("float32", 0.0),
        ("float32", -1e4),
        ("float64", np.nan),
    ],
)
def test_a_region_is_found_whatever_it_holds(shape, dtype, value):
    void = shapes()[shape]
    level, sigma = (100, 12) if dtype == "uint8" else (500, 40)
    plane = (level + sigma * rng().standard_normal(void.shape)).astype(dtype)
    plane[void] = value
    mask = found(plane)
    # A neighbour in the noise may hold the same by chance; the rim of a disc may have pixels
    # that no square of equal ones covers.
    assert (mask & ~void).sum() <= 5
    assert (void & ~mask).sum() <= (0.05 * void.sum() if shape in ("disc", "corners") else 0)


@settings(max_examples=25, deadline=None)
@given(
    photons=st.floats(0.003, 500), gain=st.sampled_from([1, 3, 0.4]), seed=st.integers(0, 99)
)
def test_photons_leave_gaps_that_are_measured(photons, gain, seed):
    counts = rng(seed).poisson(photons, (160, 160)) * gain
    if np.ptp(counts.round()) == 0:
        return
    assert found(counts.round().astype(np.uint16)).mean() < (0.02 if photons > 0.05 else 0.6)


@pytest.mark.parametrize("name", ["camera", "brick", "grass", "gravel", "coins", "clock"])
def test_photographs_are_measured_everywhere(name):
    picture = getattr(data, name)()
    assert found(picture).mean() < 0.001


def test_what_is_not_a_number_is_unmeasured_pixel_by_pixel():
    plane = rng().standard_normal((40, 50)).astype(np.float32)
    plane[3, 4] = plane[20, 7] = np.nan
    np.testing.assert_array_equal(unmeasured(plane, LEAST), np.isnan(plane))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 300), (40, 2), (4, 4)])
def test_small_planes_are_looked_at_too(shape):
    noise = rng().normal(100, 20, shape).astype(np.uint16)
    assert unmeasured(noise, LEAST) is None or min(shape) == 1 == max(shape)
    assert unmeasured(np.full(shape, 7, np.uint16), LEAST).all()
