"""Unbiased risk: how far an answer is from the clean image, from the noisy one alone.

For y = x + n with Gaussian noise of covariance S and any estimator f,

    E |f(y) - x|^2 = E |f(y) - y|^2 + 2 E tr(S df/dy) - tr S

(Stein 1981; with any covariance: Eldar 2009, arXiv:0804.3010). The trace is that of one
extra pass with a random probe b of the noise's own covariance, b^T (f(y + h b) - f(y)) / h
(Ramani et al. 2008). So two answers can be compared without a clean image: their difference
needs no tr S. All values are in units in which the noise's standard deviation is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student_t

from napari_vae_restore.noise.correlation import Correlation, correlated_noise
from napari_vae_restore.noise.numbers import FloatArray

Window: TypeAlias = tuple[slice, slice]

# Of the probe, in standard deviations: small beside the noise, large beside rounding.
STEP: Final = 0.05

ERROR_PROBABILITY: Final = 0.05  # of calling an answer better that is not
# Standard deviation, in network units, that texture may have where an estimate takes it for
# white, and for correlated noise: skimage's pictures have up to 1.4 of 255 and, but for those
# that are texture all over, up to 2.5.
_GRAIN: Final = (2 / 255, 4 / 255)


def probe(
    shape: tuple[int, ...],
    sigma: ArrayLike,
    correlation: Correlation,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw a probe with the noise's covariance."""
    return np.asarray(correlated_noise(shape, correlation, rng) * np.asarray(sigma))


def divergence(
    noise_probe: ArrayLike, answer: ArrayLike, moved: ArrayLike, step: float = STEP
) -> FloatArray:
    """Estimate each pixel's part of tr(S df/dy)."""
    change = np.asarray(moved, np.float64) - np.asarray(answer, np.float64)
    return np.asarray(np.asarray(noise_probe, np.float64) * change / step)


def risk(
    measured: ArrayLike,
    answer: ArrayLike,
    trace: ArrayLike,
    variance: ArrayLike,
    observed: NDArray[np.bool_] | None = None,
) -> FloatArray:
    """Estimate the squared error of each pixel; unbiased over many of them."""
    residual = np.asarray(measured, np.float64) - np.asarray(answer, np.float64)
    found = residual**2 + 2 * np.asarray(trace) - np.asarray(variance)
    return np.asarray(found if observed is None else np.where(observed, found, np.nan))


def share_of_texture(sigma: float, *, is_correlated: bool) -> float:
    """Share of a measured noise's variance that may be fine texture, part of the truth."""
    return min((_GRAIN[is_correlated] / sigma) ** 2, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class WindowRisk:
    """The parts of an answer's risk, as means over windows."""

    residual: FloatArray  # (n,) of (f(y) - y)^2
    trace: FloatArray  # (n,) of the divergence, in the same units
    variance: FloatArray  # (n,) of the noise
    doubt: FloatArray  # (n,) share of that variance that may be texture

    @property
    def mean(self) -> float:
        """The risk; NaN without windows."""
        if len(self.residual) == 0:
            return float("nan")
        return float((self.residual + 2 * self.trace - self.variance).mean())

    @classmethod
    def joined(cls, parts: Sequence[WindowRisk]) -> WindowRisk:
        """Windows of several images."""
        return cls(
            *(
                np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)])
                for name in ("residual", "trace", "variance", "doubt")
            )
        )


def window_means(values: FloatArray, windows: Sequence[Window]) -> FloatArray:
    """Means over windows of an image, (n,); pixels that are NaN do not count."""
    return np.array([np.nanmean(values[window]) for window in windows])


@dataclass(frozen=True, slots=True)
class RiskDifference:
    """What one answer's risk is above another's, at the same windows and probes."""

    mean: float  # below 0 where the first answer is better
    # The upper end of its one-sided confidence interval, by Student's t over windows, where the
    # noise is as far from the estimate as it may be.
    upper: float

    @property
    def is_lower(self) -> bool:
        """Whether the first answer is better beyond doubt."""
        return self.upper < 0


def difference(
    one: WindowRisk, other: WindowRisk, *, noise_error: float = 0.0
) -> RiskDifference:
    """Compare two answers by the paired differences of their risks over windows.

    The divergence is proportional to the noise's variance, which is an estimate: an answer
    that is a little smoother seems better by twice the difference of the divergences times
    whatever the variance is overestimated by, and texture is easily taken for noise. So the
    comparison is made at both ends of what the variance may be, and the worse one counts.
    """
    residual, trace = one.residual - other.residual, 2 * (one.trace - other.trace)
    n = len(residual)
    mean = one.mean - other.mean
    if n < 2:
        return RiskDifference(mean, float("inf"))
    quantile = float(student_t.isf(ERROR_PROBABILITY, n - 1))
    ends = []
    for factor in (1 - np.maximum(one.doubt, noise_error), 1 + noise_error):
        values = residual + factor * trace
        ends.append(float(values.mean() + quantile * values.std(ddof=1) / np.sqrt(n)))
    return RiskDifference(mean, max(ends))
