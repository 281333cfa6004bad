"""How pictures are degraded and where they are scored: the same for every method.

Intensities are 0-255 and nothing is clipped or rounded. Whatever is drawn (noise, masks)
depends on the picture's name and the condition alone. No method is known here, ours
neither: what it returns is arrays.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.stats import t as student
from skimage.metrics import peak_signal_noise_ratio

from napari_vae_restore import NoiseModel
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.operators.resampling import reduction, separable

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]
Columns = dict[str, float]
Drawing = Callable[[tuple[int, int], np.random.Generator], Mask]

CORRELATION_PX = 0.7
# Y of ITU-R 601 from R, G, B of 0-255, as MATLAB's rgb2ycbcr: 16-235.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_LUMA_OFFSET = 16
_WIDTHS = (2, 5)  # of lines, px
_RADII = (6, 15)  # of discs, px
_DEPTHS = {"1–2": (0, 2), "3–5": (2, 5), ">5": (5, np.inf)}  # px from the hole's border
_BRIGHTNESSES = 256  # levels at which a capture and its reference are compared
_INTERVAL = 1.645  # standard deviations either side: 90 % of a Gaussian


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One picture under one condition.

    Attributes
    ----------
    condition, picture : str
        The table's row, and the picture's name.
    given : ndarray
        (h, w), what methods get; 0 where pixels are missing.
    clean : ndarray
        (H, W), what they are compared with.
    scored : ndarray of bool
        (H, W), the pixels that count.
    sigma : float or None
        The noise's standard deviation where methods are told it. None with nothing
        missing: there is noise and methods estimate it; else: there is no noise.
    missing : ndarray of bool or None
        (h, w), True = missing.
    factor : int
        How many pixels of `clean` became one of `given` along an axis.
    noise : NoiseModel or None
        Our estimate of the noise of a capture, for peers that need a noise model.
    """

    condition: str
    picture: str
    given: Image
    clean: Image
    scored: Mask
    sigma: float | None = None
    missing: Mask | None = None
    factor: int = 1
    noise: NoiseModel | None = None

    @cached_property
    def digest(self) -> str:
        """Changes with anything that a method sees; the noise model to three digits."""
        seen = [self.given.tobytes(), repr((self.sigma, self.factor)).encode()]
        if self.missing is not None:
            seen.append(self.missing.tobytes())
        if self.noise is not None:
            dark, bright = self.noise.variance((0.0, 100.0))
            seen.append(f"{dark:.3g} {bright:.3g}".encode())
        return f"{zlib.crc32(b'|'.join(seen)):08x}"


def generator(condition: str, picture: str) -> np.random.Generator:
    """The random numbers of one picture under one condition."""
    return np.random.default_rng(zlib.crc32(f"{condition}/{picture}".encode()))


def pictures(folder: Path, limit: int | None) -> Iterator[tuple[str, Image]]:
    """Names and pictures (H, W); colour as Y."""
    for path in sorted(folder.glob("*.png"))[:limit]:
        values = iio.imread(path).astype(np.float64)
        if values.ndim == 3:
            values = values[..., :3] @ _LUMA + _LUMA_OFFSET
        yield path.stem, values


def set12(data: Path, limit: int | None) -> Iterator[tuple[str, Image]]:
    """The twelve grey pictures of Set12."""
    return pictures(data / "natural-bench" / "Set12", limit)


def fmd_references(data: Path, limit: int | None) -> Iterator[tuple[str, Image]]:
    """The seven means of 50 captures of the FMD benchmark."""
    return pictures(data / "fmd-bench" / "gt", limit)


# Noise


def white(data: Path, limit: int | None, sigmas: Iterable[int]) -> Iterator[Trial]:
    """Set12 with white Gaussian noise of a sigma that methods are told."""
    for sigma in sigmas:
        for name, clean in set12(data, limit):
            noise = generator(f"white {sigma}", name).standard_normal(clean.shape)
            yield Trial(
                condition=f"σ {sigma}",
                picture=name,
                given=clean + sigma * noise,
                clean=clean,
                scored=np.ones(clean.shape, bool),
                sigma=float(sigma),
            )


def correlated(data: Path, limit: int | None, sigma: int) -> Iterator[Trial]:
    """Set12 with white noise that went through a Gaussian; methods are told nothing."""
    for name, clean in set12(data, limit):
        drawn = generator(f"correlated {sigma}", name).standard_normal(clean.shape)
        spectrum = np.sqrt(correlated_psd(clean.shape, sigma) / clean.size)
        noise = np.fft.ifft2(np.fft.fft2(drawn) * spectrum).real
        yield Trial(
            condition=f"σ {sigma}, correlated",
            picture=name,
            given=clean + noise,
            clean=clean,
            scored=np.ones(clean.shape, bool),
        )


def correlated_psd(shape: tuple[int, ...], sigma: float) -> Image:
    """Expected |FFT|² of the correlated noise; its mean is sigma² times the pixels."""
    impulse = np.zeros(shape)
    impulse[0, 0] = 1
    transfer = np.abs(np.fft.fft2(gaussian_filter(impulse, CORRELATION_PX, mode="wrap"))) ** 2
    psd: Image = transfer * (sigma**2 * impulse.size / transfer.mean())
    return psd


def captures(data: Path, limit: int | None) -> Iterator[Trial]:
    """FMD's single captures, the first of each scene first, against the mean of 50."""
    folder = data / "fmd-bench"
    with (folder / "pairs.csv").open() as file:
        pairs = [row for row in csv.DictReader(file) if row["level"] == "raw"]
    pairs.sort(key=lambda row: Path(row["noisy"]).stem.rpartition("_")[::-1])
    for row in pairs[:limit]:
        given, clean = (iio.imread(folder / row[key]).astype(float) for key in ("noisy", "gt"))
        yield Trial(
            condition="FMD raw",
            picture=Path(row["noisy"]).stem,
            given=given,
            clean=clean,
            scored=np.ones(clean.shape, bool),
            noise=estimate_noise(given),
        )


def at_own_brightness(trials: Iterable[Trial]) -> Iterator[Trial]:
    """The same captures against references without what had bleached or drifted by then."""
    for trial in trials:
        clean = on_scale_of(trial.given, trial.clean)
        yield replace(trial, condition=f"{trial.condition}, own brightness", clean=clean)


def on_scale_of(capture: Image, reference: Image) -> Image:
    """The reference at the brightness of a capture: its mean at each of the levels."""
    order = np.array_split(np.argsort(reference.ravel(), kind="stable"), _BRIGHTNESSES)
    levels = np.array([reference.ravel()[members].mean() for members in order])
    means = np.array([capture.ravel()[members].mean() for members in order])
    levels, first = np.unique(levels, return_index=True)
    return np.interp(reference, levels, means[first])


# Holes


def lines(count: int) -> Drawing:
    """Segments between points anywhere in the picture."""

    def draw(shape: tuple[int, int], rng: np.random.Generator) -> Mask:
        at = np.stack(np.indices(shape), axis=-1).astype(float)  # (H, W, 2)
        missing = np.zeros(shape, bool)
        for _ in range(count):
            start, end = rng.random((2, 2)) * shape
            width, along = rng.uniform(*_WIDTHS), end - start
            place = np.clip((at - start) @ along / (along @ along), 0, 1)
            distance = np.linalg.norm(at - start - place[..., None] * along, axis=-1)
            missing |= distance <= width / 2
        return missing

    return draw


def discs(count: int) -> Drawing:
    """Discs that lie within the picture; they may overlap."""

    def draw(shape: tuple[int, int], rng: np.random.Generator) -> Mask:
        y, x = np.indices(shape)
        missing = np.zeros(shape, bool)
        for _ in range(count):
            radius = rng.uniform(*_RADII)
            cy, cx = (rng.uniform(radius, n - 1 - radius) for n in shape)
            missing |= np.hypot(y - cy, x - cx) <= radius
        return missing

    return draw


def scattered(share: float) -> Drawing:
    """Single pixels, each missing with the same probability."""
    return lambda shape, rng: rng.random(shape) < share


HOLES = {
    "lines": lines(12),
    "discs": discs(8),
    "50 % of pixels": scattered(0.5),
    "80 % of pixels": scattered(0.8),
}


def with_holes(
    source: Iterable[tuple[str, Image]], condition: str, drawing: Drawing
) -> Iterator[Trial]:
    """Noise-free pictures with missing pixels, scored inside the holes."""
    for name, clean in source:
        missing = drawing(clean.shape, generator(condition, name))
        yield Trial(
            condition=condition,
            picture=name,
            given=np.where(missing, 0, clean),
            clean=clean,
            scored=missing,
            missing=missing,
        )


def mixture(data: Path, limit: int | None, sigma: int, share: float) -> Iterator[Trial]:
    """Set12 with noise of known sigma and missing pixels, scored everywhere."""
    condition = f"σ {sigma}, {share:.0%} missing"
    for name, clean in set12(data, limit):
        rng = generator(condition, name)
        missing = scattered(share)(clean.shape, rng)
        noisy = clean + sigma * rng.standard_normal(clean.shape)
        yield Trial(
            condition=condition,
            picture=name,
            given=np.where(missing, 0, noisy),
            clean=clean,
            scored=np.ones(clean.shape, bool),
            sigma=float(sigma),
            missing=missing,
        )


# Resolution


def reduced(
    source: Iterable[tuple[str, Image]], condition: str, factor: int
) -> Iterator[Trial]:
    """Pictures cut to a multiple of the factor and reduced by an antialiased bicubic."""
    for name, whole in source:
        height, width = (n - n % factor for n in whole.shape)
        clean = whole[:height, :width]
        rows, columns = (reduction(n, factor, "bicubic") for n in clean.shape)
        scored = np.zeros(clean.shape, bool)
        scored[factor:-factor, factor:-factor] = True
        yield Trial(
            condition=condition,
            picture=name,
            given=np.asarray(separable(rows, columns, clean), np.float64),
            clean=clean,
            scored=scored,
            factor=factor,
        )


def one_megapixel(data: Path, sigma: int) -> Trial:
    """1024 x 1024 pixels with white noise: a 512 x 512 picture of Set12, mirrored."""
    clean = dict(set12(data, None))["09"]
    clean = np.pad(clean, [(0, 1024 - n) for n in clean.shape], mode="symmetric")
    noise = generator("megapixel", "09").standard_normal(clean.shape)
    return Trial(
        condition="1024 × 1024",
        picture="09",
        given=clean + sigma * noise,
        clean=clean,
        scored=np.ones(clean.shape, bool),
        sigma=float(sigma),
    )


# Scores


def score(trial: Trial, restored: Image) -> float:
    """PSNR in dB over the scored pixels, range 255."""
    clean, ours = trial.clean[trial.scored], restored[trial.scored].astype(np.float64)
    return float(peak_signal_noise_ratio(clean, ours, data_range=255))


def sampled(trial: Trial, samples: Image) -> Columns:
    """PSNR of the mean of (n, H, W) samples, and of the one that the clean picture likes."""
    return {
        f"mean of {len(samples)}": score(trial, samples.mean(axis=0, dtype=np.float64)),
        f"best of {len(samples)}": max(score(trial, sample) for sample in samples),
    }


def calibration(trial: Trial, samples: Image) -> Columns:
    """How the spread of (n, H, W) samples compares with the error of their mean."""
    n, values = len(samples), samples[:, trial.scored].astype(np.float64)
    std, error = values.std(axis=0, ddof=1), values.mean(axis=0) - trial.clean[trial.scored]
    # With few samples mean and std are uncertain, so calibrated ones cover less than 90 %.
    calibrated = 2 * student.cdf(_INTERVAL / np.sqrt(1 + 1 / n), n - 1) - 1
    return {
        "in 90 % interval, %": 100 * float(np.mean(np.abs(error) <= _INTERVAL * std)),
        "if calibrated, %": 100 * float(calibrated),
        "std (rms)": float(np.sqrt(np.mean(std**2))),
        "error (rms)": float(np.sqrt(np.mean(error**2))),
    }


def spread_by_depth(trial: Trial, samples: Image) -> Columns:
    """Mean standard deviation of (n, H, W) samples by distance from the hole's border."""
    depth = distance_transform_edt(trial.missing)
    std = samples.astype(np.float64).std(axis=0, ddof=1)
    return {
        f"std {name} px": float(std[(low < depth) & (depth <= high)].mean())
        for name, (low, high) in _DEPTHS.items()
    }
