"""Warnings: none for what is in order, and the right one for each thing that is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.restoration.trust.warnings import blockiness, image_warnings
from napari_vae_restore.samples import sample_path

NOISE = vr.GaussianNoise(12.0)
Image = NDArray[np.float32]


def scene() -> Image:
    return data.immunohistochemistry()[100:356, 100:356, 1].astype(np.float32)


def noisy(clean: Image, seed: int = 0) -> Image:
    return NOISE.sample(clean, np.random.default_rng(seed)).astype(np.float32)


def seen(
    image: NDArray[np.generic],
    axes: str = "YX",
    mean: Image | None = None,
    noise: vr.NoiseModel = NOISE,
) -> str:
    layout = Layout.of(image, axes)
    planes = layout.to_planes(image)
    restored = None if mean is None else layout.to_planes(mean)
    models = [noise] * planes.shape[1]
    return " ".join(image_warnings(planes, restored, layout, models, is_denoised=True))


def as_jpeg(image: Image, quality: int) -> Image:
    file = io.BytesIO()
    Pillow.fromarray(image.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Pillow.open(file), dtype=np.float32)


@pytest.mark.parametrize("name", ["cells", "nuclei"])
def test_real_captures_are_in_order(name: str) -> None:
    found = read_image(sample_path(name))
    plane = found.data[..., :256, :256]
    assert vr.denoise(plane, axes=found.axes, device="cpu").diagnostics.warnings == ()


def test_pictures_are_in_order() -> None:
    assert seen(noisy(scene()), mean=scene()) == ""
    for picture in (data.camera(), data.coins(), data.moon(), data.text(), data.page()):
        assert blockiness(picture) < 1.3


@pytest.mark.parametrize("offset", [(0, 0), (3, 5)])
def test_jpeg_is_recognised_wherever_its_blocks_begin(offset: tuple[int, int]) -> None:
    top, left = offset
    assert "JPEG" in seen(as_jpeg(noisy(scene()), 20)[top:, left:])
    assert "JPEG" not in seen(noisy(scene())[top:, left:])


def test_saturation_is_recognised() -> None:
    image = noisy(scene())
    for dtype in (np.float32, np.uint8, np.uint16):
        clipped = image.clip(0, np.percentile(image, 97)).astype(dtype)
        assert "saturated" in seen(clipped)
        assert "saturated" not in seen(image.clip(0, None).astype(dtype))


def test_an_image_without_dynamics_is_not_called_saturated() -> None:
    few_levels = (noisy(scene()) // 25).astype(np.uint8)
    assert "saturated" not in seen(few_levels, noise=vr.GaussianNoise(0.5))


def test_channels_called_a_stack_are_recognised() -> None:
    stained = data.immunohistochemistry()[:256, :256]
    rng = np.random.default_rng(0)
    other = gaussian_filter(rng.normal(100, 400, (256, 256)), 12)
    unlike = np.stack([noisy(stained[..., 0].astype(np.float32)), noisy(other)])
    assert "axes='CYX'" in seen(unlike, "ZYX")
    assert seen(unlike, "CYX") == ""
    slices = [gaussian_filter(stained[..., 0].astype(np.float32), s) for s in (0, 1, 2)]
    assert seen(np.stack([noisy(one, n) for n, one in enumerate(slices)]), "ZYX") == ""


def test_resampled_noise_is_recognised() -> None:
    blurred = vr.GaussianNoise(12.0, (0.5, 0.5))
    assert "interpolated" in seen(noisy(scene()), noise=blurred)
    rows = vr.GaussianNoise(12.0, (0.0, 0.5))
    assert "interpolated" not in seen(noisy(scene()), noise=rows)


def test_noise_outside_of_what_was_learned_is_recognised() -> None:
    assert "hardly any noise" in seen(scene(), noise=vr.GaussianNoise(0.01))
    assert "stronger" in seen(noisy(scene()), noise=vr.GaussianNoise(90.0))


def test_noise_alone_is_recognised() -> None:
    flat = np.full((256, 256), 100, np.float32)
    assert "anything but noise" in seen(noisy(flat), mean=flat)


def test_a_restoration_tells() -> None:
    out = vr.denoise(as_jpeg(noisy(scene()), 15)[:128, :128], noise=NOISE, device="cpu")
    assert any("JPEG" in warning for warning in out.diagnostics.warnings)


def test_what_a_mask_covers_is_not_warned_of() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(40, 200, (64, 64)).astype(np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[20:28, 10:50] = True
    image[mask] = 255
    warned = vr.denoise(image, noise="gaussian:3").diagnostics.warnings
    assert any("saturated" in text for text in warned)
    assert not any("saturated" in text for text in vr.inpaint(image, mask).diagnostics.warnings)
