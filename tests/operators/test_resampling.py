"""Resampling matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from napari_vae_restore.operators.resampling import (
    KERNELS,
    along,
    enlargement,
    reduction,
    separable,
)

kernels = st.sampled_from(sorted(KERNELS))


@settings(deadline=None)
@given(n=st.integers(1, 40), factor=st.integers(1, 6), kernel=kernels)
def test_rows_sum_to_one_and_mirror_each_other(n: int, factor: int, kernel: str) -> None:
    small, large = reduction(n * factor, factor, kernel), enlargement(n, factor)
    assert small.shape == (n, n * factor)
    assert large.shape == (n * factor, n)
    for matrix in (small.toarray(), large.toarray()):
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-12)
        np.testing.assert_allclose(matrix, matrix[::-1, ::-1], rtol=0, atol=1e-12)


def test_box_reduction_bins() -> None:
    assert reduction(4, 2, "box").toarray().tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]


@pytest.mark.parametrize("kernel", ["bicubic", "box"])
def test_a_factor_of_one_changes_nothing(kernel: str) -> None:
    np.testing.assert_array_equal(reduction(5, 1, kernel).toarray(), np.eye(5))
    np.testing.assert_array_equal(enlargement(5, 1).toarray(), np.eye(5))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_both_ways_are_those_of_torch(factor: int) -> None:
    x = np.random.default_rng(0).random((24, 36))
    tensor = torch.from_numpy(x)[None, None]
    for scale, matrices in [
        (1 / factor, [reduction(n, factor, "bicubic") for n in x.shape]),
        (factor, [enlargement(n, factor) for n in x.shape]),
    ]:
        expected = functional.interpolate(
            tensor, scale_factor=scale, mode="bicubic", antialias=True
        )
        ours = separable(*matrices, x)
        np.testing.assert_allclose(ours, expected.numpy()[0, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_slope_stays_a_slope_inside(factor: int, kernel: str) -> None:
    small = reduction(24 * factor, factor, kernel) @ (np.arange(24.0 * factor) + 0.5)
    np.testing.assert_allclose(small[2:-2], (np.arange(24) + 0.5)[2:-2] * factor, atol=1e-9)
    large = enlargement(24, factor) @ (np.arange(24.0) + 0.5)
    inside = slice(2 * factor, -2 * factor)
    expected = (np.arange(24 * factor) + 0.5) / factor
    np.testing.assert_allclose(large[inside], expected[inside], atol=1e-9)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0,)])
def test_separable_multiplies_from_both_sides(lead: tuple[int, ...]) -> None:
    rows, columns = reduction(8, 2, "bicubic"), enlargement(5, 3)
    x = np.random.default_rng(0).random((*lead, 8, 5)).astype(np.float32)
    result = separable(rows, columns, x)
    expected = rows.toarray() @ x.astype(np.float64) @ columns.toarray().T
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)
    assert result.shape == (*lead, 4, 15)
    assert result.dtype == np.float64
    assert result.flags.c_contiguous


def test_along_takes_any_axis() -> None:
    x = np.random.default_rng(0).random((4, 2, 3))
    result = along(reduction(4, 2, "box").__matmul__, x, 0)
    np.testing.assert_allclose(result, x.reshape(2, 2, 2, 3).mean(axis=1))
