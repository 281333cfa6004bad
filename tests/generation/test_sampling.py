"""Pictures from the prior: any size, keyed to the seed, of every kind of model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.generation.sampling import sample_latents
from napari_vae_restore.models.model import Normalisation, TrainingRecord, build_network


@pytest.fixture(scope="module")
def flat() -> vr.Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(vr.FlatVAEConfig(size=16, width=4, z_dim=4)).eval()
    noise = vr.GaussianNoise(5.0)
    return vr.Model(network, Normalisation(10.0, 4.0), noise, TrainingRecord(), "flat")


@pytest.mark.parametrize("size", [(64, 64), (33, 75), (200, 328)])
def test_any_size_from_one_model(model: vr.Model, size: tuple[int, int]) -> None:
    drawn = vr.sample(model, 2, size)
    assert drawn.shape == (2, *size)
    assert drawn.dtype == np.float32
    assert np.isfinite(drawn).all()
    assert not np.allclose(drawn[0], drawn[1])


def test_samples_have_the_units_of_the_training_images(
    model: vr.Model, noisy: NDArray[np.float32]
) -> None:
    drawn = vr.sample(model, 4, 128)
    assert abs(drawn.mean() - noisy.mean()) < 2 * noisy.std()
    assert 0.1 * noisy.std() < drawn.std() < 3 * noisy.std()


def test_a_sample_does_not_depend_on_how_many_there_are(model: vr.Model) -> None:
    state = torch.get_rng_state()
    np.testing.assert_array_equal(
        vr.sample(model, 3, 32, seed=7)[2], vr.sample(model, 5, 32, seed=7)[2]
    )
    assert torch.equal(state, torch.get_rng_state())
    assert not np.allclose(vr.sample(model, 1, 32, seed=7), vr.sample(model, 1, 32, seed=8))


def test_temperature_zero_is_one_picture_and_spread_grows(model: vr.Model) -> None:
    cold = vr.sample(model, 2, 64, temperature=0)
    np.testing.assert_array_equal(cold[0], cold[1])
    spread = [vr.sample(model, 4, 64, temperature=t).std(axis=0).mean() for t in (0.3, 1.0)]
    assert 0 < spread[0] < spread[1]


def test_the_bundled_model_draws_in_zero_to_one() -> None:
    drawn = vr.sample(n=2, size=(40, 56), seed=1)
    assert drawn.shape == (2, 40, 56)
    assert -0.5 < drawn.min() < drawn.max() < 1.5


def test_a_textbook_vae_has_one_size(flat: vr.Model) -> None:
    assert vr.sample(flat, 3).shape == (3, 16, 16)
    with pytest.raises(vr.InputError, match="16 × 16"):
        vr.sample(flat, 1, 32)
    image = np.random.default_rng(0).normal(50, 20, (16, 16)).astype(np.float32)
    latents = vr.encode(image, flat)
    assert latents.shapes == ((1, 4, 1, 1),)
    assert vr.decode(latents, flat).shape == (16, 16)
    with pytest.raises(vr.InputError, match="16 × 16"):
        vr.encode(np.ones((20, 16)) * np.arange(16), flat)


def test_interpolation_begins_and_ends_with_reconstructions() -> None:
    a, b = data.camera()[:60, :50], data.camera()[200:260, 200:250]
    between = vr.interpolate(a, b, n=3)
    assert between.shape == (3, 60, 50)
    assert between.dtype == a.dtype
    for end, image in ((between[0], a), (between[-1], b)):
        np.testing.assert_array_equal(end, vr.decode(vr.encode(image)))
    errors = [np.square(between[1].astype(float) - end).mean() for end in (a, b)]
    apart = np.square(a.astype(float) - b).mean()
    assert max(errors) < apart
    with pytest.raises(vr.InputError, match="one shape"):
        vr.interpolate(a, b[:40], n=3)


def test_variants_keep_what_the_coarse_levels_say(model: vr.Model) -> None:
    latents = sample_latents(model, (64, 48), seed=3)
    same = vr.vary(latents, model, levels=0)[0]
    np.testing.assert_array_equal(same, vr.sample(model, 1, (64, 48), seed=3)[0])
    distances = [
        np.square(vr.vary(latents, model, 1, levels=levels, seed=5) - same).mean()
        for levels in (1, 3)
    ]
    assert 0 < distances[0] < distances[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n: expected"),
        ({"size": 4}, "size: expected"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_drawn(model: vr.Model, options: dict, message: str) -> None:
    with pytest.raises(vr.InputError, match=message):
        vr.sample(model, **options)
