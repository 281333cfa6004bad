"""Every task and mixture by one model: what holds for any weights, and what for the bundled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import inpaint_biharmonic
from skimage.transform import rescale

import napari_vae_restore as vr
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.model import build_network, channels_last
from napari_vae_restore.operators import Composition, Downsampling, Masking
from napari_vae_restore.restoration.inference import conditional
from napari_vae_restore.restoration.tasks import Task

Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def untrained() -> vr.Model:
    """A tiny model of all tasks: what must hold whatever the weights are."""
    config = RestorationConfig(widths=(8, 12), depths=(1, 1), width=8, latent=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return vr.Model(channels_last(build_network(config).eval()), None, None)


@pytest.fixture(scope="module")
def camera() -> Picture:
    """A test picture that no weights were trained on, (128, 160), range 255."""
    return data.camera()[120:248, 160:320].astype(np.float32)


@pytest.fixture(scope="module")
def hole(camera: Picture) -> Mask:
    rows, columns = np.ogrid[: camera.shape[0], : camera.shape[1]]
    discs = [(40, 40, 12), (90, 110, 15), (20, 130, 7)]
    return np.any([(rows - y) ** 2 + (columns - x) ** 2 < r * r for y, x, r in discs], axis=0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_pixels_outside_a_hole_stay_bit_identical(
    untrained: vr.Model, camera: Picture, hole: Mask, dtype: str
) -> None:
    image = (camera * 7.13).astype(dtype)
    result = vr.inpaint(image, hole, untrained, n_samples=2, keep_samples=True)
    assert result.mean.dtype == dtype
    np.testing.assert_array_equal(result.mean[~hole], image[~hole])
    assert result.samples is not None
    assert all((each[~hole] == image[~hole]).all() for each in result.samples)
    assert result.std is not None
    assert (result.std[~hole] == 0).all()
    assert result.diagnostics.residual_std is None


@pytest.mark.parametrize(
    "tasks",
    [
        lambda m: vr.Inpaint(m),
        lambda m: [vr.Denoise(), vr.Inpaint(m)],
        lambda m: [vr.SuperResolve(2), vr.Inpaint(m)],
        lambda m: [vr.Inpaint(m), vr.Deblur(np.ones((3, 3)))],
    ],
    ids=["holes", "noise", "resolution", "blur"],
)
def test_nothing_under_the_mask_changes_anything(
    untrained: vr.Model,
    camera: Picture,
    hole: Mask,
    tasks: Callable[[Mask], Task],
) -> None:
    noisy = camera + 10 * np.random.default_rng(0).standard_normal(camera.shape)
    other = np.where(hole, np.float32(1e4), noisy)
    first, second = (
        vr.restore(image, tasks(hole), untrained, n_samples=2, keep_samples=True)
        for image in (noisy, other)
    )
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.samples, second.samples)


def test_a_mask_that_covers_nothing_returns_the_image(
    untrained: vr.Model, camera: Picture
) -> None:
    empty = np.zeros(camera.shape, bool)
    np.testing.assert_array_equal(vr.inpaint(camera, empty, untrained).mean, camera)


@pytest.mark.parametrize("noise", [None, "gaussian:5", "auto"])
def test_nan_under_the_mask_does_no_harm(
    untrained: vr.Model, camera: Picture, hole: Mask, noise: str | None
) -> None:
    tasks: list[Task] = [vr.Inpaint(hole)]
    if noise is not None:
        tasks.append(vr.Denoise(noise))
    spoilt = np.where(hole, np.float32(np.nan), camera)
    expected = vr.restore(camera, tasks, untrained, n_samples=2)
    found = vr.restore(spoilt, tasks, untrained, n_samples=2)
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.std, expected.std)
    spoilt[~hole] = np.inf
    with pytest.raises(vr.InputError, match="outside the mask, but 0 NaN and"):
        vr.restore(spoilt, tasks, untrained)


@pytest.mark.parametrize("kernel", ["bicubic", "box", "gaussian"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_super_resolution_agrees_with_the_measurement(
    untrained: vr.Model, camera: Picture, factor: int, kernel: str
) -> None:
    image = camera[:37, :51].astype(np.float64)
    result = vr.super_resolve(
        image, factor, untrained, kernel=kernel, n_samples=2, keep_samples=True
    )
    assert result.mean.shape == (37 * factor, 51 * factor)
    reduce = Downsampling(factor, kernel)
    assert result.samples is not None
    for found in (result.mean, *result.samples):
        assert np.abs(reduce.apply(found) - image).max() < 1e-4 * np.ptp(image) / 255


def test_holes_in_a_low_resolution_picture_agree_too(
    untrained: vr.Model, camera: Picture, hole: Mask
) -> None:
    image = camera.astype(np.float64)
    result = vr.restore(image, [vr.SuperResolve(2), vr.Inpaint(hole)], untrained)
    operator = Composition(Downsampling(2), Masking(~hole))
    expected = np.where(hole, 0, image)
    assert np.abs(operator.apply(result.mean) - expected).max() < 1e-3


def whole_and_tiled(
    camera: Picture, hole: Mask, factor: int
) -> tuple[vr.Restoration, vr.Restoration]:
    tasks: list[Task] = [vr.Inpaint(hole)]
    tasks.append(vr.Denoise("gaussian:20") if factor == 1 else vr.SuperResolve(factor))
    whole, tiled = (
        vr.restore(camera, tasks, n_samples=1, keep_samples=True, tile=tile)
        for tile in (1024, 96)
    )
    assert whole.diagnostics.n_tiles == 1
    assert tiled.diagnostics.n_tiles > 1
    return whole, tiled


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_tiled_equals_whole(
    camera: Picture, hole: Mask, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In single precision; half precision rounds by the size of what is convolved.
    monkeypatch.setattr(conditional, "native_precision", lambda device: nullcontext())
    whole, tiled = whole_and_tiled(camera, hole, factor)
    assert np.abs(whole.mean - tiled.mean).max() < 0.2
    assert whole.samples is not None
    assert tiled.samples is not None
    # Each of the ladder's grids adds to how far a latent is felt.
    assert np.sqrt(np.square(whole.samples - tiled.samples).mean()) < 0.6


def test_half_precision_rounds_by_less_than_a_hundredth_of_the_noise(
    camera: Picture, hole: Mask
) -> None:
    whole, tiled = whole_and_tiled(camera, hole, factor=1)
    assert np.sqrt(np.square(whole.mean - tiled.mean).mean()) < 0.01 * 20


@pytest.mark.parametrize("shape", [(17, 300), (64, 33), (41, 41)])
def test_any_size(untrained: vr.Model, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(shape, np.float32)
    mask = image > 0.8
    tasks = [vr.Denoise("gaussian:0.1"), vr.Inpaint(mask), vr.SuperResolve(3)]
    result = vr.restore(image, tasks, untrained)
    assert result.mean.shape == (3 * shape[0], 3 * shape[1])
    assert np.isfinite(result.mean).all()


def test_colour_and_alpha_are_kept(untrained: vr.Model) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 24, 4), np.uint8)
    result = vr.super_resolve(image, 2, untrained)
    assert result.mean.shape == (40, 48, 4)
    np.testing.assert_array_equal(result.mean[::2, ::2, 3], image[..., 3])


def test_pure_noise_is_survived(untrained: vr.Model) -> None:
    noise = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    assert np.isfinite(vr.denoise(noise, untrained, noise="gaussian:1").mean).all()


def test_models_of_noise_alone_say_so(model: vr.Model, camera: Picture, hole: Mask) -> None:
    with pytest.raises(vr.InputError, match="only removes noise: use model='default'"):
        vr.inpaint(camera, hole, model)
    with pytest.raises(vr.InputError, match="only removes noise"):
        vr.super_resolve(camera, 2, model)


class TestBundled:
    """The weights that come with the package, on a picture that they never saw."""

    def psnr(self, clean: Picture, found: Picture) -> float:
        return float(peak_signal_noise_ratio(clean, found, data_range=255))

    def test_denoises_better_than_total_variation(self, camera: Picture) -> None:
        from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

        noisy = camera + 25 * np.random.default_rng(0).standard_normal(camera.shape)
        noisy = noisy.astype(np.float32)
        peers = [
            denoise_tv_chambolle(noisy, weight=weight) for weight in (20.0, 35.0, 50.0)
        ] + [denoise_nl_means(noisy, h=20.0, sigma=25.0, patch_size=5)]
        best = max(self.psnr(camera, peer) for peer in peers)
        told, measured = (
            vr.denoise(noisy, noise=noise).mean for noise in ("gaussian:25", "auto")
        )
        assert self.psnr(camera, told) > best + 0.5
        assert self.psnr(camera, measured) > best + 0.5

    def test_correlated_noise_is_found_and_removed(self, camera: Picture) -> None:
        noise = vr.GaussianNoise(25, correlation=(0.6, 0.6))
        noisy = noise.sample(camera, np.random.default_rng(0)).astype(np.float32)
        result = vr.denoise(noisy)
        assert self.psnr(camera, result.mean) > self.psnr(camera, noisy) + 4
        (found,) = result.diagnostics.noise
        assert min(found.correlation) > 0.4

    def test_enlarges_better_than_bicubic(self, camera: Picture) -> None:
        small = Downsampling(2).apply(camera)
        bicubic = rescale(small, 2, order=3, mode="reflect")
        found = vr.super_resolve(small, 2).mean
        assert self.psnr(camera, found) > self.psnr(camera, bicubic) + 1

    def test_fills_dots_better_than_biharmonic(self, camera: Picture) -> None:
        mask = np.random.default_rng(0).random(camera.shape) < 0.5
        biharmonic = inpaint_biharmonic(camera, mask)
        found = vr.inpaint(camera, mask).mean
        assert self.psnr(camera[mask], found[mask]) > self.psnr(camera[mask], biharmonic[mask])

    def test_a_mixture_is_solved_at_once(self, camera: Picture) -> None:
        rng = np.random.default_rng(0)
        mask = rng.random(camera.shape) < 0.3
        noisy = (camera + 15 * rng.standard_normal(camera.shape)).astype(np.float32)
        pipeline = vr.denoise(
            inpaint_biharmonic(noisy, mask).astype(np.float32), noise="gaussian:15"
        ).mean
        for noise in ("gaussian:15", "auto"):
            mixed = vr.restore(noisy, [vr.Denoise(noise), vr.Inpaint(mask)]).mean
            assert self.psnr(camera, mixed) > self.psnr(camera, pipeline)

    def test_alternatives_differ_more_the_further_from_what_was_seen(
        self, camera: Picture, hole: Mask
    ) -> None:
        result = vr.inpaint(camera, hole, n_samples=16)
        distance = distance_transform_edt(hole)
        assert result.std is not None
        near, far = (
            result.std[part].mean() for part in ((distance > 0) & (distance < 3), distance > 4)
        )
        assert 0 < near < far
