"""Memory that runs out costs time, not the run; a plan travels with its model."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.images.tiling import SMALLEST, TILE, tiles
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.restoration.blocks import parts, solver
from napari_vae_restore.restoration.blocks.plan import fitting_tile
from napari_vae_restore.restoration.inference.conditional import Inference

SIGMA = 10.0


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    """A noisy picture, (150, 210)."""
    clean = data.camera()[100:250, 150:360].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return (clean + noise).astype(np.float32)


def limit(monkeypatch: pytest.MonkeyPatch, error: type[Exception], pixels: int) -> list[int]:
    """Let inference fail on more pixels; returns the sizes that it was asked for."""
    original, asked = Inference.__init__, []

    def checked(self: Inference, network: Any, condition: torch.Tensor) -> None:
        asked.append(condition.shape[2] * condition.shape[3])
        if asked[-1] > pixels:
            raise error("not enough memory: you tried to allocate")
        original(self, network, condition)

    monkeypatch.setattr(Inference, "__init__", checked)
    return asked


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_out_of_memory_means_smaller_tiles(
    image: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(solver, "measured_halo", lambda model: 48)
    asked: dict[str, Any] = {"noise": "gaussian:10", "n_samples": 2}
    whole = vr.denoise(image, **asked)
    sizes = limit(monkeypatch, error, 200 * 180)
    steps = vr.iter_restore(image, vr.Denoise("gaussian:10"), n_samples=2)
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            result = stop.value
            break
    assert (seen[-1].done, seen[-1].total) == (6, 6)
    assert sum(size > 200 * 180 for size in sizes) == 1
    assert result.diagnostics.notes == (
        "out of memory on cpu: went on with tiles of 150 x 112",
    )
    # The halo here is less than half of the measured one.
    assert np.sqrt(np.square(result.mean - whole.mean).mean()) < 0.02 * SIGMA
    assert np.isfinite(result.std).all()


def test_a_full_graphics_card_leaves_the_processor(
    image: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device without memory at all stands in for one."""
    whole = vr.denoise(image, noise="gaussian:10")
    original, asked = Inference.__init__, []

    def allocated(self: Inference, network: Any, condition: torch.Tensor) -> None:
        device = next(network.parameters()).device
        asked.append((device.type, condition.shape[2] * condition.shape[3]))
        if device.type == "meta":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        original(self, network, condition)

    monkeypatch.setattr(Inference, "__init__", allocated)
    monkeypatch.setattr(solver, "measured_halo", lambda model: 16)
    monkeypatch.setattr(solver, "choose_device", lambda name: torch.device("meta"))
    result = vr.denoise(image, noise="gaussian:10")
    on_card = [size for device, size in asked if device == "meta"]
    assert len(on_card) > 2
    assert on_card == sorted(on_card, reverse=True)
    assert [device for device, _ in asked][len(on_card) :] == ["cpu"] * len(
        asked[len(on_card) :]
    )
    assert "went on with tiles of" in result.diagnostics.notes[0]
    assert result.diagnostics.notes[-1] == "out of memory on meta: went on on the processor"
    assert result.diagnostics.device == "cpu"
    assert np.sqrt(np.square(result.mean - whole.mean).mean()) < 0.1 * SIGMA


def test_a_plane_of_a_stack_learns_from_the_one_before(
    image: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver, "measured_halo", lambda model: 48)
    sizes = limit(monkeypatch, MemoryError, 200 * 180)
    vr.denoise(np.stack([image, image]), noise="gaussian:10")
    # The whole plane once, then two halves of each plane, twice each for the decision.
    assert len(sizes) == 1 + 2 * 2 * 2


def test_halves_cover_what_the_tile_covered() -> None:
    plane = np.arange(300 * 170).reshape(300, 170)
    for tile in tiles(300, 170, size=160, halo=32, stride=16, margin=16):
        halves = tile.halves(32, 16)
        if halves is None:
            longer = max(part.stop - part.start for part in tile.core)
            assert longer < 2 * SMALLEST + 16
            continue
        rebuilt = np.full_like(plane, -1)
        for half in halves:
            read = half.read(plane)
            assert read.shape[0] % 16 == read.shape[1] % 16 == 0
            assert all(start % 16 == 0 for start in half.origin)
            rebuilt[half.core] = read[half.inner]
        np.testing.assert_array_equal(rebuilt[tile.core], plane[tile.core])
        assert (rebuilt >= 0).sum() == plane[tile.core].size
    (small,) = tiles(100, 100, size=160, halo=32, stride=16, margin=16)
    assert small.halves(32, 16) is None


def test_tiles_follow_the_free_memory() -> None:
    assert fitting_tile(32 * 2**30, 8) == TILE
    assert fitting_tile(4 * 2**30, 0) == TILE
    assert fitting_tile(4 * 2**30, 8) == TILE // 2
    assert fitting_tile(0, 0) == TILE // 8
    assert parts.measured_halo is solver.measured_halo


def test_models_travel_as_weights_and_stay_one(model: vr.Model) -> None:
    sent = pickle.dumps(model)
    assert b"napari_vae_restore.models.hvae" not in sent  # weights and no code
    assert pickle.loads(sent) is model
    digest, name, header, weights = model.__reduce__()[1]
    from napari_vae_restore.models import files

    files._unpacked.pop((digest, name))
    arrived = pickle.loads(sent)
    assert arrived is not model
    assert (arrived.sha256, arrived.name) == (model.sha256, model.name)
    assert pickle.loads(sent) is arrived
    assert len(header) < len(weights)


def test_the_bundled_model_travels_by_its_hash() -> None:
    bundled = find_model("default")
    sent = pickle.dumps(bundled)
    assert len(sent) < 1000
    assert pickle.loads(sent) is bundled
    with pytest.raises(vr.ModelFileError, match="another version"):
        pickle.loads(sent.replace(bundled.sha256.encode(), b"0" * 64))
