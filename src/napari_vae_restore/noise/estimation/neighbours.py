"""The correlation of neighbouring pixels, from the spectrum of an image's flattest blocks.

Two families are compared: blurred white noise, as interpolation and resampling leave it,
and noise whose autocorrelation decays geometrically, as slow read-out does along lines.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from napari_vae_restore.noise.autoregression import geometric
from napari_vae_restore.noise.correlation import WHITE, Correlation
from napari_vae_restore.noise.estimation.blocks import (
    BLOCK,
    CORRELATED_STRUCTURE_ORDERS,
    ORDER,
    Blocks,
    is_plain,
    measures_correlated,
)
from napari_vae_restore.noise.estimation.spectra import (
    Family,
    block_spectrum,
    fit_correlation,
    mismatch,
)
from napari_vae_restore.noise.numbers import FloatArray

# Set by benchmarks/noise_estimators.py and benchmarks/correlated_noise.py.
# Texture feigns correlation; least of all in the highest orders, which therefore decide.
_DECIDING_ORDER: Final = 8
MIN_CORRELATION: Final = 0.19  # less is called white, where texture may feign it
_MIN_PLAIN_CORRELATION: Final = 0.07  # the same where there is hardly any texture
_CALM_SHARE: Final = 0.1
_MIDDLE_ORDERS: Final = range(5, 8)
_HIGH_ORDERS: Final = range(10, 15)
# Energy at middle over that at high frequencies in the calmest blocks: of white noise in 50
# photographs, one exceeded it at a standard deviation of 25 and two at 50.
_MIN_DECLINE: Final = 1.13
_MAX_ALONG_BOTH: Final = 0.9  # of a geometric decay: more is all but determined
_ROUNDS: Final = 4  # of choosing flat blocks by the spectrum and fitting it
_FLAT_SHARE: Final = 0.03  # of all blocks, the flattest beside their noise
_MIN_FLAT: Final = 40
# Nats per coefficient by which the geometric family must explain more than a blur: where
# neighbours correlate by 0.5 and more, the right family gains 0.1 and more.
_MIN_GAIN: Final = 0.005
# What the geometric family may leave unexplained: under a blur, texture has too long a tail
# for either family, and mismatches of 0.08 and more were seen; without, 0.04 at most.
_MAX_MISMATCH: Final = 0.05

_SQUARE: Final = (BLOCK, BLOCK)
_STRUCTURE: Final = np.isin(ORDER, CORRELATED_STRUCTURE_ORDERS)


def measure_correlation(blocks: Blocks, expected: FloatArray) -> Correlation:
    """Measure how neighbours correlate in the blocks that are flattest.

    `expected` (n,) is the noise variance of each block, up to a common factor.
    """
    every, level = blocks, np.median(expected)
    unclipped = blocks.clipped == 0
    if unclipped.sum() * _FLAT_SHARE >= _MIN_FLAT:
        blocks, expected = blocks.select(unclipped), expected[unclipped]
    expected = np.maximum(expected, 1e-3 * np.median(expected))
    relative = blocks.energy / expected[:, None]
    decides = (ORDER >= _DECIDING_ORDER).reshape(_SQUARE)
    calmest = _mean_of_least(relative, blocks.structure / expected)
    if max(fit_correlation(calmest, decides)) < MIN_CORRELATION:
        # Signal-dependent noise is not known well enough in the dark to tell so little.
        is_constant = np.ptp(expected) == 0
        return _weak_correlation(every, float(level)) if is_constant else WHITE
    blur, decay = _fitted(relative, "blur"), _fitted(relative, "geometric")
    if WHITE in (blur, decay):
        return blur
    compared = ~(_STRUCTURE | (ORDER == 0)).reshape(_SQUARE)
    of_blur, of_decay = (
        mismatch(_flattest(relative, each), each, compared) for each in (blur, decay)
    )
    explains = of_decay < min(of_blur - _MIN_GAIN, _MAX_MISMATCH)
    return decay if explains else blur


def _weak_correlation(blocks: Blocks, variance: float) -> Correlation:
    """What only an image without texture can show; speckle is an example.

    Blocks with clipped pixels count: without them, those would be left where the noise
    happens to be weak.
    """
    relative, structure = blocks.energy / variance, blocks.structure / variance
    calm = _mean_of_least(relative, structure, _CALM_SHARE)
    middle, high = (
        float(np.median(calm.ravel()[np.isin(ORDER, orders)]))
        for orders in (_MIDDLE_ORDERS, _HIGH_ORDERS)
    )
    if not is_plain(structure / middle) or middle < _MIN_DECLINE * high:
        return WHITE
    decides = (min(_MIDDLE_ORDERS) <= ORDER).reshape(_SQUARE)
    y, x = fit_correlation(calm, decides)
    return WHITE if max(y, x) < _MIN_PLAIN_CORRELATION else (y, x)


def _fitted(relative: FloatArray, family: Family) -> Correlation:
    """Take turns between choosing the flattest blocks and fitting their spectrum."""
    found: Correlation = WHITE
    for _ in range(_ROUNDS):
        strong = measures_correlated(block_spectrum(found, BLOCK).ravel()).reshape(_SQUARE)
        if not strong.any():  # as smooth as this is structure, not noise
            return WHITE
        y, x = fit_correlation(_flattest(relative, found), strong, family)
        found = _form(y, x, family)
    if max(y, x) < MIN_CORRELATION:
        return WHITE
    if family == "geometric":
        y, x = (rho if rho >= MIN_CORRELATION else 0.0 for rho in (y, x))
    return _form(y, x, family)


def _form(y: float, x: float, family: Family) -> Correlation:
    if family == "blur" or max(y, x) == 0:
        return y, x
    most = _MAX_ALONG_BOTH if min(y, x) > 0 else 1.0
    return geometric(min(y, most), min(x, most))


def _flattest(relative: FloatArray, correlation: Correlation) -> FloatArray:
    """Mean energies, (8, 8), of the blocks that are flattest beside such noise."""
    spectrum = block_spectrum(correlation, BLOCK).ravel()
    return _mean_of_least(relative, relative[:, _STRUCTURE] @ (1 / spectrum[_STRUCTURE]))


def _mean_of_least(
    relative: FloatArray, structure: FloatArray, share: float = _FLAT_SHARE
) -> FloatArray:
    """Mean energies, (8, 8), of the blocks with the least structure."""
    n_flat = max(_MIN_FLAT, int(share * len(relative)))
    flat = np.argpartition(structure, n_flat - 1)[:n_flat]
    return np.asarray(relative[flat].mean(axis=0).reshape(_SQUARE))
