"""Estimate a noise model from one acquisition, without a clean reference or repeats.

Small blocks are split by an orthonormal cosine transform. White noise puts the same
energy into every coefficient, while image structure fills the low frequencies first:
blocks are therefore chosen as flat by their low frequencies, and the noise is read
from their high ones, which white Gaussian noise makes independent of the choice. The
noise variance of flat blocks against their mean is then fitted by a line. Correlated noise
has another spectrum, which the flattest blocks show; divided by it, the energies are those of
white noise, and the same fit is made again. Where there are too few blocks, differences of
neighbours give a coarse estimate.

References
----------
A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical Poissonian-Gaussian noise modeling
and fitting for single-image raw-data", IEEE TIP 17(10), 2008, sections III and IV.
doi:10.1109/TIP.2008.2001399

N. Ponomarenko, V. Lukin, M. Zriakhov, A. Kaarna, J. Astola, "An automatic approach to lossy
compression of AVIRIS images", IGARSS 2007 (flat blocks by low-frequency, noise by
high-frequency DCT coefficients).
"""

from __future__ import annotations

import logging
import math
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import WHITE, Correlation
from napari_vae_restore.noise.estimation.blocks import (
    BINS,
    PLAIN_SHARE,
    Blocks,
    UnseenNoiseError,
    as_mask,
    as_stack,
    is_plain,
    measure_blocks,
    unusable,
)
from napari_vae_restore.noise.estimation.coarse import coarse_fits
from napari_vae_restore.noise.estimation.fit import LineFit, NoiseCurve, fit_line
from napari_vae_restore.noise.estimation.neighbours import measure_correlation
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise
from napari_vae_restore.noise.notation import parse_noise
from napari_vae_restore.noise.numbers import FloatArray

NoiseKind: TypeAlias = Literal["auto", "gaussian", "poisson-gaussian"]
_KINDS: Final[tuple[NoiseKind, ...]] = get_args(NoiseKind)

_log = logging.getLogger(__name__)

# Set by benchmarks/noise_estimators.py, as those of the blocks.
# The share with the highest orders (8 and above in white noise): where all blocks share
# one noise, sharp texture is the worse evil.
_HIGHEST_SHARE: Final = 28 / 43
_MIN_IN_BIN: Final = 40
_NOISE_FREE: Final = 1e-6  # of the range of intensities; less is rounding, not noise
_FLAT_SHARE: Final = 0.1  # of a bin's blocks, the flattest
_FLAT_SHARE_GAUSSIAN: Final = 0.02  # where all blocks share one noise: choosier
_FLAT_EXCESS: Final = 1.6  # low-frequency energy over the noise's that still is flat
_CLIPPING_REACH: Final = 3.0  # standard deviations within which clipping matters
_PLAIN_CLIPPING_REACH: Final = 2.0  # the same of plain images, by the mean of a block alone
_MAX_LEAKAGE: Final = 0.9  # high-frequency per low-frequency energy of a texture
_ROUNDS: Final = 3  # of choosing flat blocks by the fit and fitting again

_MODEL_ERROR: Final = 0.05  # relative; what a bin's variance is off by for other reasons
_MIN_DEPENDENCE: Final = 1.2  # variance ratio across the image that calls for a line
_MIN_GAIN: Final = 6.0  # in the fit's cost, about half a chi-squared


def estimate_noise(
    planes: ArrayLike,
    kind: NoiseKind = "auto",
    *,
    observed: NDArray[np.bool_] | None = None,
    correlation: Correlation | None = None,
) -> NoiseModel:
    """Estimate the noise of one acquisition, (..., H, W) pooled, from its images alone.

    "auto" takes Poisson-Gaussian if the variance rises clearly with the intensity, else
    Gaussian. Correlation is measured unless it is given; below about 0.2, in images without
    texture below 0.07, the noise is called white. Clipped levels, quantisation and hot pixels
    are allowed for; pixels that are not finite or not `observed` are left out. Where missing
    pixels are so scattered that few whole blocks are left, blocks are made of the nearest
    observed pixels of each row, and show no correlation. Images too small or thin for blocks
    get a coarse estimate, rather too low than too high. Deterministic.

    Raises InputError if `kind` is unknown, the array is no real image or the mask none of its
    shape, if planes have fewer than three pixels or too few that were observed, are constant
    or noise-free, or, with "poisson-gaussian", if the noise does not rise with the intensity.
    """
    if kind not in _KINDS:
        raise InputError(f"Unknown noise kind {kind!r}; use one of {', '.join(_KINDS)}.")
    stack = as_stack(planes)
    mask = None if observed is None else as_mask(observed, planes)
    try:
        return _from_blocks(stack, mask, kind, correlation)
    except UnseenNoiseError as unseen:
        correlation = WHITE if correlation is None else correlation
        coarse = coarse_fits(stack, mask, correlation)
        if coarse is None:
            raise
        _log.debug("a coarse estimate: %s", unseen)
    constant, line = coarse.constant, coarse.line
    if kind == "poisson-gaussian" or (
        kind == "auto" and line is not None and _depends_on_signal(line, constant, coarse.mean)
    ):
        return _signal_dependent(line, correlation)
    return GaussianNoise(math.sqrt(constant.b), correlation)


def _from_blocks(
    stack: NDArray[np.generic],
    mask: NDArray[np.bool_] | None,
    kind: NoiseKind,
    correlation: Correlation | None,
) -> NoiseModel:
    """Estimate by blocks, or raise UnseenNoiseError where these are too few."""
    measured = measure_blocks(stack, mask)
    blocks, low, high = measured.blocks, measured.low, measured.high
    line, dependent = _fit(blocks, low, high, kind)
    if correlation is None:
        correlation = WHITE
        if measured.shows_correlation:
            correlation = measure_correlation(blocks, line.line(blocks.mean))
    if correlation != WHITE:
        blocks = blocks.whitened(correlation)
        line, dependent = _fit(blocks, low, high, kind)
    _log.debug("noise fit: %s, correlation %s", line, correlation)
    if not dependent:
        return GaussianNoise(math.sqrt(_refined_constant(line, blocks)), correlation)
    return _signal_dependent(line, correlation)


def _signal_dependent(line: LineFit | None, correlation: Correlation) -> NoiseModel:
    if line is None or line.a <= 0:
        raise InputError(
            "The noise does not rise with the intensity, as Poisson-Gaussian noise does; "
            'use noise="gaussian" or give it explicitly: noise="poisson-gaussian:A,B".'
        )
    return PoissonGaussianNoise(line.a, line.b, correlation)


def is_estimated(noise: str) -> bool:
    """Whether a text such as "auto" leaves the noise to be found in the image."""
    return noise in _KINDS


def resolve_noise(
    noise: NoiseModel | str,
    planes: ArrayLike,
    *,
    observed: NDArray[np.bool_] | None = None,
) -> NoiseModel:
    """What a user says of the noise of (..., H, W), as a model; estimated where asked to.

    Raises InputError if the form is not understood, or as :func:`estimate_noise`.
    """
    if not isinstance(noise, str):
        return noise
    if noise in _KINDS:
        return estimate_noise(planes, noise, observed=observed)
    return parse_noise(noise)


# -- variance of flat blocks against intensity ---------------------------------------


def _measure(blocks: Blocks, before: LineFit | None) -> NoiseCurve:
    """Measure the noise variance of flat blocks in bins of intensity.

    Half of the edges follow the quantiles, where the pixels are, and half the range,
    where few bright ones tell the slope. `before` is the previous round's fit.
    """
    mean = blocks.mean
    half = min(max(len(blocks) // (4 * _MIN_IN_BIN), 2), BINS // 2)
    share = np.linspace(0, 1, half + 1)
    edges = np.union1d(np.quantile(mean, share), mean.min() + np.ptp(mean) * share)
    bins = np.searchsorted(edges, mean, side="right")
    rows: list[tuple[float, float, float]] = []
    for index in np.unique(bins):
        members = np.flatnonzero(bins == index)
        if len(members) < _MIN_IN_BIN:
            continue
        n_flat = max(_MIN_IN_BIN // 2, int(_FLAT_SHARE * len(members)))
        if before is not None:
            limit = _FLAT_EXCESS * float(before.line(np.median(mean[members])))
            n_flat = max(n_flat, int((blocks.structure[members] <= limit).sum()))
        flat = members[:n_flat]
        freedom = len(flat) * len(blocks.measuring) * blocks.independence
        error = math.sqrt(_MODEL_ERROR**2 + 2 / freedom)
        variance = _energy(blocks.noise(flat), len(flat))
        if variance > (_NOISE_FREE * np.ptp(mean)) ** 2:
            rows.append((float(mean[flat].mean()), variance, error))
    if not rows:
        raise unusable("no flat area with noise was found")
    return NoiseCurve(*np.array(rows).T)


def _energy(noise: FloatArray, n: int) -> float:
    """Mean energy of white noise, deaf to a few contaminated coefficients.

    The median over the coefficients of their means over n blocks; a chi-squared mean's
    median is lower than its mean by (1 - 2 / 9n)^3 (Wilson & Hilferty 1931).
    """
    return float(np.median(noise) / (1 - 2 / (9 * n)) ** 3)


# -- rounds --------------------------------------------------------------------------


def _fit(blocks: Blocks, low: float, high: float, kind: NoiseKind) -> tuple[LineFit, bool]:
    """The fit of the noise's kind, and whether that depends on the signal."""
    if kind == "poisson-gaussian":
        return _fit_in_rounds(blocks, low, high, gaussian=False), True
    constant = _fit_in_rounds(blocks, low, high, gaussian=True)
    if kind == "gaussian":
        return constant, False
    line = _fit_in_rounds(blocks, low, high, gaussian=False)
    dependent = _depends_on_signal(line, constant, blocks.mean)
    return (line, True) if dependent else (constant, False)


def _fit_in_rounds(blocks: Blocks, low: float, high: float, *, gaussian: bool) -> LineFit:
    """Take turns between choosing flat blocks and fitting, the lower level as clipped.

    A pile-up at the lowest level may also be the pixels without a photon, which follow the
    line as they are: without clipping it may fit clearly better.
    """
    fit = fit_line(_measure(blocks, None), low, high, gaussian)
    for _ in range(_ROUNDS - 1):
        fit = fit_line(_measure(blocks, fit), low, high, gaussian)
    if math.isinf(low):
        return fit
    unclipped = _fit_in_rounds(blocks, -math.inf, high, gaussian=gaussian)
    return unclipped if unclipped.cost < fit.cost - _MIN_GAIN else fit


def _refined_constant(fit: LineFit, blocks: Blocks) -> float:
    """One variance for all, from the flattest of the blocks far from clipping.

    In an image that is plain beside its noise these are many, and all orders count: the very
    flattest would be those where the noise happens to be weak, as speckle is in places, and
    so would be those without a clipped pixel.

    With the flatter half's energies (t1, v1) at low and high frequencies and the other
    half's (t2, v2), texture adds c = (v2 - v1) / (t2 - t1) of its low-frequency energy
    to the high ones, and noise alone has v = t: that line's fixed point is the noise.
    """
    plain = is_plain(blocks.structure / fit.b)
    reach = (_PLAIN_CLIPPING_REACH if plain else _CLIPPING_REACH) * math.sqrt(fit.b)
    inside = (blocks.mean > fit.low + reach) & (blocks.mean < fit.high - reach)
    if not plain:
        inside &= blocks.clipped == 0
    n_flat = int((PLAIN_SHARE if plain else _FLAT_SHARE_GAUSSIAN) * inside.sum())
    if n_flat < _MIN_IN_BIN:
        return fit.b
    flat = np.flatnonzero(inside)[:n_flat]
    structure = blocks.structure[flat]
    n_highest = round((1.0 if plain else _HIGHEST_SHARE) * len(blocks.measuring))

    def highest(which: NDArray[np.intp]) -> float:
        return _energy(blocks.noise(which)[-n_highest:], len(which))

    variance = highest(flat)
    t1, t2 = (float(half.mean()) for half in np.array_split(structure, 2))
    v1, v2 = (highest(half) for half in np.array_split(flat, 2))
    if t1 > v1 and t2 > t1:
        leakage = min(max((v2 - v1) / (t2 - t1), 0.0), _MAX_LEAKAGE)
        variance = (v1 - leakage * t1) / (1 - leakage)
    return variance if variance > 0 else fit.b


def _depends_on_signal(line: LineFit, constant: LineFit, mean: FloatArray) -> bool:
    """Whether the image's range and the fits call for a signal-dependent model."""
    dark, bright = line.line(np.quantile(mean, [0.02, 0.98]))
    gain = constant.cost - line.cost
    return bool(line.a > 0 and bright > _MIN_DEPENDENCE * dark and gain > _MIN_GAIN)
