from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_vae_restore import GaussianNoise, InputError, PoissonGaussianNoise
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.training.data import TrainingSet, prepare
from napari_vae_restore.training.sources import load_images


def prepared(images: Any, **options: Any) -> TrainingSet:
    loaded = load_images(images, options.pop("axes", None))
    values = {
        "noise": "gaussian:5",
        "channels": 1,
        "patch": 32,
        "held_out_side": 16,
        "seed": 0,
    }
    return prepare(loaded, **(values | options))


def picture(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def test_network_units_have_unit_variance_and_known_noise() -> None:
    data = prepared(picture(128, 160))
    assert data.planes[0].shape == (1, 128, 160)
    assert float(data.planes[0].mean()) == pytest.approx(0, abs=0.01)
    assert float(data.planes[0].std()) == pytest.approx(1, rel=0.02)
    assert data.normalisation.noise_std == pytest.approx(5 / 20, rel=0.05)
    assert data.noise == GaussianNoise(5)


def test_channels_have_noise_of_their_own() -> None:
    clean = np.linspace(10, 200, 128)[None, None] * np.ones((2, 128, 1))
    rng = np.random.default_rng(0)
    image = np.stack(
        [
            PoissonGaussianNoise(a, 1.0).sample(c, rng)
            for a, c in zip((0.5, 4.0), clean, strict=True)
        ]
    )
    data = prepared(image, axes="CYX", noise="auto")
    assert len(data.planes) == 2
    assert data.noise is None
    steps = [float(torch.diff(plane, dim=1).std()) / 2**0.5 for plane in data.planes]
    assert steps == pytest.approx([data.normalisation.noise_std] * 2, rel=0.1)


def test_held_out_patches_are_never_drawn() -> None:
    data = prepared(np.arange(200 * 120, dtype=np.float64).reshape(200, 120), patch=32)
    forbidden = set(data.held_out.flatten().tolist())
    drawn = data.sample(400, torch.Generator().manual_seed(0))
    assert forbidden.isdisjoint(drawn.flatten().tolist())
    assert len(forbidden) >= 16 * 16
    assert data.is_held_out


def test_every_other_pixel_is_drawn_in_eight_orientations() -> None:
    data = prepared(picture(48, 40), patch=32)
    generator = torch.Generator().manual_seed(0)
    seen: set[float] = set()
    for _ in range(40):
        seen |= set(data.sample(8, generator)[:, 0, 0, 0].tolist())
    assert len(seen) > 50


def test_a_small_plane_is_mirrored_to_a_patch(caplog: pytest.LogCaptureFixture) -> None:
    data = prepared(picture(20, 70))
    assert data.planes[0].shape == (1, 32, 70)


def test_too_little_data_to_hold_out_is_said(caplog: pytest.LogCaptureFixture) -> None:
    data = prepared(picture(33, 33))
    assert "too little data to hold any out" in caplog.text
    assert not data.is_held_out
    assert data.sample(2, torch.Generator()).shape == (2, 1, 32, 32)


def test_whole_planes_of_a_stack_can_be_held_out() -> None:
    data = prepared(picture(50, 32, 32), axes="TYX")
    assert sum(int(allowed.sum()) == 0 for allowed in data.positions) >= 1
    assert data.sample(16, torch.Generator().manual_seed(0)).shape == (16, 1, 32, 32)


def test_hot_pixels_do_not_set_the_normalisation() -> None:
    image = picture(128, 128)
    image[::40, ::40] = 60_000
    data = prepared(image)
    assert data.normalisation.noise_std == pytest.approx(5 / 20, rel=0.1)
    assert all(plane.isfinite().all() for plane in data.planes)


def test_lists_folders_and_files_are_taken(tmp_path: Path) -> None:
    images = [picture(64, 64), picture(40, 80, seed=1)]
    for index, image in enumerate(images):
        write_image(tmp_path / f"{index}.tif", image, "YX")
    from_list, from_folder = prepared(images), prepared(tmp_path)
    assert len(from_list.planes) == len(from_folder.planes) == 2
    torch.testing.assert_close(from_list.planes[1], from_folder.planes[1])
    assert len(prepared(tmp_path / "0.tif").planes) == 1


def test_joint_channels_must_match_the_network() -> None:
    assert prepared(picture(3, 64, 64), axes="CYX", channels=3).planes[0].shape == (3, 64, 64)
    with pytest.raises(InputError, match="takes 3 channels jointly, and the image has 2"):
        prepared(picture(2, 64, 64), axes="CYX", channels=3)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(InputError, match="at least one image"):
        prepared([])


def test_noise_with_a_direction_is_not_turned_onto_its_side() -> None:
    rows = np.repeat(picture(160, 1), 160, axis=1)  # alike along X
    generator = torch.Generator().manual_seed(0)
    data = prepared(rows + picture(160, 160, seed=1) / 1e3, noise="gaussian:5@row:0.8")
    drawn = torch.cat([data.sample(4, generator) for _ in range(16)])
    assert float(torch.diff(drawn, dim=3).abs().mean()) < 0.01
    data = prepared(rows + picture(160, 160, seed=1) / 1e3, noise="gaussian:5")
    drawn = torch.cat([data.sample(4, generator) for _ in range(16)])
    assert float(torch.diff(drawn, dim=3).abs().mean()) > 0.1
