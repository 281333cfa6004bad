"""Estimate a noise model from one acquisition, without a clean reference or repeats.

Small blocks are split by an orthonormal cosine transform. White noise puts the same
energy into every coefficient, while image structure fills the low frequencies first:
blocks are therefore chosen as flat by their low frequencies, and the noise is read
from their high ones, which white Gaussian noise makes independent of the choice. The
noise variance of flat blocks against their mean is then fitted by a line.

Noise with spatial correlation has another spectrum, which the flattest blocks show.
Divided by it, the energies are those of white noise, and the same fit is made again.

This module knows nothing of networks, files or the viewer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise import (
    GaussianNoise,
    NoiseModel,
    PoissonGaussianNoise,
    parse_noise,
)
from napari_vae_restore.noise_correlation import WHITE, block_spectrum, fit_correlation
from napari_vae_restore.noise_fit import LineFit, NoiseCurve, fit_line

FloatArray: TypeAlias = NDArray[np.float64]
VarianceModel: TypeAlias = Callable[[FloatArray], FloatArray]
NoiseKind: TypeAlias = Literal["auto", "gaussian", "poisson-gaussian"]
_KINDS: Final[tuple[NoiseKind, ...]] = get_args(NoiseKind)

_log = logging.getLogger(__name__)

# The constants below were set by benchmarks/noise_estimators.py. Higher noise orders
# shut out more texture; lower ones hold what energy correlated noise has.
_BLOCK: Final = 8  # pixels a side
_ORDER: Final = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)).ravel()  # u + v
_STRUCTURE_ORDERS: Final = range(1, 5)  # u + v of the coefficients that judge flatness
_NOISE_ORDERS: Final = range(6, 15)  # u + v of the coefficients that measure the noise
# The share with the highest orders (8 and above in white noise): where all blocks share
# one noise, sharp texture is the worse evil.
_HIGHEST_SHARE: Final = 28 / 43
_CORRELATED_STRUCTURE_ORDERS: Final = range(1, 4)
# Share of the strongest coefficient's noise, below which rounding and whatever departs
# from the assumed spectrum are too great beside a coefficient's own.
_MIN_SPECTRUM: Final = 0.1
# Texture feigns correlation; least of all in the highest orders, which therefore decide.
_DECIDING_ORDER: Final = 8
_MIN_CORRELATION: Final = 0.19  # less is called white
_CORRELATION_ROUNDS: Final = 4  # of choosing flat blocks by the spectrum and fitting it
_FLAT_SHARE_CORRELATION: Final = 0.03  # of all blocks, the flattest beside their noise

_MAX_BLOCKS: Final = 32_768  # bounds time (a fifth of a second) and memory (50 MB)
_MAX_PLANES: Final = 64
_MIN_STRIDE: Final = 2  # pixels between blocks
_MIN_BLOCKS: Final = 256  # fewer do not tell flat from textured: about 40 x 40 pixels

_BINS: Final = 24
_MIN_IN_BIN: Final = 40
_NOISE_FREE: Final = 1e-6  # of the range of intensities; less is rounding, not noise
_FLAT_SHARE: Final = 0.1  # of a bin's blocks, the flattest
_FLAT_SHARE_GAUSSIAN: Final = 0.02  # where all blocks share one noise: choosier
_FLAT_EXCESS: Final = 1.6  # low-frequency energy over the noise's that still is flat
_CLIPPING_REACH: Final = 3.0  # standard deviations within which clipping matters
_MAX_LEAKAGE: Final = 0.9  # high-frequency per low-frequency energy of a texture
_ROUNDS: Final = 3  # of choosing flat blocks by the fit and fitting again

_MAX_CLIPPED: Final = 0.55  # share of clipped pixels up to which a block still informs
_PILE_UP: Final = 1.25  # how far a clipped level outnumbers what its neighbours promise
_MIN_PILE: Final = 1e-3  # share of the pixels below which clipping does not matter
_HOT_SHARE: Final = 0.5  # of a block's variance, from one pixel alone
_HOT_SIGMA: Final = 8.0

_MODEL_ERROR: Final = 0.05  # relative; what a bin's variance is off by for other reasons
_MIN_DEPENDENCE: Final = 1.2  # variance ratio across the image that calls for a line
_MIN_GAIN: Final = 6.0  # in the fit's cost, about half a chi-squared


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Statistics of n blocks, flattest first; energies are squared coefficients."""

    mean: FloatArray  # (n,)
    structure: FloatArray  # (n,) mean low-frequency energy, rising
    energy: FloatArray  # (n, 64) of all coefficients, in the order of _ORDER
    measuring: NDArray[np.intp]  # the columns that measure the noise, by rising order
    clipped: FloatArray  # (n,) share of pixels at a clipped level
    independence: float  # of overlapping blocks, 1 for disjoint ones

    def __len__(self) -> int:
        return len(self.mean)

    def noise(self, which: NDArray[np.intp]) -> FloatArray:
        """Return the mean energies, (k,), that measure the noise of some blocks."""
        return np.asarray(self.energy[which].mean(axis=0)[self.measuring])

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> _Blocks:
        return _Blocks(
            self.mean[which],
            self.structure[which],
            self.energy[which],
            self.measuring,
            self.clipped[which],
            self.independence,
        )

    def whitened(self, correlation: tuple[float, float]) -> _Blocks:
        """Divide by the spectrum of correlated noise, and measure where it is strong."""
        spectrum = block_spectrum(correlation, _BLOCK).ravel()
        energy = self.energy / spectrum
        structure = energy[:, np.isin(_ORDER, _CORRELATED_STRUCTURE_ORDERS)].mean(axis=1)
        usable = _measures_correlated(spectrum)
        measuring = np.argsort(_ORDER, kind="stable")
        measuring = measuring[usable[measuring]]
        whitened = replace(self, structure=structure, energy=energy, measuring=measuring)
        return whitened.select(np.argsort(structure, kind="stable"))


def estimate_noise(
    planes: ArrayLike,
    kind: NoiseKind = "auto",
    *,
    observed: NDArray[np.bool_] | None = None,
) -> NoiseModel:
    """Estimate the noise of one acquisition from its noisy images alone.

    Correlation between neighbouring pixels, as interpolation and shared read-out leave
    it, is measured as well; below about 0.2 the noise is called white. Clipped levels,
    quantisation and hot pixels are allowed for. The result is deterministic.

    Parameters
    ----------
    planes : array_like
        Noisy images of one acquisition, (..., H, W), any real dtype, intensity units;
        pooled. Non-finite pixels are left out. Big stacks are subsampled.
    kind : {"auto", "gaussian", "poisson-gaussian"}
        The noise model. "auto" takes Poisson-Gaussian if the variance rises clearly with
        the intensity, else Gaussian.
    observed : numpy.ndarray of bool, optional
        False = missing, of a shape that broadcasts to that of `planes`. Only blocks of
        8 x 8 pixels that are wholly observed are looked at.

    Returns
    -------
    NoiseModel
        :class:`~napari_vae_restore.noise.GaussianNoise` or
        :class:`~napari_vae_restore.noise.PoissonGaussianNoise`.

    Raises
    ------
    InputError
        If `kind` is unknown, the array is not a real image, is too small, has too few
        blocks that are wholly observed, is constant or noise-free, if `observed` is not
        a mask of its shape, or, with "poisson-gaussian", if its noise does not rise with the
        intensity.

    References
    ----------
    A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical Poissonian-Gaussian
    noise modeling and fitting for single-image raw-data", IEEE TIP 17(10), 2008,
    sections III and IV. doi:10.1109/TIP.2008.2001399

    N. Ponomarenko, V. Lukin, M. Zriakhov, A. Kaarna, J. Astola, "An automatic approach
    to lossy compression of AVIRIS images", IGARSS 2007 (flat blocks by low-frequency,
    noise by high-frequency DCT coefficients).
    """
    if kind not in _KINDS:
        raise InputError(f"Unknown noise kind {kind!r}; use one of {', '.join(_KINDS)}.")
    stack = _as_stack(planes)
    pixels, independence = _sample_blocks(stack, _as_mask(observed, planes, stack))
    low, high = _clipped_levels(pixels)
    blocks = _statistics(pixels, low, high, independence)
    line, dependent = _fit(blocks, low, high, kind)
    correlation = _correlation(blocks, line)
    if correlation != WHITE:
        blocks = blocks.whitened(correlation)
        line, dependent = _fit(blocks, low, high, kind)
    _log.debug("noise fit: %s, correlation %s", line, correlation)
    if not dependent:
        return GaussianNoise(math.sqrt(_refined_constant(line, blocks)), correlation)
    if line.a <= 0:
        raise InputError(
            "The noise does not rise with the intensity, as Poisson-Gaussian noise does; "
            'use noise="gaussian" or give it explicitly: noise="poisson-gaussian:A,B".'
        )
    return PoissonGaussianNoise(line.a, line.b, correlation)


def resolve_noise(
    noise: NoiseModel | str,
    planes: ArrayLike,
    *,
    observed: NDArray[np.bool_] | None = None,
) -> NoiseModel:
    """Turn what a user says of the noise into a model, estimating it where asked to.

    Parameters
    ----------
    noise : NoiseModel or str
        A model; or "auto", "gaussian" or "poisson-gaussian" to estimate; or a model's
        written form, such as "gaussian:12.5" or "poisson-gaussian:0.8,4@0.6,0.6".
    planes : array_like
        Noisy images of one acquisition, (..., H, W), intensity units.
    observed : numpy.ndarray of bool, optional
        False = missing, of a shape that broadcasts to that of `planes`.

    Returns
    -------
    NoiseModel
        In the images' intensity units.

    Raises
    ------
    InputError
        If the form is not understood, or as :func:`estimate_noise`.
    """
    if not isinstance(noise, str):
        return noise
    if noise in _KINDS:
        return estimate_noise(planes, noise, observed=observed)
    return parse_noise(noise)


# -- blocks --------------------------------------------------------------------------


def _as_stack(planes: ArrayLike) -> NDArray[np.generic]:
    """Return the planes as (n, H, W), or raise InputError."""
    stack = np.asarray(planes)
    if stack.dtype.kind not in "uif":
        raise InputError(f"Noise is estimated from real numbers, not from {stack.dtype}.")
    if stack.ndim < 2 or min(stack.shape) == 0:
        raise InputError(f"Expected images of shape (..., H, W), not {stack.shape}.")
    if min(stack.shape[-2:]) < _BLOCK:
        raise _unusable(f"planes of {stack.shape[-2:]} pixels are too small")
    return stack.reshape(-1, *stack.shape[-2:])


def _as_mask(
    observed: NDArray[np.bool_] | None, planes: ArrayLike, stack: NDArray[np.generic]
) -> NDArray[np.bool_] | None:
    """Return the mask as (n, H, W), or raise InputError."""
    if observed is None:
        return None
    mask, shape = np.asarray(observed), np.shape(planes)
    if mask.dtype != bool:
        raise InputError(f"The mask of observed pixels is of booleans, not of {mask.dtype}.")
    try:
        return np.broadcast_to(mask, shape).reshape(stack.shape)
    except ValueError:
        raise InputError(
            f"The mask of observed pixels, {mask.shape}, does not fit images of {shape}."
        ) from None


def _sample_blocks(
    stack: NDArray[np.generic], observed: NDArray[np.bool_] | None
) -> tuple[FloatArray, float]:
    """Return an even sample of whole, finite blocks, (n, 8, 8), and their independence."""
    n_planes = min(len(stack), _MAX_PLANES)
    chosen = np.linspace(0, len(stack) - 1, n_planes).round().astype(int)
    area = stack.shape[1] * stack.shape[2]
    stride = max(_MIN_STRIDE, math.ceil(math.sqrt(area * n_planes / _MAX_BLOCKS)))
    pixels = np.concatenate([_cut(stack[index], stride) for index in chosen])
    whole = np.isfinite(pixels).all(axis=(1, 2))
    if observed is not None:
        masks = np.concatenate([_cut(observed[index], stride) for index in chosen])
        whole &= masks.all(axis=(1, 2))
    pixels = pixels[whole].astype(np.float64)
    if len(pixels) < _MIN_BLOCKS:
        raise _unusable("there are too few pixels that belong to wholly observed blocks")
    return pixels, min(1.0, (stride / _BLOCK) ** 2)


def _cut(plane: NDArray[Any], stride: int) -> NDArray[Any]:
    windows = np.lib.stride_tricks.sliding_window_view(plane, (_BLOCK, _BLOCK))
    return windows[::stride, ::stride].reshape(-1, _BLOCK, _BLOCK)


def _clipped_levels(pixels: FloatArray) -> tuple[float, float]:
    """Return the levels to which pixels were clipped, -inf and inf where they were not."""
    levels, counts = np.unique(pixels, return_counts=True)
    if len(levels) < 3:
        raise _unusable("the image holds fewer than three different values")

    def piled_up(edge: int, second: int, third: int) -> bool:
        # Against the histogram's own slope: pixels without a photon pile up as well.
        trend = counts[second] * max(1.0, counts[second] / counts[third])
        return bool(counts[edge] > max(_PILE_UP * trend, _MIN_PILE * pixels.size))

    low = float(levels[0]) if piled_up(0, 1, 2) else -math.inf
    high = float(levels[-1]) if piled_up(-1, -2, -3) else math.inf
    return low, high


def _statistics(pixels: FloatArray, low: float, high: float, independence: float) -> _Blocks:
    """Transform the blocks; leave out constant ones and those with a hot pixel."""
    basis = dct(np.eye(_BLOCK), axis=0, norm="ortho")  # (frequency, pixel)
    both = np.kron(basis, basis)  # (frequency pair, pixel of a block)
    flat = pixels.reshape(len(pixels), -1)
    energy = (flat @ both.T) ** 2
    structure = energy[:, np.isin(_ORDER, _STRUCTURE_ORDERS)].mean(axis=1)
    rising = np.concatenate([np.flatnonzero(np.equal(_ORDER, each)) for each in _NOISE_ORDERS])
    clipped = ((flat <= low) | (flat >= high)).mean(axis=1)
    mean = flat.mean(axis=1)
    blocks = _Blocks(mean, structure, energy, rising, clipped, independence)
    usable = (np.ptp(flat, axis=1) > 0) & (clipped <= _MAX_CLIPPED) & ~_hot(flat, blocks)
    order = np.argsort(structure, kind="stable")
    order = order[usable[order]]
    if len(order) < _MIN_BLOCKS:
        raise _unusable("nearly all of the image is constant or clipped")
    return blocks.select(order)


def _hot(flat: FloatArray, blocks: _Blocks) -> NDArray[np.bool_]:
    """Tell the blocks in which one pixel stands out of the noise at their intensity."""
    deviation = (flat - blocks.mean[:, None]) ** 2
    peak = deviation.argmax(axis=1)
    rows = np.arange(len(flat))
    peak_square = deviation[rows, peak]
    rest = (flat.sum(axis=1) - flat[rows, peak]) / (flat.shape[1] - 1)
    noise = blocks.energy[:, blocks.measuring].mean(axis=1)
    typical = np.empty(len(flat))
    for group in np.array_split(np.argsort(rest, kind="stable"), _BINS):
        typical[group] = np.median(noise[group])
    alone = peak_square > _HOT_SHARE * deviation.sum(axis=1)
    return np.asarray(alone & (peak_square > _HOT_SIGMA**2 * typical))


# -- variance of flat blocks against intensity ---------------------------------------


def _measure(blocks: _Blocks, expected: VarianceModel | None) -> NoiseCurve:
    """Measure the noise variance of flat blocks in bins of intensity.

    Half of the edges follow the quantiles, where the pixels are, and half the range,
    where few bright ones tell the slope. `expected` is the previous round's fit.
    """
    mean = blocks.mean
    half = min(max(len(blocks) // (4 * _MIN_IN_BIN), 2), _BINS // 2)
    share = np.linspace(0, 1, half + 1)
    edges = np.union1d(np.quantile(mean, share), mean.min() + np.ptp(mean) * share)
    bins = np.searchsorted(edges, mean, side="right")
    rows: list[tuple[float, float, float]] = []
    for index in np.unique(bins):
        members = np.flatnonzero(bins == index)
        if len(members) < _MIN_IN_BIN:
            continue
        n_flat = max(_MIN_IN_BIN // 2, int(_FLAT_SHARE * len(members)))
        if expected is not None:
            limit = _FLAT_EXCESS * float(expected(np.array([np.median(mean[members])]))[0])
            n_flat = max(n_flat, int((blocks.structure[members] <= limit).sum()))
        flat = members[:n_flat]
        freedom = len(flat) * len(blocks.measuring) * blocks.independence
        error = math.sqrt(_MODEL_ERROR**2 + 2 / freedom)
        variance = _energy(blocks.noise(flat), len(flat))
        if variance > (_NOISE_FREE * np.ptp(mean)) ** 2:
            rows.append((float(mean[flat].mean()), variance, error))
    if not rows:
        raise _unusable("no flat area with noise was found")
    return NoiseCurve(*np.array(rows).T)


def _energy(noise: FloatArray, n: int) -> float:
    """Return the mean energy of white noise, deaf to a few contaminated coefficients.

    The median over the coefficients of their means over n blocks; a chi-squared mean's
    median is lower than its mean by (1 - 2 / 9n)^3 (Wilson & Hilferty 1931).
    """
    return float(np.median(noise) / (1 - 2 / (9 * n)) ** 3)


# -- correlation ---------------------------------------------------------------------


def _measures_correlated(spectrum: FloatArray) -> NDArray[np.bool_]:
    """Tell the coefficients, (64,), where noise is strong beside structure and rounding."""
    candidates = ~np.isin(_ORDER, (0, *_CORRELATED_STRUCTURE_ORDERS))
    strongest = spectrum[_ORDER == 2].max()
    return np.asarray(candidates & (spectrum > _MIN_SPECTRUM * strongest))


def _correlation(blocks: _Blocks, fit: LineFit) -> tuple[float, float]:
    """Measure the lag-1 correlation along Y and X in the blocks that are flattest.

    `fit` tells their noise variances up to a common factor.
    """
    unclipped = blocks.clipped == 0
    if unclipped.sum() * _FLAT_SHARE_CORRELATION >= _MIN_IN_BIN:
        blocks = blocks.select(unclipped)
    scale = np.maximum(fit.line(blocks.mean), 1e-3 * np.median(fit.line(blocks.mean)))
    n_flat = max(_MIN_IN_BIN, int(_FLAT_SHARE_CORRELATION * len(blocks)))
    low = np.isin(_ORDER, _CORRELATED_STRUCTURE_ORDERS)
    square = (_BLOCK, _BLOCK)

    def energy(structure: FloatArray) -> FloatArray:
        flat = np.argpartition(structure / scale, n_flat - 1)[:n_flat]
        relative = blocks.energy[flat] / scale[flat, None]
        return np.asarray(relative.mean(axis=0).reshape(square))

    decides = (_ORDER >= _DECIDING_ORDER).reshape(square)
    if max(fit_correlation(energy(blocks.structure), decides)) < _MIN_CORRELATION:
        return WHITE
    correlation = WHITE
    for _ in range(_CORRELATION_ROUNDS):
        spectrum = block_spectrum(correlation, _BLOCK).ravel()
        used = _measures_correlated(spectrum).reshape(square)
        correlation = fit_correlation(energy(blocks.energy[:, low] @ (1 / spectrum[low])), used)
    return correlation if max(correlation) >= _MIN_CORRELATION else WHITE


# -- rounds --------------------------------------------------------------------------


def _fit(blocks: _Blocks, low: float, high: float, kind: NoiseKind) -> tuple[LineFit, bool]:
    """Return the fit of the noise's kind, and whether that depends on the signal."""
    if kind == "poisson-gaussian":
        return _fit_unless_unclipped(blocks, low, high, gaussian=False), True
    constant = _fit_unless_unclipped(blocks, low, high, gaussian=True)
    if kind == "gaussian":
        return constant, False
    line = _fit_unless_unclipped(blocks, low, high, gaussian=False)
    dependent = _depends_on_signal(line, constant, blocks)
    return (line, True) if dependent else (constant, False)


def _fit_unless_unclipped(blocks: _Blocks, low: float, high: float, gaussian: bool) -> LineFit:
    """Fit with the lower level as clipped, unless that fits clearly worse than without.

    A pile-up at the lowest level may also be the pixels without a photon, which follow
    the line as they are.
    """
    fit = _fit_in_rounds(blocks, low, high, gaussian)
    if math.isinf(low):
        return fit
    unclipped = _fit_in_rounds(blocks, -math.inf, high, gaussian)
    return unclipped if unclipped.cost < fit.cost - _MIN_GAIN else fit


def _fit_in_rounds(blocks: _Blocks, low: float, high: float, gaussian: bool) -> LineFit:
    fit = fit_line(_measure(blocks, None), low, high, gaussian)
    for _ in range(_ROUNDS - 1):
        fit = fit_line(_measure(blocks, fit.line), low, high, gaussian)
    return fit


def _refined_constant(fit: LineFit, blocks: _Blocks) -> float:
    """Return one variance for all, from the flattest of the blocks far from clipping.

    With the flatter half's energies (t1, v1) at low and high frequencies and the other
    half's (t2, v2), texture adds c = (v2 - v1) / (t2 - t1) of its low-frequency energy
    to the high ones, and noise alone has v = t: that line's fixed point is the noise.
    """
    reach = _CLIPPING_REACH * math.sqrt(fit.b)
    inside = (blocks.mean > fit.low + reach) & (blocks.mean < fit.high - reach)
    inside &= blocks.clipped == 0
    n_flat = int(_FLAT_SHARE_GAUSSIAN * inside.sum())
    if n_flat < _MIN_IN_BIN:
        return fit.b
    flat = np.flatnonzero(inside)[:n_flat]
    structure = blocks.structure[flat]
    n_highest = round(_HIGHEST_SHARE * len(blocks.measuring))

    def highest(which: NDArray[np.intp]) -> float:
        return _energy(blocks.noise(which)[-n_highest:], len(which))

    variance = highest(flat)
    t1, t2 = (float(half.mean()) for half in np.array_split(structure, 2))
    v1, v2 = (highest(half) for half in np.array_split(flat, 2))
    if t1 > v1 and t2 > t1:
        leakage = min(max((v2 - v1) / (t2 - t1), 0.0), _MAX_LEAKAGE)
        variance = (v1 - leakage * t1) / (1 - leakage)
    return variance if variance > 0 else fit.b


def _depends_on_signal(line: LineFit, constant: LineFit, blocks: _Blocks) -> bool:
    """Judge whether the image's range and the fits call for a signal-dependent model."""
    dark, bright = line.line(np.quantile(blocks.mean, [0.02, 0.98]))
    gain = constant.cost - line.cost
    return bool(line.a > 0 and bright > _MIN_DEPENDENCE * dark and gain > _MIN_GAIN)


def _unusable(reason: str) -> InputError:
    return InputError(
        f"The noise cannot be estimated: {reason}. Give it explicitly, for example "
        'noise="gaussian:12.5" (the standard deviation in the image\'s own units).'
    )
