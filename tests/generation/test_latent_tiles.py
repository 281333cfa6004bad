"""Large planes in tiles: the result is that of the whole, for the memory of a tile."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.errors import RestorationError
from napari_vae_restore.generation import latent_tiles
from napari_vae_restore.generation.sampling import sample_latents
from napari_vae_restore.models.bundled import find_model


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """(250, 300), no multiples of anything."""
    return data.camera()[100:350, 80:380]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 96 pixels, halo apart."""
    monkeypatch.setattr(latent_tiles, "TILE_SIDE", 96)


def test_tiles_cover_the_frame_once(small: None) -> None:
    covered = np.zeros((256, 304), int)
    found = latent_tiles.frame_tiles(find_model("default"), 256, 304)
    assert len(found) == 3 * 4
    for tile in found:
        covered[tile.core] += 1
    np.testing.assert_array_equal(covered, 1)


def test_latents_and_pictures_are_those_of_the_whole(
    picture: NDArray[np.uint8], request: pytest.FixtureRequest
) -> None:
    whole = vr.encode(picture)
    decoded = vr.decode(whole)
    request.getfixturevalue("small")
    parts = vr.encode(picture)
    for one, other in zip(whole.levels, parts.levels, strict=True):
        for name in ("mean", "std", "prior"):
            values, same = getattr(one, name), getattr(other, name)
            np.testing.assert_allclose(same, values, atol=0.01 * values.std() + 1e-3)
    assert np.abs(vr.decode(whole).astype(int) - decoded).max() <= 1


def test_enhanced_pictures_and_samples_are_those_of_the_whole(
    picture: NDArray[np.uint8], request: pytest.FixtureRequest
) -> None:
    options = {"detail": {2: 1.8, 8: 0.5}, "variation": 0.5, "seed": 3}
    model = find_model("default")
    enhanced = vr.enhance(picture, **options).enhanced.astype(int)
    drawn = vr.sample(model, size=(200, 264), seed=1)
    latents = sample_latents(model, (200, 264), seed=1)
    varied = vr.vary(latents, model, levels=2)
    request.getfixturevalue("small")
    assert np.abs(vr.enhance(picture, **options).enhanced - enhanced).max() <= 1
    np.testing.assert_allclose(vr.sample(model, size=(200, 264), seed=1), drawn, atol=4e-3)
    np.testing.assert_allclose(vr.vary(latents, model, levels=2), varied, atol=4e-3)


def test_a_model_of_ones_own_measures_its_halo(
    picture: NDArray[np.uint8], request: pytest.FixtureRequest
) -> None:
    config = vr.HVAEConfig(levels=2, width=8, latent=4)
    training = vr.Training(
        picture[:64, :64].astype(np.float32), steps=2, config=config, noise="gaussian:8"
    )
    for _ in training.run():
        pass
    model = training.model
    whole = vr.decode(vr.encode(picture, model), model)
    request.getfixturevalue("small")
    parts = vr.decode(vr.encode(picture, model), model)
    assert len(latent_tiles.frame_tiles(model, 256, 304)) == 3 * 4
    assert np.abs(parts.astype(int) - whole).max() <= 1


def test_latents_that_do_not_fit_are_refused(
    picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=2**20))
    monkeypatch.setattr(latent_tiles, "psutil", memory)
    with pytest.raises(RestorationError, match=r"latents of 2 px .* are free: take parts"):
        vr.encode(picture)
