"""Causal autoregressions: stable, drawn as promised, fitted, and whitened exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.autoregression import Autoregression, fit_autoregression
from napari_vae_restore.noise.correlation import (
    WHITE,
    as_autoregression,
    autocorrelation,
    correlated_noise,
    lag_one,
    nearest_blur,
)
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.noise.notation import noise_from_dict, parse_noise

ROW = Autoregression("row", (0.8,))
COLUMN = Autoregression("column", (0.5, 0.2))
PLANE = Autoregression("plane", (0.5, -0.1, 0.4, 0.0))
PROCESSES = [ROW, COLUMN, Autoregression("row", (0.5, 0.2, -0.1)), PLANE]


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_drawn_noise_has_the_autocorrelation_that_is_promised(process):
    noise = process.draw((4, 400, 300), rng())
    promised = process.autocorrelation(2)
    assert noise.var() == pytest.approx(1, rel=0.03)
    for k, m in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0)):
        product = noise[:, k:, m:] * noise[:, : 400 - k, : 300 - m]
        assert product.mean() == pytest.approx(promised[2 + k, 2 + m], abs=0.03)
    assert np.mean(noise[1:] * noise[:-1]) == pytest.approx(0, abs=0.03)


def test_a_first_order_line_decays_geometrically():
    np.testing.assert_allclose(ROW.autocorrelation(3)[3, 3:], 0.8 ** np.arange(4), atol=1e-6)
    np.testing.assert_allclose(ROW.autocorrelation(3)[2], 0, atol=1e-12)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (3, 5), (4, 4)], ids=str)
def test_whitening_gives_the_density_of_the_field(process, shape):
    height, width = shape
    y, x = np.indices(shape).reshape(2, -1)
    lags = process.autocorrelation(8)
    covariance = lags[8 + np.subtract.outer(y, y), 8 + np.subtract.outer(x, x)]
    field = rng().standard_normal(shape)
    innovations, log_scale = process.whiten(torch.from_numpy(field))
    density = -0.5 * (innovations**2 + math.log(2 * math.pi)) - log_scale
    expected = multivariate_normal(np.zeros(height * width), covariance).logpdf(field.ravel())
    # Along lines the chain rule is exact; in the plane the context leaves pixels out.
    tolerance = 0.02 if process.direction == "plane" else 1e-9
    assert float(density.sum()) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_innovations_are_white(process):
    innovations, _ = process.whiten(torch.from_numpy(process.draw((300, 300), rng())))
    assert float(innovations.var()) == pytest.approx(1, rel=0.03)
    for shifted in (
        innovations[1:] * innovations[:-1],
        innovations[:, 1:] * innovations[:, :-1],
    ):
        assert float(shifted.mean()) == pytest.approx(0, abs=0.02)
    assert float(innovations[0].var()) == pytest.approx(1, rel=0.3)
    assert float(innovations[:, 0].var()) == pytest.approx(1, rel=0.3)


def test_whitening_is_differentiable_and_batched():
    noise = torch.from_numpy(PLANE.draw((2, 3, 9, 8), rng())).float().requires_grad_()
    innovations, log_scale = PLANE.whiten(noise)
    assert innovations.shape == noise.shape
    assert log_scale.shape == (9, 8)
    innovations.square().sum().backward()
    assert bool(torch.isfinite(noise.grad).all())


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_fit_recovers_the_process(process):
    found = fit_autoregression(process.autocorrelation(8), process.direction)
    # A plane is fitted as its own mirror image.
    tolerance = 0.1 if process.direction == "plane" else 0.01
    np.testing.assert_allclose(
        found.autocorrelation(2), process.autocorrelation(2), atol=tolerance
    )


def test_fit_stays_stable_where_no_process_follows():
    impossible = np.full((9, 9), 0.99)
    impossible[4, 4] = 1
    impossible[4, 3] = impossible[4, 5] = -0.9
    for direction in ("row", "column", "plane"):
        found = fit_autoregression(impossible, direction)
        assert np.isfinite(found.draw((20, 20), rng())).all()


def test_blurred_noise_has_an_autoregression():
    assert as_autoregression(WHITE) is None
    assert as_autoregression(ROW) == ROW
    for pair, direction in (((0.0, 0.6), "row"), ((0.6, 0.0), "column"), ((0.6, 0.6), "plane")):
        found = as_autoregression(pair)
        assert found.direction == direction
        np.testing.assert_allclose(
            found.autocorrelation(2), autocorrelation(pair, 2), atol=0.05
        )
        assert nearest_blur(found) == pytest.approx(pair, abs=0.02)


def test_a_network_is_told_the_nearest_blur():
    assert nearest_blur((0.6, 0.3)) == (0.6, 0.3)
    y, x = nearest_blur(ROW)
    assert y == 0
    assert 0.8 < x < 0.95
    assert lag_one(ROW) == pytest.approx((0, 0.8))
    assert lag_one(COLUMN)[1] == 0


def test_noise_along_lines_is_drawn_by_the_function_that_draws_all():
    np.testing.assert_array_equal(correlated_noise((5, 6), ROW, rng()), ROW.draw((5, 6), rng()))
    assert correlated_noise((50,), ROW, rng()).shape == (50,)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_forms(process):
    noise = GaussianNoise(25.0, process)
    assert parse_noise(str(noise)) == noise
    assert noise_from_dict(noise.to_dict()) == noise
    assert hash(noise) == hash(parse_noise(str(noise)))


def test_written_forms():
    assert parse_noise("gaussian:25@row:0.8") == GaussianNoise(25, ROW)
    assert str(GaussianNoise(25, ROW)) == "gaussian:25.0@row:0.8"
    assert parse_noise("poisson-gaussian:2,9@column:0.5,0.2").correlation == COLUMN


@pytest.mark.parametrize(
    "text", ["row:1.0", "row:x", "row:", "row:0.5,0.6", "plane:0.5", "diagonal:0.5", "row:nan"]
)
def test_unusable_processes_are_refused(text):
    with pytest.raises(InputError, match="row"):
        parse_noise(f"gaussian:25@{text}")
