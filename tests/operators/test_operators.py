"""Degradation operators: what they do, and what holds for all of them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import convolve
from torch.nn import functional

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators import (
    Blur,
    Composition,
    Downsampling,
    Identity,
    Masking,
    Operator,
    least_squares,
)
from napari_vae_restore.operators.resampling import KERNELS

Array = NDArray[np.float64]
SMALL = np.array([[0.0, 1.0], [2.0, 3.0]])
KINDS = ["identity", "masking", "downsampling", "blur"]


def _norm(a: Array) -> float:
    return float(np.linalg.norm(a))


@st.composite
def degradations(draw: st.DrawFn) -> tuple[Operator, tuple[int, ...], np.random.Generator]:
    """An operator or a chain of up to three, the shape of its images, and randomness."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    lead = draw(st.sampled_from([(), (1,), (2,), (2, 3)]))
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    chain: list[Operator] = []
    for kind in kinds:  # from the measurement back to the image
        if kind == "identity":
            chain.insert(0, Identity())
        elif kind == "masking":
            own_planes = draw(st.booleans())
            shape = (*(lead if own_planes else ()), height, width)
            chain.insert(0, Masking(rng.random(shape) < draw(st.sampled_from([0, 0.6, 1]))))
        elif kind == "downsampling":
            factor = draw(st.integers(1, 4))
            chain.insert(0, Downsampling(factor, draw(st.sampled_from(sorted(KERNELS)))))
            height, width = height * factor, width * factor
        else:
            chain.insert(
                0, Blur(rng.random((draw(st.integers(1, 6)), draw(st.integers(1, 6)))))
            )
    operator = chain[0] if len(chain) == 1 else Composition(*chain)
    return operator, (*lead, height, width), rng


@settings(deadline=None, max_examples=120)
@given(degradations())
def test_what_holds_for_every_operator(
    drawn: tuple[Operator, tuple[int, ...], np.random.Generator],
) -> None:
    a, shape, rng = drawn
    x, other = rng.normal(size=(2, *shape))
    ax = a.apply(x)

    measured = a.measured_shape(shape)
    assert isinstance(a, Operator)
    assert measured == (*shape[:-2], shape[-2] // a.factor, shape[-1] // a.factor)
    assert ax.shape == measured
    y = rng.normal(size=measured)
    maps = [(a.apply, x), (a.adjoint, y), (a.pseudo_inverse, y)]
    for function, argument in maps:
        came = argument.copy()
        single = function(argument.astype(np.float32))
        double = function(argument)
        assert single.dtype == np.float32
        assert double.dtype == np.float64
        assert not np.shares_memory(double, argument)
        np.testing.assert_array_equal(argument, came)
    assert a.adjoint(y).shape == a.pseudo_inverse(y).shape == shape
    np.testing.assert_allclose(a.apply(x.astype(np.float32)), ax, rtol=0, atol=1e-5)

    np.testing.assert_allclose(
        a.apply(2 * x - 3 * other), 2 * ax - 3 * a.apply(other), rtol=0, atol=1e-11
    )
    assert np.sum(ax * y) == pytest.approx(np.sum(x * a.adjoint(y)), rel=1e-10, abs=1e-10)

    parts = a.operators if isinstance(a, Composition) else (a,)
    blurs = any(isinstance(part, Blur) for part in parts)
    tolerance = 2e-3 if blurs else 1e-5 if isinstance(a, Composition) else 1e-12
    assert _norm(a.apply(a.pseudo_inverse(ax)) - ax) <= tolerance * _norm(x)


@settings(deadline=None, max_examples=40)
@given(degradations())
def test_leading_axes_are_planes_apart(
    drawn: tuple[Operator, tuple[int, ...], np.random.Generator],
) -> None:
    a, shape, rng = drawn
    x, changed = rng.normal(size=(2, *shape))
    y, dim = rng.normal(size=(2, *a.measured_shape(shape)))
    first = (0,) * (len(shape) - 2)
    changed[first], dim[first] = x[first], y[first]
    dim *= np.where(np.arange(dim.size) < dim[first].size, 1, 1e6).reshape(dim.shape)
    for function, one, two in [
        (a.apply, x, changed),
        (a.adjoint, y, dim),
        (a.pseudo_inverse, y, dim),
    ]:
        scale = max(_norm(function(one)[first]), 1e-3)
        np.testing.assert_allclose(
            function(one)[first], function(two)[first], rtol=0, atol=1e-9 * scale
        )


def _dense(a: Operator, height: int, width: int) -> Array:
    """A as a matrix, a column for each pixel."""
    n = height * width
    return np.asarray(a.apply(np.eye(n).reshape(n, height, width)).reshape(n, -1).T)


OBSERVED = np.array([[1, 0, 1], [1, 1, 0]], bool)


@pytest.mark.parametrize(
    "a",
    [
        Identity(),
        Masking(np.repeat(np.repeat(OBSERVED, 2, 0), 2, 1)),
        *(Downsampling(2, kernel) for kernel in KERNELS),
        Composition(Downsampling(2), Masking(OBSERVED)),
        Composition(Masking(np.arange(24).reshape(4, 6) % 5 > 0), Downsampling(2, "box")),
    ],
    ids=str,
)
def test_the_pseudo_inverse_is_moore_and_penroses(a: Operator) -> None:
    y = np.random.default_rng(0).normal(size=a.measured_shape((4, 6)))
    expected = np.linalg.pinv(_dense(a, 4, 6)) @ y.ravel()
    np.testing.assert_allclose(a.pseudo_inverse(y).ravel(), expected, rtol=0, atol=1e-9)


def test_identity_copies() -> None:
    result = Identity().apply(SMALL)
    np.testing.assert_array_equal(result, SMALL)
    assert not np.shares_memory(result, SMALL)
    assert Identity() == Identity()


def test_masking_does_not_read_missing_pixels() -> None:
    a = Masking(np.array([[True, False], [True, True]]))
    x = np.array([[1.0, np.nan], [2.0, 3.0]])
    for function in (a.apply, a.adjoint, a.pseudo_inverse):
        np.testing.assert_array_equal(function(x), [[1, 0], [2, 3]])


def test_masking_keeps_a_mask_of_its_own() -> None:
    observed = np.ones((2, 2), bool)
    a = Masking(observed)
    observed[:] = False
    np.testing.assert_array_equal(a.apply(SMALL), SMALL)
    with pytest.raises(ValueError, match="read-only"):
        a.observed[0, 0] = False
    with pytest.raises(FrozenInstanceError):
        a.observed = observed  # type: ignore[misc]


def test_box_downsampling_is_the_mean_of_a_block() -> None:
    a = Downsampling(2, "box")
    np.testing.assert_allclose(a.apply(SMALL), [[1.5]])
    np.testing.assert_allclose(a.adjoint(np.array([[4.0]])), np.ones((2, 2)))
    np.testing.assert_allclose(a.pseudo_inverse(np.array([[4.0]])), np.full((2, 2), 4.0))


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kernel", KERNELS)
def test_downsampling_gives_back_what_its_inverse_made(factor: int, kernel: str) -> None:
    y = np.random.default_rng(factor).normal(100, 50, size=(2, 31, 17))
    a = Downsampling(factor, kernel)
    np.testing.assert_allclose(a.apply(a.pseudo_inverse(y)), y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_downsampling_is_that_of_torch(factor: int) -> None:
    x = np.random.default_rng(0).random((2, 1, 24, 36))
    expected = functional.interpolate(
        torch.from_numpy(x), scale_factor=1 / factor, mode="bicubic", antialias=True
    )
    ours = Downsampling(factor, "bicubic").apply(x)
    np.testing.assert_allclose(ours, expected.numpy(), rtol=0, atol=1e-12)


def test_blur_is_a_convolution_that_reflects_at_the_border() -> None:
    psf = np.array([[0.0, 0.0, 2.0]])  # centred on the middle: shifts to the right
    np.testing.assert_allclose(Blur(psf).apply(SMALL), [[0, 0], [2, 2]], atol=1e-12)
    np.testing.assert_allclose(Blur(psf).adjoint(SMALL), [[1, 0], [5, 0]], atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5), (4, 4), (9, 30)])
def test_blur_is_that_of_scipy(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, psf = rng.random((7, 5)), rng.random(size)
    expected = convolve(x, psf / psf.sum(), mode="reflect")
    np.testing.assert_allclose(Blur(psf).apply(x), expected, rtol=0, atol=1e-12)


def test_the_inverse_of_a_mild_blur_is_sharp_and_of_a_hard_one_bounded() -> None:
    x = np.random.default_rng(0).random((20, 20))
    mild = Blur(np.array([[0, 1, 0], [1, 6, 1], [0, 1, 0]]))
    np.testing.assert_allclose(mild.pseudo_inverse(mild.apply(x)), x, rtol=0, atol=1e-3)
    hard = Blur(np.ones((9, 9)))
    assert _norm(hard.pseudo_inverse(x)) <= 501 * _norm(x)


def test_composition_acts_in_the_order_of_the_list() -> None:
    observed = np.array([[True, False], [True, True]])
    first = Composition(Masking(observed), Downsampling(2, "box"))
    assert first.apply(SMALL).tolist() == [[1.25]]
    assert first.factor == 2
    nested = Composition(Identity(), Composition(Downsampling(2), Downsampling(3)))
    assert nested.operators == (Identity(), Downsampling(2), Downsampling(3))
    assert nested.factor == 6
    assert nested.measured_shape((5, 12, 18)) == (5, 2, 3)


def test_composition_does_not_read_missing_pixels() -> None:
    observed = np.random.default_rng(0).random((6, 5)) < 0.7
    a = Composition(Downsampling(2), Masking(observed))
    y = np.random.default_rng(1).random((6, 5))
    spoilt = np.where(observed, y, np.nan)
    np.testing.assert_array_equal(a.adjoint(spoilt), a.adjoint(y))
    np.testing.assert_array_equal(a.pseudo_inverse(spoilt), a.pseudo_inverse(y))


def test_least_squares_damped_is_the_ridge_solution() -> None:
    rng = np.random.default_rng(0)
    matrix, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
    x = least_squares(lambda x: matrix @ x, lambda y: matrix.T @ y, y, damping=0.5)
    expected = np.linalg.solve(matrix.T @ matrix + 0.5 * np.eye(4), matrix.T @ y)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Masking(np.ones((2, 2))), "boolean.*float64.*observed > 0"),
        (lambda: Masking(np.ones(2, bool)), r"\(\.\.\., H, W\).*\(2,\)"),
        (lambda: Downsampling(0), "at least 1, came 0"),
        (lambda: Downsampling(1.5), "whole factor"),  # type: ignore[arg-type]
        (lambda: Downsampling(2, "cubic"), "bicubic, box, gaussian, came 'cubic'"),
        (lambda: Blur(np.ones(3)), r"two axes.*\(3,\)"),
        (lambda: Blur(np.zeros((3, 3))), "positive sum, came 0.0"),
        (lambda: Blur(np.full((3, 3), np.nan)), "finite.*came nan"),
        (lambda: Blur(np.ones((3, 3), complex)), "real array.*complex128"),
        (lambda: Composition(), "came nothing"),
        (lambda: Composition([Identity()]), "came list"),  # type: ignore[arg-type]
    ],
)
def test_operators_that_cannot_be(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    ("a", "image", "words"),
    [
        (Downsampling(3), np.ones((10, 12)), "multiples of 3, came 10 x 12; crop .* 9 x 12"),
        (Masking(np.ones((2, 3), bool)), np.ones((3, 2)), r"mask's shape \(2, 3\)"),
        (Masking(np.ones((1, 3), bool)), np.ones((3, 3)), r"mask's shape \(1, 3\)"),
        (Masking(np.ones((2, 3, 3), bool)), np.ones((3, 3)), r"mask's shape \(2, 3, 3\)"),
        (Identity(), np.ones((3, 3), np.uint8), "floating image, came uint8.*astype"),
        (Identity(), np.ones(3), r"shape \(3,\)"),
        (Blur(np.ones((3, 3))), np.ones((0, 3)), r"shape \(0, 3\)"),
        (Composition(Downsampling(2), Downsampling(2)), np.ones((6, 8)), "multiples of 2"),
    ],
)
def test_images_that_do_not_suit(a: Operator, image: Array, words: str) -> None:
    with pytest.raises(InputError, match=words):
        a.apply(image)
