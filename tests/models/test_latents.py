import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from napari_vae_restore.models.latents import DiagonalGaussian, KeyedNoise, random_noise


def gaussian(seed: int) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    return DiagonalGaussian.from_parameters(3 * torch.randn(2, 8, 5, 7, generator=generator))


def test_kl_is_torch_distributions() -> None:
    q, p = gaussian(0), gaussian(1)
    expected = kl_divergence(Normal(q.mean, q.log_std.exp()), Normal(p.mean, p.log_std.exp()))
    torch.testing.assert_close(q.kl(p), expected, rtol=1e-4, atol=1e-4)


def test_kl_of_a_gaussian_to_itself_is_zero() -> None:
    q = gaussian(0)
    torch.testing.assert_close(q.kl(q), torch.zeros_like(q.mean), atol=1e-6, rtol=0)


@pytest.mark.parametrize("extreme", [-1e6, 0.0, 1e6])
def test_values_and_gradients_are_finite_at_extremes(extreme: float) -> None:
    parameters = torch.full((1, 4, 2, 2), extreme, requires_grad=True)
    q = DiagonalGaussian.from_parameters(parameters)
    p = DiagonalGaussian(torch.zeros_like(q.mean), torch.zeros_like(q.mean))
    value = q.kl(p).sum() + q.sample(torch.ones_like(q.mean)).sum()
    value.backward()
    assert value.isfinite()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def test_samples_have_the_stated_moments() -> None:
    q = DiagonalGaussian(torch.full((1, 1, 200, 200), 2.0), torch.full((1, 1, 200, 200), 0.5))
    noise = random_noise(torch.Generator().manual_seed(0))(0, q.mean)
    sample = q.sample(noise, temperature=0.5)
    assert float(sample.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(sample.std()) == pytest.approx(0.5 * np.exp(0.5), rel=0.02)


def keyed(
    row: int, column: int, *, sample: int = 0, height: int = 96, width: int = 80
) -> torch.Tensor:
    noise = KeyedNoise(3, sample, 0, row, column, strides=(2, 4))
    return noise(1, torch.empty(1, 5, height, width))


def test_keyed_noise_depends_on_global_position_only() -> None:
    whole = keyed(0, 0)
    part = keyed(4 * 20, 4 * 33, height=41, width=17)
    torch.testing.assert_close(part, whole[..., 20:61, 33:50], rtol=0, atol=0)


def test_keyed_noise_is_standard_normal_and_differs_between_samples() -> None:
    first, second = keyed(0, 0), keyed(0, 0, sample=1)
    assert float(first.mean()) == pytest.approx(0, abs=0.02)
    assert float(first.std()) == pytest.approx(1, abs=0.02)
    correlation = np.corrcoef(first.numpy().ravel(), second.numpy().ravel())[0, 1]
    assert abs(correlation) < 0.02
