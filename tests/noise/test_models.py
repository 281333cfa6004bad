"""Noise models as mathematics, and their estimation on real pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.estimation.estimate import estimate_noise, resolve_noise
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise
from napari_vae_restore.noise.notation import noise_from_dict, parse_noise

MODELS: list[NoiseModel] = [
    GaussianNoise(12.5),
    PoissonGaussianNoise(0.8, 4.0),
    PoissonGaussianNoise(4.0, -20.0),
    GaussianNoise(25.0, (0.6, 0.3)),
    PoissonGaussianNoise(2.0, 9.0, (0.0, 0.5)),
]
every_model = pytest.mark.parametrize("noise", MODELS, ids=str)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def poisson_data(noise: PoissonGaussianNoise, photons: float, n: int) -> np.ndarray:
    """True Poisson counts with a pedestal (b < 0) or with read-out noise (b > 0)."""
    read = math.sqrt(max(noise.b, 0.0)) * rng().standard_normal(n)
    return noise.a * rng().poisson(photons, n) + read + dark(noise)


def dark(noise: PoissonGaussianNoise) -> float:
    return max(-noise.b, 0.0) / noise.a


# -- stabilising -----------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("spread", [1.0, 1e3, 1e6])
def test_stabilising_rises_over_all_numbers_and_is_inverted(noise, spread):
    y = dark_of(noise) + spread * np.linspace(-50, 50, 2001)
    t = noise.stabilise(y)
    back = noise.unstabilise(t)
    assert (np.diff(t) > 0).all()
    assert (np.diff(back) > 0).all()
    # The inverse is that of means: it differs by up to half a photon, and not in the dark.
    photon = getattr(noise, "a", 0.0)
    np.testing.assert_allclose(back, y, rtol=1e-9, atol=0.51 * photon + 1e-9)
    without_noise = y < -getattr(noise, "b", 0.0) / getattr(noise, "a", 1.0)
    np.testing.assert_allclose(back[without_noise], y[without_noise], rtol=1e-4)


@pytest.mark.parametrize("moved", [-3000.0, -100.0, 50.0])
def test_where_zero_was_put_does_not_matter(moved):
    noise = PoissonGaussianNoise(4.0, -400.0)
    other = PoissonGaussianNoise(4.0, -400.0 - 4.0 * moved)
    y = np.linspace(110, 4000, 500)
    np.testing.assert_allclose(noise.stabilise(y), other.stabilise(y + moved), rtol=1e-9)
    t = noise.stabilise(y)
    np.testing.assert_allclose(other.unstabilise(t) - moved, noise.unstabilise(t), atol=0.3)


def dark_of(noise: NoiseModel) -> float:
    return dark(noise) if isinstance(noise, PoissonGaussianNoise) else 0.0


# -- likelihood ----------------------------------------------------------------------


@every_model
def test_log_likelihood_is_the_normal_density(noise):
    y = torch.linspace(-40, 400, 23, dtype=torch.float64)[:, None]
    signal = torch.linspace(6, 300, 11, dtype=torch.float64)
    std = torch.from_numpy(np.sqrt(noise.variance(signal.numpy())))
    expected = torch.distributions.Normal(signal, std).log_prob(y)
    torch.testing.assert_close(noise.log_likelihood(y, signal), expected)


@every_model
@pytest.mark.parametrize("signal", [5.5, 50.0, 5000.0])
def test_density_integrates_to_one(noise, signal):
    reach = 12 * math.sqrt(float(noise.variance(signal)))
    y = torch.linspace(signal - reach, signal + reach, 4001, dtype=torch.float64)
    density = noise.log_likelihood(y, torch.full_like(y, signal)).exp()
    assert torch.trapezoid(density, y).item() == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    noise=st.sampled_from(MODELS),
    y=st.floats(-65535, 65535, width=32),
    signal=st.floats(-65535, 65535, width=32),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_likelihood_and_gradient_are_finite_at_extremes(noise, y, signal, dtype):
    s = torch.tensor([signal], dtype=dtype, requires_grad=True)
    value = noise.log_likelihood(torch.tensor([y], dtype=dtype), s)
    value.sum().backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value).all()
    assert torch.isfinite(s.grad).all()


def test_half_precision_hot_pixel_is_finite():
    y = torch.tensor([60000.0], dtype=torch.float16)
    for noise in MODELS:
        assert torch.isfinite(noise.log_likelihood(y, torch.zeros_like(y))).all()


@every_model
def test_samples_have_the_mean_and_variance(noise):
    signal = np.full(200_000, 60.0)
    y = noise.sample(signal, rng())
    assert y.mean() == pytest.approx(60.0, abs=0.2)
    assert y.var() == pytest.approx(float(noise.variance(60.0)), rel=0.02)
    np.testing.assert_array_equal(y, noise.sample(signal, rng()))


# -- stabilisation -------------------------------------------------------------------


def test_gaussian_stabilises_exactly():
    noise, y = GaussianNoise(4.0), np.array([[-8.0, 0.0], [2.0, 60000.0]])
    np.testing.assert_array_equal(noise.stabilise(y), y / 4)
    np.testing.assert_array_equal(noise.unstabilise(noise.stabilise(y)), y)


@pytest.mark.parametrize(
    ("b", "photons"), [(0.0, 3.0), (-20.0, 4.0), (16.0, 1.0), (400.0, 1.0)]
)
def test_stabilised_noise_has_unit_deviation(b, photons):
    noise = PoissonGaussianNoise(4.0, b)
    for level in photons * np.array([1.0, 3.0, 10.0, 100.0]):
        deviation = noise.stabilise(poisson_data(noise, level, 100_000)).std()
        assert deviation == pytest.approx(1.0, abs=0.05), level


@pytest.mark.parametrize("b", [-20.0, 0.0, 4.0])
def test_inverse_is_unbiased_for_photon_counts(b):
    noise = PoissonGaussianNoise(2.0, b)
    for photons in (0.5, 1.0, 3.0, 10.0, 100.0, 1000.0):
        y = poisson_data(noise, photons, 200_000)
        back = noise.unstabilise(noise.stabilise(y).mean()) - dark(noise)
        # Against the sample's own mean: what is tested is the inverse, not the draw.
        assert back == pytest.approx(y.mean() - dark(noise), rel=0.01), photons


@pytest.mark.parametrize("b", [-20.0, 0.0, 4.0])
def test_inverse_is_unbiased_for_the_gaussian_model(b):
    noise = PoissonGaussianNoise(2.0, b)
    for photons in (10.0, 100.0, 1000.0):
        y = noise.sample(np.full(200_000, 2.0 * photons + dark(noise)), rng())
        assert noise.unstabilise(noise.stabilise(y).mean()) == pytest.approx(y.mean(), rel=0.01)


@every_model
def test_inverse_is_monotone_and_finite(noise):
    t = np.concatenate([[-1e6], np.linspace(-50, 500, 20_001), [1e6]])
    signal = noise.unstabilise(t)
    assert np.isfinite(signal).all()
    assert (np.diff(signal) >= 0).all()
    assert noise.unstabilise(np.zeros((3, 2, 5))).shape == (3, 2, 5)


@settings(max_examples=60, deadline=None)
@given(
    a=st.floats(1e-4, 1e4),
    b=st.floats(-1e3, 1e3),
    y=st.floats(-1e6, 1e6),
)
def test_stabilisation_is_finite_at_extremes(a, b, y):
    noise = PoissonGaussianNoise(a, b)
    t = noise.stabilise(np.array([y]))
    assert np.isfinite(t).all()
    assert np.isfinite(noise.unstabilise(t)).all()


# -- forms ---------------------------------------------------------------------------


@every_model
def test_forms_read_back(noise):
    assert noise_from_dict(noise.to_dict()) == noise
    assert parse_noise(str(noise)) == noise
    assert noise.to_dict()["kind"] == noise.kind


def test_numpy_numbers_become_plain_ones():
    assert str(GaussianNoise(np.float32(2.5))) == "gaussian:2.5"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"kind": "speckle", "sigma": 1.0},
        {"kind": "gaussian"},
        {"kind": "gaussian", "sigma": 1.0, "mean": 0.0},
        {"kind": "gaussian", "sigma": "1"},
        {"kind": "poisson-gaussian", "a": 1.0},
        ["gaussian", 1.0],
    ],
)
def test_foreign_dicts_are_refused(form):
    with pytest.raises(InputError):
        noise_from_dict(form)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12.5",
        "gaussian",
        "gaussian:",
        "gaussian:x",
        "gaussian:1,2",
        "gaussian:1@x",
        "poisson:1,2",
    ],
)
def test_unreadable_text_is_refused_with_the_forms(text):
    with pytest.raises(InputError, match="gaussian:SIGMA"):
        parse_noise(text)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf, True, None])
def test_unusable_sigma_is_refused(sigma):
    with pytest.raises(InputError, match="sigma"):
        GaussianNoise(sigma)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-1.0, 1.0), (1.0, math.nan), (1e-9, 1.0)])
def test_unusable_gain_is_refused(a, b):
    with pytest.raises(InputError):
        PoissonGaussianNoise(a, b)


# -- estimation ----------------------------------------------------------------------


def picture(name: str) -> np.ndarray:
    return getattr(data, name)().astype(np.float64)


def noisy(clean: np.ndarray, a: float, b: float) -> np.ndarray:
    return clean + np.sqrt(a * clean + b) * rng().standard_normal(clean.shape)


def check_deviation(noise: NoiseModel, clean: np.ndarray, a: float, b: float) -> None:
    levels = np.percentile(clean[(clean > 1) & (clean < 254)], np.linspace(5, 95, 19))
    error = np.sqrt(noise.variance(levels) / (a * levels + b)) - 1
    assert np.median(np.abs(error)) < 0.1
    assert np.abs(error).max() < 0.15


@pytest.mark.parametrize("name", ["camera", "coins"])
@pytest.mark.parametrize("sigma", [2, 10, 50])
def test_gaussian_sigma_within_ten_percent(name, sigma):
    y = picture(name) + sigma * rng().standard_normal(picture(name).shape)
    quantised = np.clip(y.round(), 0, 255).astype(np.uint8)
    for image in (y, quantised):
        estimate = estimate_noise(image, "gaussian")
        assert estimate.sigma == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("name", ["camera", "coins"])
@pytest.mark.parametrize(("a", "b"), [(1.0, 25.0), (4.0, 100.0), (8.0, 0.0)])
@pytest.mark.parametrize("factor", [1.0, 0.12], ids=["bright", "dark"])
def test_signal_dependent_deviation_of_clipped_pictures(name, a, b, factor):
    clean = picture(name) * factor
    y = noisy(clean, a, b).round().clip(0, 255).astype(np.uint8)
    check_deviation(estimate_noise(y, "poisson-gaussian"), clean, a, b)


def test_pedestal_gives_a_negative_intercept():
    clean = picture("camera") + 50
    y = noisy(clean, 2.0, -100.0)
    noise = estimate_noise(y)
    assert noise.kind == "poisson-gaussian"
    check_deviation(noise, clean, 2.0, -100.0)


def test_auto_tells_the_kinds_apart():
    clean = picture("camera")
    assert estimate_noise(noisy(clean, 2.0, 9.0)).kind == "poisson-gaussian"
    assert estimate_noise(noisy(clean, 0.0, 225.0)).kind == "gaussian"


def test_hot_and_missing_pixels_do_not_matter():
    clean = picture("camera")
    y = noisy(clean, 2.0, 9.0)
    y[tuple(rng().integers(0, 512, (2, 300)))] = 60000
    y[:40, :90] = np.nan
    check_deviation(estimate_noise(y), clean, 2.0, 9.0)


def test_sparse_bright_structure_is_not_noise():
    spots = np.zeros((256, 256))
    spots[tuple(rng().integers(0, 256, (2, 40)))] = 1.0
    spectrum = np.exp(-40 * np.add.outer(np.fft.fftfreq(256) ** 2, np.fft.rfftfreq(256) ** 2))
    clean = 105 + 3000 * np.fft.irfft2(np.fft.rfft2(spots) * spectrum**2).clip(0)
    y = 100 + 2.0 * rng().poisson((clean - 100) / 2.0) + 2 * rng().standard_normal(clean.shape)
    noise = estimate_noise(y.round().astype(np.uint16))
    levels = np.percentile(clean, [5, 50, 90, 98])
    error = np.sqrt(noise.variance(levels) / (2.0 * (levels - 100) + 4)) - 1
    assert np.abs(error).max() < 0.1


def test_intensity_units_do_not_matter():
    y = noisy(picture("coins"), 2.0, 9.0)
    noise, scaled = estimate_noise(y), estimate_noise(y / 65535)
    assert scaled.a == pytest.approx(noise.a / 65535, rel=0.01)


def test_estimate_is_deterministic():
    y = noisy(picture("coins"), 2.0, 9.0)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert estimate_noise(y) == estimate_noise(y)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_subsampled_stack_agrees_with_one_plane():
    clean = np.broadcast_to(picture("camera"), (2, 10, 512, 512))
    y = noisy(clean, 2.0, 9.0).astype(np.float32)
    stack, plane = estimate_noise(y), estimate_noise(y[0, 0])
    levels = np.array([15.0, 100.0, 200.0])
    ratio = np.sqrt(stack.variance(levels) / plane.variance(levels))
    np.testing.assert_allclose(ratio, 1.0, atol=0.05)


@pytest.mark.parametrize("size", [40, 64])
def test_small_pictures_do(size):
    y = 10 * rng().standard_normal((size, size)) + picture("camera")[:size, :size]
    assert estimate_noise(y, "gaussian").sigma == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize(
    "planes",
    [
        np.zeros((64, 64)),
        np.full((64, 64), np.nan),
        np.tile([0.0, 1.0], (64, 32)),
        np.add.outer(np.arange(64.0), np.arange(64.0)),
    ],
    ids=["constant", "not finite", "two values", "noise-free"],
)
def test_unusable_images_say_what_to_do(planes):
    with pytest.raises(InputError, match=r"noise=.gaussian:"):
        estimate_noise(planes)


@pytest.mark.parametrize("planes", [np.ones((64, 64), bool), np.ones((64, 64), complex)])
def test_other_dtypes_are_refused(planes):
    with pytest.raises(InputError, match="real numbers"):
        estimate_noise(planes)


@pytest.mark.parametrize("planes", [np.ones(5), np.ones((0, 64, 64))])
def test_other_shapes_are_refused(planes):
    with pytest.raises(InputError, match="shape"):
        estimate_noise(planes)


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match="Unknown noise kind"):
        estimate_noise(picture("coins"), "speckle")


def test_falling_noise_is_not_poisson():
    clean = picture("camera")
    y = clean + np.sqrt(400 - 1.4 * clean) * rng().standard_normal(clean.shape)
    with pytest.raises(InputError, match="does not rise"):
        estimate_noise(y, "poisson-gaussian")


def test_resolve_noise_takes_models_kinds_and_numbers():
    y = noisy(picture("coins"), 0.0, 100.0)
    assert resolve_noise(MODELS[1], y) is MODELS[1]
    assert resolve_noise("poisson-gaussian:0.8,4", y) == MODELS[1]
    assert resolve_noise("auto", y) == estimate_noise(y)
    assert resolve_noise("gaussian", y).kind == "gaussian"
    with pytest.raises(InputError):
        resolve_noise("speckle", y)
