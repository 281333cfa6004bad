"""Distribution of noise after the stabilising transform, pixel by pixel, and speckle.

Stabilising promises a standard deviation of 1 and the shape of a Gaussian, and keeps that
where there is light. In the dark, and at levels to which a camera clips, noise is weaker and
skewed. `NoiseLaw` follows from a noise model with such levels; `LocalNoise` describes one
image and draws its noise.

Speckle's logarithm has a skewness of -1.14 where it is full, and less where looks were
averaged. Ordinary noise is skewed after the transform as well, by up to -0.4 at ten photons,
and a measured skewness has an error. So it is compared with the noise model's, level by level,
and an image counts as speckle only where the difference is significantly beyond its limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve
from scipy.stats import norm
from scipy.stats import t as student_t

from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.models.devices import native_precision
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.risk import Window
from napari_vae_restore.restoration.inference.units import Units

Plane = NDArray[np.float32]
FloatArray = NDArray[np.float64]
PlaneConstants = tuple[float, float, float, float]
"""The noise's sigma, its correlation along y and x, and log2 of the factor."""
Clipped = tuple[float, float]
"""Levels to which intensities were clipped, -inf and inf where they were not."""

GAUSSIAN: Final = np.linspace(-3.5, 3.5, 57)  # normal quantiles at which a shape is tabulated
DENSITY: Final = norm.pdf(GAUSSIAN) / norm.pdf(GAUSSIAN).sum()
LEAST_SPREAD: Final = 1e-6  # network units; a shape cannot be read from less removed noise

_LEVELS: Final = 8  # levels of the signal, each with its own distribution
_PER_LEVEL: Final = 4096  # pixels needed for each level
_SIGNALS: Final = 256  # signals at which the law is tabulated
_BEYOND: Final = 4.0
"""Standard deviations beyond a clipped level at which a signal is invisible."""

LIMIT: Final = -0.2  # skewness beyond the noise model's that counts as speckle
ERROR_PROBABILITY: Final = 0.01
"""Probability of refusing an image whose skewness is at the limit."""

_BLOCK: Final = 16  # side in pixels of blocks that are taken as independent of each other
_GROUPS: Final = 16  # groups of blocks for the jackknife
_STRONG: Final = 0.9
"""Least relative strength of the noise: in the dark and where it is clipped, its shape depends
too much on the signal to be compared."""
_MOST: Final = 0.1  # quantile of a level's pixels whose noise has to be as strong
_MAX_PIXELS: Final = 2**18  # pixels measured at most: rows around the middle

_HIDDEN: Final = 0.1  # share of pixels hidden at once; their neighbours stay visible
_ROUNDS: Final = 3
_BINS: Final = 64
_MAX_SIDE: Final = 768  # pixels measured at most; a curve needs no more
_NEIGHBOURS: Final = np.array([[0.5, 1, 0.5], [1, 0, 1], [0.5, 1, 0.5]])


@dataclass(frozen=True, slots=True, eq=False)
class LocalNoise:
    """Distribution of one image's noise, pixel by pixel."""

    strength: Plane  # (H, W) float32, standard deviation relative to the stated one
    level: NDArray[np.uint8]  # (H, W) index into `shapes`
    # (levels, 57): quantiles of mean 0 and variance 1 at 57 even values of a normal variable.
    shapes: FloatArray

    @property
    def skewness(self) -> float:
        """Mean skewness of the levels; 0 for a Gaussian."""
        return float(np.mean([skewness_of(shape) for shape in self.shapes]))

    def shaped(self, normal: FloatArray, place: Window) -> Plane:
        """Turn normal variables (h, w), perhaps correlated, into noise of that place."""
        level, noise = self.level[place], np.empty(normal.shape, np.float32)
        for number in np.unique(level):
            here = level == number
            noise[here] = np.interp(normal[here], GAUSSIAN, self.shapes[number])
        return noise * self.strength[place]


@dataclass(frozen=True, slots=True, eq=False)
class NoiseLaw:
    """Distribution of stabilised measurements t by their mean, under a noise model."""

    mean: FloatArray  # (n,) rising, network units: E[t | s] of rising signals s
    strength: FloatArray  # (n,) standard deviation of t relative to the stabilised one
    shapes: FloatArray  # (n, 57) as those of :class:`LocalNoise`

    @classmethod
    def of(
        cls, model: NoiseModel, units: Units, signals: tuple[float, float], clipped: Clipped
    ) -> NoiseLaw:
        """The law between the darkest and the brightest signal, in intensity units."""
        ends = np.array(signals, np.float64)
        reach = _BEYOND * np.sqrt(model.variance(ends)) * np.isfinite(clipped)
        s = np.linspace(ends[0] - reach[0], ends[1] + reach[1], _SIGNALS)
        y = s[:, None] + np.sqrt(model.variance(s))[:, None] * GAUSSIAN  # (n, 57)
        t = units.to_network(y.clip(*clipped)[None])[0].astype(np.float64)
        mean = np.maximum.accumulate(t @ DENSITY)
        centred = t - (t @ DENSITY)[:, None]
        spread = np.sqrt(centred**2 @ DENSITY)
        shapes = np.where(
            spread[:, None] > LEAST_SPREAD,
            centred / np.maximum(spread, LEAST_SPREAD)[:, None],
            GAUSSIAN,
        )
        promised = units.sigma * math.sqrt(float(GAUSSIAN**2 @ DENSITY))
        return cls(mean, (spread / promised).clip(0, 1), shapes)

    def at(self, pilot: Plane) -> LocalNoise:
        """Noise of an image, given its stabilised mean."""
        strength = np.interp(pilot, self.mean, self.strength).astype(np.float32)
        level, n_levels = levels_of(pilot)
        shapes = [self.shape_at(pilot[level == number]) for number in range(n_levels)]
        return LocalNoise(strength, level, np.array(shapes))

    def shape_at(self, means: Plane) -> FloatArray:
        """The shape at the median of some means."""
        if means.size == 0:
            return GAUSSIAN
        index = int(np.searchsorted(self.mean, np.median(means)))
        return np.asarray(self.shapes[min(index, len(self.mean) - 1)])


@dataclass(frozen=True, slots=True)
class Skewness:
    """Skewness of an image's noise beyond its model's."""

    excess: float  # below 0 for longer tails to the dark
    error: float  # its standard error, by the jackknife over groups of blocks

    @property
    def is_speckle(self) -> bool:
        """Whether it is significantly below `LIMIT`; see `ERROR_PROBABILITY`."""
        quantile = float(student_t.isf(ERROR_PROBABILITY, _GROUPS - 1))
        return self.excess + quantile * self.error < LIMIT


def measure_local_noise(
    network: RestorationVAE,
    image: Plane,
    pilot: Plane,
    constants: PlaneConstants,
    rng: np.random.Generator,
    law: NoiseLaw | None = None,
) -> LocalNoise:
    """Measure the strength and shape of an image's noise.

    The residual's variance against the signal, both predicted without the pixel itself,
    bounds the noise's from above; the noise model does so too. Its shape, at each of a few
    levels of the signal, is that of the residual. Correlated noise can be predicted from a
    pixel's neighbours: there, `law` is used. `image` and `pilot`, its restoration, are (H, W)
    float32 in network units.
    """
    sigma, *correlation, _ = constants
    if any(correlation) and law is not None:
        return law.at(pilot)
    strength = np.ones_like(image)
    if sigma > 0 and not any(correlation):
        strength = _strength(network, image, pilot, constants, rng)
    removed = (image - pilot) / strength
    level, n_levels = levels_of(pilot)
    shapes = [shape_of(removed[level == number]) for number in range(n_levels)]
    return LocalNoise(strength, level, np.array(shapes))


def restored(network: RestorationVAE, image: Plane, constants: PlaneConstants) -> Plane:
    """Restore an image, (H, W) in network units, block by block."""
    pilot = np.empty_like(image)
    for rows, columns in _blocks(image.shape, network.config.stride):
        whole = np.ones(image[rows, columns].shape, bool)
        pilot[rows, columns] = _means(network, image[rows, columns], whole, constants)
    return pilot


def measure_skewness(
    removed: Plane, pilot: Plane, law: NoiseLaw, rng: np.random.Generator
) -> Skewness:
    """Compare the skewness of a residual with the noise model's.

    `pilot`, the restored image, and `removed`, the image minus that, are (H, W) in network
    units.
    """
    rows = max(1, _MAX_PIXELS // removed.shape[1])
    first = max(0, (removed.shape[0] - rows) // 2)
    removed, pilot = removed[first : first + rows], pilot[first : first + rows]
    level, n_levels = levels_of(pilot)
    strength = np.interp(pilot, law.mean, law.strength)
    members = [
        here
        for here in (level == number for number in range(n_levels))
        if here.any() and np.quantile(strength[here], _MOST) > _STRONG
    ]
    if not members:
        return Skewness(0.0, 0.0)
    expected = float(np.mean([skewness_of(law.shape_at(pilot[each])) for each in members]))
    groups = _groups(removed.shape, rng)

    def found(kept: NDArray[np.bool_]) -> float:
        return float(np.mean([skewness_of(shape_of(removed[m & kept])) for m in members]))

    whole = found(np.ones(removed.shape, bool))
    parts: FloatArray = np.array([found(groups != number) for number in range(_GROUPS)])
    variance = (_GROUPS - 1) / _GROUPS * np.square(parts - parts.mean()).sum()
    return Skewness(whole - expected, float(np.sqrt(variance)))


def levels_of(pilot: Plane) -> tuple[NDArray[np.uint8], int]:
    """Levels of the signal with equal numbers of pixels, and their number."""
    bounds = np.linspace(0, 1, max(1, min(_LEVELS, pilot.size // _PER_LEVEL)) + 1)[1:-1]
    level = np.searchsorted(np.quantile(pilot, bounds), pilot).astype(np.uint8)
    return level, len(bounds) + 1


def shape_of(values: NDArray[np.floating]) -> FloatArray:
    """Quantiles of values at those of a normal variable, scaled to mean 0, variance 1."""
    if values.size == 0:
        return GAUSSIAN
    found = np.quantile(values.astype(np.float64), norm.cdf(GAUSSIAN))
    found = found - DENSITY @ found
    spread = float(np.sqrt(DENSITY @ found**2))
    return found / spread if spread > LEAST_SPREAD else GAUSSIAN


def skewness_of(shape: FloatArray) -> float:
    """Skewness of a distribution in this form; 0 for a Gaussian."""
    return float(shape**3 @ DENSITY)


def _groups(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.intp]:
    """The group of each pixel, (H, W): whole blocks, in groups of about equal size."""
    rows, columns = (-(-length // _BLOCK) for length in shape)
    numbers = rng.permutation(np.arange(rows * columns) % _GROUPS).reshape(rows, columns)
    large = numbers.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
    return np.asarray(large[: shape[0], : shape[1]])


def _strength(
    network: RestorationVAE,
    image: Plane,
    pilot: Plane,
    constants: PlaneConstants,
    rng: np.random.Generator,
) -> Plane:
    """Standard deviation of an image's white noise, relative to the stated one."""
    stride = network.config.stride
    height, width = (min(side, _MAX_SIDE) // stride * stride for side in image.shape)
    part = image[:height, :width]
    signals, squares = [], []
    for _ in range(_ROUNDS):
        hidden = rng.random(part.shape) < _HIDDEN
        found = _means(network, _without(part, hidden), ~hidden, constants)
        signals.append(found[hidden])
        squares.append(((part - found)[hidden] / constants[0]) ** 2)
    signal, square = np.concatenate(signals), np.concatenate(squares)
    bins = np.array_split(np.argsort(signal), _BINS)
    centres = np.array([signal[members].mean() for members in bins])
    variances = np.array([square[members].mean() for members in bins])
    variance = np.interp(pilot, centres, variances).clip(1e-3, 1)
    return np.asarray(np.sqrt(variance), dtype=np.float32)


def _without(image: Plane, hidden: NDArray[np.bool_]) -> Plane:
    """The image with hidden pixels filled from their neighbours."""
    seen = (~hidden).astype(np.float64)
    total = convolve(image * seen, _NEIGHBOURS, mode="mirror")
    weight = convolve(seen, _NEIGHBOURS, mode="mirror")
    filled = np.where(hidden, total / np.maximum(weight, 0.5), image)
    return np.asarray(filled, dtype=np.float32)


@torch.inference_mode()
def _means(
    network: RestorationVAE,
    image: Plane,
    observed: NDArray[np.bool_],
    constants: PlaneConstants,
) -> Plane:
    """E[x | c] of an image whose sides are multiples of the stride."""
    device = next(network.parameters()).device
    condition = condition_tensor(image[None, None], observed[None, None], constants)
    condition = condition.to(device, memory_format=torch.channels_last)
    with native_precision(device):
        mean = network.infer(condition).mean
    return np.asarray(mean[0, 0].float().cpu().numpy())


def _blocks(shape: tuple[int, ...], stride: int) -> list[tuple[slice, slice]]:
    """Blocks with sides that are multiples of the stride; they overlap at the far ends."""
    spans = []
    for length in shape:
        side = min(length, _MAX_SIDE) // stride * stride
        starts = [*range(0, length - side, side), length - side]
        spans.append([slice(start, start + side) for start in starts])
    return [(rows, columns) for rows in spans[0] for columns in spans[1]]
