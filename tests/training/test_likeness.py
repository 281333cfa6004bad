"""A trained model knows its own kind of image and warns of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.training.likeness import fit_likeness
from napari_vae_restore.training.sources import listed
from napari_vae_restore.training.windows import spread_out

NOISE = vr.GaussianNoise(10.0)
Image = NDArray[np.float32]


def noisy(clean: NDArray[np.uint8], seed: int = 0) -> Image:
    values = clean.astype(np.float32)
    return NOISE.sample(values, np.random.default_rng(seed)).astype(np.float32)


def scored(image: Image, model: vr.Model) -> vr.Diagnostics:
    return vr.denoise(image, model, noise=NOISE, device="cpu").diagnostics


@pytest.fixture(scope="module")
def tissue() -> NDArray[np.uint8]:
    return data.immunohistochemistry()[..., 0]


@pytest.fixture(scope="module")
def adapted(tissue: NDArray[np.uint8]) -> vr.Model:
    settings = vr.TrainingSettings(batch=2)
    training = vr.Training(
        noisy(tissue[:256, :320]),
        start="default",
        steps=2,
        noise=NOISE,
        settings=settings,
        device="cpu",
    )
    for _ in training.run():
        pass
    likeness = fit_likeness(training.snapshot(), training.supervision, "cpu")
    return replace(training.snapshot(), ood_score=likeness)


def test_its_own_kind_is_familiar_and_text_is_not(
    adapted: vr.Model, tissue: NDArray[np.uint8]
) -> None:
    own = scored(noisy(tissue[256:448, 128:384], seed=1), adapted)
    text = scored(noisy(data.page()[:160, :256], seed=1), adapted)
    assert own.ood_score is not None
    assert own.ood_score < 1
    assert text.ood_score is not None
    assert text.ood_score > 1
    (told,) = [warning for warning in text.warnings if "unlike" in warning]
    assert "Adapt" in told
    assert not [warning for warning in own.warnings if "unlike" in warning]


def test_what_is_not_denoising_has_no_score(adapted: vr.Model) -> None:
    image = data.camera()[:64, :64].astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[20:24] = True
    for tasks in ([vr.Inpaint(mask)], [vr.Denoise(NOISE), vr.SuperResolve(2)]):
        found = vr.restore(image, tasks, adapted, device="cpu").diagnostics
        assert found.ood_score is None


def test_a_model_without_likeness_has_no_score(adapted: vr.Model) -> None:
    image = noisy(data.camera()[:64, :64])
    assert scored(image, replace(adapted, ood_score=None)).ood_score is None


def test_tiles_are_described_as_the_whole(adapted: vr.Model, tissue: NDArray[np.uint8]) -> None:
    image = noisy(tissue[:256, :256], seed=2)
    whole = scored(image, adapted).ood_score
    tiled = vr.denoise(image, adapted, noise=NOISE, tile=128, device="cpu").diagnostics
    assert tiled.n_tiles == 4
    assert tiled.ood_score == pytest.approx(whole, abs=0.02)


def test_a_model_trained_from_nothing_knows_its_kind(
    model: vr.Model, noisy: Image, tissue: NDArray[np.uint8]
) -> None:
    assert model.ood_score is None  # of a picture that is too small for it
    training = vr.Training(
        NOISE.sample(tissue[:256, :256].astype(float), np.random.default_rng(3)),
        steps=4,
        config=vr.HVAEConfig(levels=3, width=8, latent=4),
        noise=NOISE,
        device="cpu",
    )
    for _ in training.run():
        pass
    assert training.model.ood_score is not None


def test_windows_are_spread_over_images_and_none_comes_twice() -> None:
    rng = np.random.default_rng(0)
    images = [rng.random((1100, 700)).astype(np.float32) for _ in range(3)]
    items = [(item,) for item in listed(images)]
    found = [window.data for (window,) in spread_out(items, "YX", 6)]
    assert [each.shape for each in found] == [(512, 512)] * 6
    assert len({float(each.sum()) for each in found}) == 6
    (small,) = spread_out([(item,) for item in listed(images[0][:40])], "YX", 6)
    assert small[0].data.shape == (40, 512)
