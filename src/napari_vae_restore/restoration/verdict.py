"""One verdict on a restored image, from what was taken out of it.

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
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, uniform_filter
from scipy.special import chdtri

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import (
    WHITE,
    Correlation,
    autocorrelation,
    lag_one,
)
from napari_vae_restore.noise.estimation import estimate_noise
from napari_vae_restore.noise.models import NoiseModel, standard_deviation

FloatArray: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Grade: TypeAlias = Literal["keep", "look", "do not measure"]

BLOCK: Final = 16
"""Side of the blocks that are judged, pixels."""
_LEAST_SEEN: Final = 0.25  # of a block's pixels, to judge it
_MEANS: Final = (1, 3)  # sides of the squares whose means are looked at
_CHANCE: Final = 1e-4  # that a block of nothing but noise is marked
_ALLOWED: Final = (1.3, 2.0)
"""Variance over the model's that passes, at each side: no model of a noise is exact."""
_BRIGHTEST: Final = 5.0  # standard deviations, at which single pixels are clipped
_FLAT: Final = 0.1  # variance of a result over the noise's below which a block is flat
_LEAST_FLAT: Final = 8  # blocks,
_FLAT_SHARE: Final = 0.1  # and of all
_OF_FLOOR: Final = 0.8
_GRAIN: Final = 0.5  # of whole numbers, in their steps: rounding takes no structure
_LEVEL: Final = (0.65, 1.5)  # variance over the model's that flat blocks allow it
_QUIET: Final = 0.75  # deviation over the model's of all flat blocks, to speak of it
_FEW: Final = 0.002  # marked blocks of all: to look at
_MANY: Final = 0.2  # not to measure on
_MOST_REGIONS: Final = 100
_SATURATED: Final = 1e-3  # of all pixels that hold the largest value
_PILE: Final = 3  # times as many as hold the next
_STATED: Final = 1.5  # deviation of the image's noise over the assumed one's, either way
_ALIKE: Final = 0.3
_SIDE, _PLANES, _LEVELS = 512, 4, 10_000
"""Of the sample that noise is measured on again: pixels, planes, and pixels of those."""
_LEAST_PIXELS: Final = 4096  # fewer do not contradict anybody
_STRONG: Final = 4 / 255
"""Deviation over the image's range: of weaker noise, texture is easily taken for more."""
_ADVICE: Final = "Let the noise be measured, or state another."
_REACH: Final = 8  # pixels, of the autocorrelations that are summed


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """Part of a plane where more than noise was removed.

    Attributes
    ----------
    excess : float
        Variance of the residual there over that of the noise, less 1, at its worst.
    plane : int
        Number of the plane, the image's leading axes counted through in C order.
    top, left, bottom, right : int
        Pixels of the image that was restored; the last two are not inside.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    excess: float
    plane: int
    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a restored image.

    Attributes
    ----------
    grade : {"keep", "look", "do not measure"}
        Whether nothing speaks against it, or something in places, or all over.
    text : str
        What was found and what to do, in sentences; empty where nothing is wrong.
    regions : tuple of Region
        Where to look, the worst first, at most 100.
    """

    grade: Grade
    text: str = ""
    regions: tuple[Region, ...] = ()


KEEP: Final = Verdict("keep")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the blocks of a residual say, in numbers that add up.

    Attributes
    ----------
    n_blocks, n_marked : int
        Those that were judged, and those where more than noise was removed.
    n_flat, n_quiet, n_loud : int
        Those where the result is flat; and of them, those where the noise is less than the
        model says, and more.
    flat : float
        Variance of the residual over the noise's, summed over flat blocks.
    regions : tuple of Region
        Where blocks were marked.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    n_blocks: int = 0
    n_marked: int = 0
    n_flat: int = 0
    n_quiet: int = 0
    n_loud: int = 0
    flat: float = 0.0
    regions: tuple[Region, ...] = ()

    @classmethod
    def total(cls, parts: Iterable[Evidence]) -> Evidence:
        """The sum; of the regions the worst 100."""
        parts = tuple(parts)
        regions = sorted((each for part in parts for each in part.regions), reverse=True)
        return cls(
            n_blocks=sum(part.n_blocks for part in parts),
            n_marked=sum(part.n_marked for part in parts),
            n_flat=sum(part.n_flat for part in parts),
            n_quiet=sum(part.n_quiet for part in parts),
            n_loud=sum(part.n_loud for part in parts),
            flat=math.fsum(part.flat for part in parts),
            regions=tuple(regions[:_MOST_REGIONS]),
        )


NO_EVIDENCE: Final = Evidence()


@dataclass(frozen=True, slots=True)
class Found:
    """The noise of an image as its pixels tell it, beside that which was assumed.

    Attributes
    ----------
    level : float
        Deviation over that of the assumed noise, at the image's own levels.
    alike : float
        Lag-1 correlation of neighbours, less that which was assumed, along the axis where
        they differ most.
    """

    level: float
    alike: float


def found_noise(
    planes: NDArray[Any], missing: Mask | None, noise: Sequence[NoiseModel]
) -> Found | None:
    """Measure the noise again; of the channel where the assumed noise fits least.

    Parameters
    ----------
    planes : numpy.ndarray
        (N, C, H, W), the image or a sample of it; of large ones the centres are looked at.
    missing : numpy.ndarray of bool, or None
        Of their shape.
    noise : sequence of NoiseModel
        That was assumed, one for each channel.

    Returns
    -------
    Found or None
        None where no channel's noise can be seen, or is strong enough to be sure of.
    """
    n, _, height, width = planes.shape
    rows, columns = (
        slice((side - min(side, _SIDE)) // 2, (side + min(side, _SIDE)) // 2)
        for side in (height, width)
    )
    some = slice(None, None, max(1, n // _PLANES)), slice(None), rows, columns
    worst = None
    for c, model in enumerate(noise):
        values = planes[some][:, c]
        observed = None if missing is None else ~missing[some][:, c]
        try:
            seen = estimate_noise(values, observed=observed)
        except InputError:
            continue
        at = values.ravel() if observed is None else values[observed]
        if at.size < _LEAST_PIXELS:
            continue
        at = at[:: max(1, at.size // _LEVELS)].astype(np.float64)
        assumed = math.sqrt(model.variance(at).mean())
        low, high = np.percentile(at, (0.5, 99.5))
        if assumed < _STRONG * (high - low):
            continue
        level = math.sqrt(seen.variance(at).mean()) / assumed
        pairs = zip(lag_one(seen.correlation), lag_one(model.correlation), strict=True)
        alike = max((found - told for found, told in pairs), key=abs)
        if worst is None or abs(math.log(level)) > abs(math.log(worst.level)):
            worst = Found(level, alike)
    return worst


def judged(found: Evidence, noise: Found | None = None) -> Verdict:
    """Say what to do.

    Parameters
    ----------
    found : Evidence
        Of all blocks.
    noise : Found, optional
        What the image says of noise that was stated.
    """
    level = math.sqrt(found.flat / found.n_flat) if found.n_flat else 1.0
    known = found.n_flat >= max(_LEAST_FLAT, _FLAT_SHARE * found.n_blocks)
    is_quiet = known and level < _QUIET and found.n_quiet > found.n_flat / 2
    is_loud = known and found.n_loud > found.n_flat / 2
    if found.n_marked > _MANY * found.n_blocks:
        share = found.n_marked / found.n_blocks
        text = f"More than noise was removed in {share:.0%} of the image. Do not measure on it."
        return Verdict("do not measure", f"{text} {_ADVICE}", found.regions)
    if is_quiet:
        text = f"Where the result is flat, only {level:.2f} × the assumed noise was removed"
        return Verdict("look", f"{text}: fine structure may be gone. {_ADVICE}")
    if is_loud:
        text = f"Where the result is flat, {level:.2f} × the assumed noise was removed"
        return Verdict("look", f"{text}: the noise model does not fit. {_ADVICE}")
    if found.n_marked > _FEW * found.n_blocks:
        n = len(found.regions)
        where = "one place" if n == 1 else f"{n} places"
        return Verdict(
            "look", f"More than noise was removed in {where}. Look there.", found.regions
        )
    return KEEP if noise is None else _of_noise(noise)


def _of_noise(noise: Found) -> Verdict:
    if noise.level > _STATED:
        text = f"The image holds {noise.level:.1f} × the noise that was assumed: some remains"
    elif noise.level < 1 / _STATED:
        text = (
            f"The image holds only {noise.level:.2f} × the noise that was assumed: fine "
            "structure may be gone"
        )
    elif noise.alike > _ALIKE:
        text = (
            f"Neighbours of the image's noise are alike (by {noise.alike:.1f} more than was "
            "assumed): some noise remains"
        )
    else:
        return KEEP
    return Verdict("look", f"{text}. {_ADVICE}")


def evidence(
    measured: NDArray[Any],
    predicted: NDArray[Any],
    noise: Sequence[NoiseModel],
    seen: Mask | None = None,
    *,
    plane: int = 0,
    origin: tuple[int, int] = (0, 0),
) -> Evidence:
    """Judge one plane, or a part of one.

    Parameters
    ----------
    measured, predicted : numpy.ndarray
        (C, h, w) y and A x, intensity units.
    noise : sequence of NoiseModel
        One for each channel.
    seen : numpy.ndarray of bool, optional
        (C, h, w), False where nothing was measured.
    plane : int
        Its number.
    origin : (int, int)
        Of the part in its plane.
    """
    shape = predicted.shape[1:]
    total: list[Evidence] = []
    for c, model in enumerate(noise):
        good = np.ones(shape, bool) if seen is None else seen[c].copy()
        y, x = measured[c].astype(np.float64), predicted[c].astype(np.float64)
        good &= np.isfinite(y) & ~_saturated(measured[c])
        grain = _GRAIN if measured.dtype.kind in "iu" else 0.0
        total.append(_channel(y, x, good, model, grain, plane, origin))
    return Evidence.total(total)


def _channel(
    y: FloatArray,
    x: FloatArray,
    good: Mask,
    model: NoiseModel,
    grain: float,
    plane: int,
    origin: tuple[int, int],
) -> Evidence:
    standard = np.hypot(standard_deviation(model, x), grain)
    z = np.where(
        good, np.clip((np.where(good, y, 0) - x) / standard, -_BRIGHTEST, _BRIGHTEST), 0
    )
    count = _blocks(good.astype(np.float64))
    judged = count >= _LEAST_SEEN * BLOCK**2
    if not judged.any():
        return NO_EVIDENCE
    n = np.maximum(count, 1.0)
    # Noise changes little within a block.
    level, usual = (_blocks(np.where(good, values, 0.0)) / n for values in (x, standard))
    usual = np.where(judged, usual, 1.0)
    skewed = _kurtosis(model, level, usual)
    excess = np.zeros(count.shape)
    marked = np.zeros(count.shape, bool)
    first = np.zeros(count.shape)
    weight = good.astype(np.float64)
    for side, allowed in zip(_MEANS, _ALLOWED, strict=True):
        if min(z.shape) < side:
            continue
        expected, alike = _of_means(model.correlation, side)
        if side == 1:
            mean, known = z, weight
        else:
            whole = uniform_filter(weight, side, mode="constant")
            mean = uniform_filter(z, side, mode="constant") / np.maximum(whole, 1e-9)
            known = np.where(whole > 1 - 1e-6, weight, 0.0)
        n_known = _blocks(known)
        ratio = _blocks(known * np.square(mean)) / np.maximum(n_known, 1.0) / expected
        freedom = n_known / (alike * (1 + skewed / (2 * side**2)))
        limit = allowed * chdtri(np.maximum(freedom, 1.0), _CHANCE) / np.maximum(freedom, 1.0)
        enough = judged & (n_known >= _LEAST_SEEN * BLOCK**2)
        beyond = enough & (ratio > limit)
        marked |= beyond
        excess = np.where(beyond, np.maximum(excess, ratio - 1), excess)
        if side == 1:
            first = ratio
    # Where the image is flat as well there is no noise to be told, nor structure to be lost.
    flat = _detail(x / standard, good) < _FLAT
    flat &= judged & (_detail(y / standard, good) >= _FLAT)
    # Not where the transform's floor speaks.
    flat &= np.asarray(model.variance(level)) > _OF_FLOOR * np.square(usual)
    low, high = _LEVEL
    return Evidence(
        n_blocks=int(judged.sum()),
        n_marked=int(marked.sum()),
        n_flat=int(flat.sum()),
        n_quiet=int((flat & (first < low)).sum()),
        n_loud=int((flat & (first > high)).sum()),
        flat=float(first[flat].sum()),
        regions=_regions(marked, excess, y.shape, plane, origin),
    )


def _saturated(values: NDArray[Any]) -> Mask:
    """Pixels at the largest value, where many more hold it than the next smaller one."""
    at_top = np.asarray(values == values.max())
    if at_top.all():
        return at_top
    next_to = np.asarray(values == values[~at_top].max())
    n = at_top.sum()
    is_pile = n > _SATURATED * values.size and n > _PILE * next_to.sum()
    return at_top if is_pile else np.zeros(values.shape, bool)


def _detail(result: FloatArray, good: Mask) -> FloatArray:
    """Variance of a result in each block."""
    values = np.where(good, result, 0.0)
    n = np.maximum(_blocks(good.astype(np.float64)), 1.0)
    return np.asarray(_blocks(np.square(values)) / n - np.square(_blocks(values) / n))


def _kurtosis(model: NoiseModel, x: FloatArray, standard: FloatArray) -> FloatArray:
    """Excess kurtosis of noise that counts particles: (slope of the variance / deviation)²."""
    step = 0.1 * standard
    slope = (np.asarray(model.variance(x + step)) - np.asarray(model.variance(x))) / step
    return np.minimum(np.square(slope / standard), 20.0)


@lru_cache(maxsize=64)
def _of_means(correlation: Correlation, side: int) -> tuple[float, float]:
    """Variance of means of side x side pixels over a pixel's, and their pixels' likeness.

    The latter is the sum of squared autocorrelations: as many pixels count as one.
    """
    reach = _REACH + side
    if correlation == WHITE:
        rho = np.zeros((2 * reach + 1, 2 * reach + 1))
        rho[reach, reach] = 1.0
    else:
        rho = autocorrelation(correlation, reach)
    for axis in (0, 1):
        for _ in range(2):  # once for each of the two means that are compared
            rho = uniform_filter(
                rho, [side if a == axis else 1 for a in (0, 1)], mode="constant"
            )
    variance = float(rho[reach, reach])
    return variance, float(np.square(rho / variance).sum())


def _blocks(values: FloatArray) -> FloatArray:
    """Sums over blocks; the last of a row or column may be smaller."""
    rows, columns = (np.arange(0, n, BLOCK) for n in values.shape)
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, 0), columns, 1))


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
