"""The same properties over every network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore import FlatVAEConfig, HVAEConfig, InputError, Model
from napari_vae_restore.models.config import ModelConfig, RestorationConfig
from napari_vae_restore.models.latents import NoiseSource, random_noise
from napari_vae_restore.models.model import build_network
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.training.objective import elbo

CONFIGS = [
    HVAEConfig(levels=3, width=8, latent=4),
    HVAEConfig(levels=1, width=8, latent=4, patch=1),
    HVAEConfig(channels=3, levels=2, width=8, latent=4, blocks=2),
    HVAEConfig(levels=3, latent=2, layers=(1, 2, 3), widths=(8, 12, 12)),
    RestorationConfig(widths=(8, 12), depths=(1, 1), width=8, latent=4),
    RestorationConfig(
        widths=(8, 12), depths=(1, 1), latent=2, scaled=True, layers=(2, 1), vae_widths=(6, 8)
    ),
    FlatVAEConfig(size=32, width=8, z_dim=6),
    FlatVAEConfig(channels=3, size=28, width=8, z_dim=6),
]
HIERARCHICAL = CONFIGS[0]


def build(config: ModelConfig) -> VAEModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(config).eval()


def images(config: ModelConfig, n: int = 2, side: int = 32) -> Tensor:
    side = config.fixed_size or side
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, config.channels, side, side, generator=generator)


def noise(seed: int = 2) -> NoiseSource:
    return random_noise(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
class TestEveryNetwork:
    def test_decodes_to_the_shape_of_the_image(self, config: ModelConfig) -> None:
        network, y = build(config), images(config)
        decoded = network.decode(network.encode(y), noise())
        assert decoded.signal.shape == y.shape
        assert decoded.signal.dtype == torch.float32
        assert all(kl.shape == (2,) and (kl >= 0).all() for kl in decoded.kl)
        assert len(decoded.kl) == len(decoded.latents)

    def test_generates_images(self, config: ModelConfig) -> None:
        side = config.fixed_size or 2 * config.stride
        generated = build(config).generate(3, side, side, noise())
        assert generated.signal.shape == (3, config.channels, side, side)

    def test_batch_of_one_equals_batch_of_eight(self, config: ModelConfig) -> None:
        network, y = build(config), images(config, n=8)
        together = network.decode(network.encode(y), None).signal
        alone = network.decode(network.encode(y[3:4]), None).signal
        torch.testing.assert_close(alone, together[3:4], rtol=1e-4, atol=1e-5)

    def test_mean_path_is_deterministic_and_samples_differ(self, config: ModelConfig) -> None:
        network, y = build(config), images(config)
        features = network.encode(y)
        torch.testing.assert_close(
            network.decode(features, None).signal, network.decode(features, None).signal
        )
        first, second = (network.decode(features, noise(seed)).signal for seed in (0, 1))
        assert (first - second).abs().max() > 1e-4

    def test_gradients_reach_every_weight(self, config: ModelConfig) -> None:
        network = build(config)
        bound = elbo(network, images(config), GaussianNoise(0.5), noise())
        (-bound.value()).backward()
        silent = [
            name
            for name, p in network.named_parameters()
            # The student, its gain and what they read learn from conditions.
            if p.grad is None and not name.startswith(("condition.", "student.", "gain."))
        ]
        assert not silent

    def test_outliers_give_finite_gradients(self, config: ModelConfig) -> None:
        network, y = build(config), images(config)
        y[0, 0, 3, 3] = 60_000
        bound = elbo(network, y, GaussianNoise(0.5), noise())
        (-bound.value()).backward()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_kl_per_pixel_does_not_depend_on_the_patch() -> None:
    network = build(HIERARCHICAL)
    small = images(HIERARCHICAL, n=16, side=64)
    large = images(HIERARCHICAL, n=4, side=128)
    with torch.no_grad():
        bounds = [elbo(network, y, GaussianNoise(0.5), noise()) for y in (small, large)]
    kl = [sum(float(level.mean()) for level in bound.kl) for bound in bounds]
    assert kl[1] == pytest.approx(kl[0], rel=0.05)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 8), width=st.integers(1, 8))
def test_any_multiple_of_the_stride_runs(height: int, width: int) -> None:
    network, stride = build(HIERARCHICAL), HIERARCHICAL.stride
    y = torch.zeros(1, 1, height * stride, width * stride)
    assert network.decode(network.encode(y), None).signal.shape == y.shape
    assert network.generate(1, *y.shape[2:], noise()).signal.shape == y.shape


def test_encoder_runs_once_for_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(HIERARCHICAL)
    features = network.encode(images(HIERARCHICAL))
    monkeypatch.setattr(network, "encode", lambda y: pytest.fail("encoded again"))
    for seed in range(16):
        network.decode(features, noise(seed))


class TestTrained:
    """Signs of posterior collapse, on a network that was trained on a real picture."""

    @pytest.fixture
    def y(self, model: Model, noisy: NDArray[np.float32]) -> Tensor:
        assert model.noise is not None
        stabilised = model.noise.stabilise(noisy[:96, :96])
        return torch.from_numpy(model.normalisation.to_network(stabilised))[None, None]

    def test_every_level_carries_information(self, model: Model, y: Tensor) -> None:
        with torch.no_grad():
            decoded = model.network.decode(model.network.encode(y), noise())
        assert all(float(kl) / y.numel() > 1e-4 for kl in decoded.kl)

    def test_trained_at_64_it_samples_at_512(self, model: Model) -> None:
        with torch.no_grad():
            sampled = model.network.generate(1, 512, 512, noise()).signal
        quarters = sampled.unfold(2, 256, 256).unfold(3, 256, 256).std(dim=(-2, -1))
        assert sampled.isfinite().all()
        # The prior is the same everywhere: no corner of a large sample fades out.
        assert float(quarters.max() / quarters.min()) < 2

    def test_trained_at_64_it_infers_at_200_by_328(self, model: Model) -> None:
        y = torch.randn(1, 1, 200, 328, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            decoded = model.network.decode(model.network.encode(y), noise())
        assert decoded.signal.shape == y.shape
        assert decoded.signal.isfinite().all()

    def test_shuffled_latents_change_the_picture(self, model: Model, y: Tensor) -> None:
        network = model.network
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            features = network.encode(y)
            picture = network.decode(features, None).signal
            for level in range(len(features)):
                columns = torch.randperm(features[level].shape[-1], generator=generator)
                shuffled = (
                    *features[:level],
                    features[level][..., columns],
                    *features[level + 1 :],
                )
                change = network.decode(shuffled, None).signal - picture
                assert float(change.std()) > 0.02 * float(picture.std())


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (HVAEConfig, {"levels": 0}),
        (HVAEConfig, {"levels": 9}),
        (HVAEConfig, {"width": 1.5}),
        (FlatVAEConfig, {"size": 30}),
        (FlatVAEConfig, {"z_dim": -1}),
    ],
)
def test_bad_configs_are_refused(cls: type, values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="model config: expected"):
        cls(**values)
