"""What the residual of a restoration says, block by block.

What a good restoration takes away is noise: in no block of pixels larger than the noise model
says, and no more alike from pixel to pixel. Both are one question, asked of single pixels and
of means of 3 x 3: has the residual there the variance that the noise has? How far it may be
off by chance follows from the noise model. That a residual is *smaller* than the noise means
nothing by itself: where there is little noise, structure keeps most of it. Only where the
result is flat, so that it holds neither structure nor noise, does it tell the noise's level.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, uniform_filter
from scipy.special import chdtri
from torch.nn.functional import avg_pool2d

from napari_vae_restore.noise.correlation import WHITE, Correlation, autocorrelation
from napari_vae_restore.noise.models import NoiseModel, standard_deviation
from napari_vae_restore.noise.numbers import FloatArray, Mask

BLOCK: Final = 16  # side of the blocks that are judged, pixels
_LEAST_SEEN: Final = 0.25  # of a block's pixels, to judge it
_MEANS: Final = (1, 3)  # sides of the squares whose means are looked at
_CHANCE: Final = 1e-4  # that a block of nothing but noise is marked
_ALLOWED: Final = (1.3, 2.0)  # variance over the model's that passes, at each side
_BRIGHTEST: Final = 5.0  # standard deviations, at which single pixels are clipped
_FLAT: Final = 0.1  # variance of a result over the noise's below which a block is flat
_OF_FLOOR: Final = 0.8  # share of the variance behind the transform that has to be the model's
_GRAIN: Final = 0.5  # of whole numbers, in their steps: rounding takes no structure
_LEVEL: Final = (0.65, 1.5)  # variance over the model's that flat blocks allow it
_MOST_REGIONS: Final = 100
_SATURATED: Final = 1e-3  # of all pixels that hold the largest value
_PILE: Final = 3  # times as many as hold the next
_TABLE: Final = 4096  # levels, at which the noise's deviation is computed
_REACH: Final = 8  # pixels, of the autocorrelations that are summed


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """Part of a plane where more than noise was removed."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    excess: float  # variance of the residual there over that of the noise, less 1, at its worst
    plane: int  # number of the plane, the image's leading axes counted through in C order
    # Pixels of the image that was restored; the last two are not inside.
    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the blocks of a residual say, in numbers that add up."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    # Those that were judged, and those where more than noise was removed.
    n_blocks: int = 0
    n_marked: int = 0
    # Blocks where the result is flat; and of them, those where the noise is less than the model
    # says, and more.
    n_flat: int = 0
    n_quiet: int = 0
    n_loud: int = 0
    flat: float = 0.0  # variance of the residual over the noise's, summed over flat blocks
    regions: tuple[Region, ...] = ()  # where blocks were marked

    @classmethod
    def total(cls, parts: Iterable[Evidence]) -> Evidence:
        """The sum; of the regions the worst 100."""
        parts = tuple(parts)
        counts = ("n_blocks", "n_marked", "n_flat", "n_quiet", "n_loud")
        sums = {name: sum(getattr(part, name) for part in parts) for name in counts}
        regions = sorted((each for part in parts for each in part.regions), reverse=True)
        flat = math.fsum(part.flat for part in parts)
        return cls(**sums, flat=flat, regions=tuple(regions[:_MOST_REGIONS]))


NO_EVIDENCE: Final = Evidence()


def evidence(
    measured: NDArray[Any],
    predicted: NDArray[Any],
    noise: Sequence[NoiseModel],
    seen: Mask | None = None,
    *,
    plane: int = 0,
    origin: tuple[int, int] = (0, 0),
) -> Evidence:
    """What the residual y − A x of a block (C, h, w), intensity units, says."""
    total: list[Evidence] = []
    for c, model in enumerate(noise):
        y = torch.from_numpy(np.asarray(measured[c], np.float64))
        x = torch.from_numpy(np.asarray(predicted[c], np.float64))
        good = torch.isfinite(y)
        if seen is not None:
            good &= torch.from_numpy(np.ascontiguousarray(seen[c]))
        top = _saturation(measured[c])
        if top is not None:
            good &= y != top
        grain = _GRAIN if measured.dtype.kind in "iu" else 0.0
        total.append(_channel(y, x, good, model, grain, plane, origin))
    return Evidence.total(total)


def _channel(
    y: torch.Tensor,
    x: torch.Tensor,
    good: torch.Tensor,
    model: NoiseModel,
    grain: float,
    plane: int,
    origin: tuple[int, int],
) -> Evidence:
    weight = good.to(torch.float32)
    count = _blocks(weight)
    is_judged = count >= _LEAST_SEEN * BLOCK**2
    if not is_judged.any():
        return NO_EVIDENCE
    y = y.where(good, x)
    standard = _standard(model, x, grain)
    z = ((y - x) / standard).clamp_(-_BRIGHTEST, _BRIGHTEST).to(torch.float32)
    n = np.maximum(count, 1.0)
    # Noise changes little within a block.
    level, usual = (_blocks(values * weight) / n for values in (x, standard))
    usual = np.where(is_judged, usual, 1.0)
    skewed = _kurtosis(model, level, usual)
    excess = np.zeros(count.shape)
    marked = np.zeros(count.shape, bool)
    first = np.zeros(count.shape)  # single pixels' variance over the model's
    for side, allowed in zip(_MEANS, _ALLOWED, strict=True):
        if min(z.shape) < side:
            continue
        ratio, freedom, n_known = _variance_ratio(z, weight, model.correlation, side, skewed)
        limit = allowed * chdtri(np.maximum(freedom, 1.0), _CHANCE) / np.maximum(freedom, 1.0)
        beyond = is_judged & (n_known >= _LEAST_SEEN * BLOCK**2) & (ratio > limit)
        marked |= beyond
        excess = np.where(beyond, np.maximum(excess, ratio - 1), excess)
        if side == 1:
            first = ratio
    # Where the image is flat as well, it shows no noise and has no structure to lose.
    flat = is_judged & (_detail(x, weight, n) < _FLAT * np.square(usual))
    flat &= _detail(y, weight, n) >= _FLAT * np.square(usual)
    # Not where the transform's floor speaks.
    flat &= np.asarray(model.variance(level)) > _OF_FLOOR * np.square(usual)
    low, high = _LEVEL
    return Evidence(
        n_blocks=int(is_judged.sum()),
        n_marked=int(marked.sum()),
        n_flat=int(flat.sum()),
        n_quiet=int((flat & (first < low)).sum()),
        n_loud=int((flat & (first > high)).sum()),
        flat=float(first[flat].sum()),
        regions=_regions(marked, excess, (y.shape[0], y.shape[1]), plane, origin),
    )


def _variance_ratio(
    z: torch.Tensor,
    weight: torch.Tensor,
    correlation: Correlation,
    side: int,
    skewed: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Variance of means of side x side residuals over the noise's, in each block.

    Also its degrees of freedom, and the number of means that are known.
    """
    expected, alike = _of_means(correlation, side)
    mean, known = z, weight
    if side > 1:
        whole = _means(weight, side)
        mean = _means(z, side) / whole.clamp(min=1e-9)
        known = weight * (whole > 1 - 1e-6)
    n_known = _blocks(known)
    ratio = _blocks(known * mean.square()) / np.maximum(n_known, 1.0) / expected
    return ratio, n_known / (alike * (1 + skewed / (2 * side**2))), n_known


def _saturation(values: NDArray[Any]) -> float | None:
    """The largest value, if many more pixels hold it than the next smaller one."""
    top = values.max()
    n = np.count_nonzero(values == top)
    if n <= _SATURATED * values.size:
        return None
    below = values[values < top]
    is_pile = not below.size or n > _PILE * np.count_nonzero(below == below.max())
    return float(top) if is_pile else None


def _standard(model: NoiseModel, x: torch.Tensor, grain: float) -> torch.Tensor:
    """Deviation of the noise at x, between evenly spaced levels on straight lines."""
    low, high = float(x.min()), float(x.max())
    levels = np.linspace(low, high, _TABLE)
    table = torch.from_numpy(np.hypot(standard_deviation(model, levels), grain))
    if not low < high:
        return torch.full_like(x, float(table[0]))
    at = (x - low) * ((_TABLE - 1) / (high - low))
    place = at.to(torch.int64).clamp_(0, _TABLE - 2)
    rise = table.diff()
    return table[place] + rise[place] * (at - place)


def _means(values: torch.Tensor, side: int) -> torch.Tensor:
    """Means over squares around each pixel, with nothing beyond the border."""
    return avg_pool2d(values[None, None], side, 1, side // 2, divisor_override=side**2)[0, 0]


def _detail(values: torch.Tensor, weight: torch.Tensor, n: FloatArray) -> FloatArray:
    """Variance of values in each block, of n good pixels."""
    some = values * weight
    return np.asarray(_blocks(some.square()) / n - np.square(_blocks(some) / n))


def _kurtosis(model: NoiseModel, x: FloatArray, standard: FloatArray) -> FloatArray:
    """Excess kurtosis of noise that counts particles: (slope of the variance / deviation)²."""
    step = 0.1 * standard
    slope = (np.asarray(model.variance(x + step)) - np.asarray(model.variance(x))) / step
    return np.minimum(np.square(slope / standard), 20.0)


@lru_cache(maxsize=64)
def _of_means(correlation: Correlation, side: int) -> tuple[float, float]:
    """Variance of means of side x side pixels over a pixel's, and how many count as one.

    The latter is the sum of squared autocorrelations.
    """
    reach = _REACH + side
    if correlation == WHITE:
        rho = np.zeros((2 * reach + 1, 2 * reach + 1))
        rho[reach, reach] = 1.0
    else:
        rho = autocorrelation(correlation, reach)
    for _ in range(2):  # once for each of the two means that are compared
        rho = uniform_filter(rho, side, mode="constant")
    variance = float(rho[reach, reach])
    return variance, float(np.square(rho / variance).sum())


def _blocks(values: torch.Tensor) -> FloatArray:
    """Sums over blocks; the last of a row or column may be smaller."""
    sums = avg_pool2d(values[None, None], BLOCK, ceil_mode=True, divisor_override=1)
    return np.asarray(sums[0, 0].numpy(), np.float64)


def _regions(
    marked: Mask,
    excess: FloatArray,
    shape: tuple[int, ...],
    plane: int,
    origin: tuple[int, int],
) -> tuple[Region, ...]:
    """Bounds of marked blocks that touch."""
    found = []
    groups, _ = label(marked, np.ones((3, 3)))
    for number, place in enumerate(find_objects(groups), 1):
        worst = float(excess[place][groups[place] == number].max())
        (top, bottom), (left, right) = (
            (start + BLOCK * part.start, start + min(BLOCK * part.stop, side))
            for part, start, side in zip(place, origin, shape, strict=True)
        )
        found.append(Region(worst, plane, top, left, bottom, right))
    return tuple(sorted(found, reverse=True)[:_MOST_REGIONS])
