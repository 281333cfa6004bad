"""Map from the samples' standard deviation to the expected error; fitted once per model.

Knows numbers only; its users choose the unit of the standard deviation and the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import norm

from napari_vae_restore.errors import InputError

# Nominal coverages that are fitted; those between are interpolated.
LEVELS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
_GAUSSIAN: Final = tuple(float(norm.ppf((1 + level) / 2)) for level in LEVELS)  # half widths
_BINS: Final = 24
_PER_BIN: Final = 100  # pixels needed for each bin
LEAST_PIXELS: Final = 2 * _PER_BIN  # that a map can be fitted to
_LEAST: Final = 1e-6  # smaller deviations, in the unit, are rounding


@dataclass(frozen=True, slots=True)
class ErrorCalibration:
    """Map from the samples' standard deviation to the expected error, for one task.

    One monotone map, in a unit that makes pictures comparable, and the half widths of
    intervals in multiples of its result. The half widths are quantiles over the fitted
    pixels (split conformal; Angelopoulos and Bates 2021, arXiv:2107.07511): on pictures
    like these an interval covers its share on average over pixels and pictures.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    # Knots of the map, natural logarithms, both rising.
    log_std: tuple[float, ...]
    log_error: tuple[float, ...]
    factors: tuple[float, ...]  # half width of an interval for each of `LEVELS`
    n_pixels: int  # pixels that it was fitted to

    def __post_init__(self) -> None:
        good = (
            0 < len(self.log_std) == len(self.log_error)
            and len(self.factors) == len(LEVELS)
            and self.factors[0] > 0
            and all(
                np.isfinite(values).all() and (np.diff(values) >= 0).all()
                for values in (self.log_std, self.log_error, self.factors)
            )
        )
        if not good:
            raise InputError(
                "an error calibration's knots and factors have to be finite and to rise"
            )

    @classmethod
    def fit(
        cls,
        std: NDArray[np.float64],
        error: NDArray[np.float64],
        *,
        noise: NDArray[np.float64] | float = 0.0,
        like: ErrorCalibration | None = None,
    ) -> ErrorCalibration:
        """Fit the map to pixels, (n,), by isotonic regression of the binned errors.

        `noise` is the standard deviation of the reference's noise, in the same unit. It hides
        the errors' tails: the half widths are then those of `like`, or a Gaussian's.
        Pixels of standard deviation 0 do not count.
        """
        asked = std > 0
        noise = np.broadcast_to(np.asarray(noise, np.float64), std.shape)[asked]
        std, error = std[asked], error[asked]
        if std.size < LEAST_PIXELS:
            raise InputError(
                f"expected at least {LEAST_PIXELS} pixels to calibrate by, got {std.size}: "
                "give more or larger images"
            )
        bins = np.array_split(np.argsort(std), min(_BINS, std.size // _PER_BIN))
        log_std = [_log_rms(std[members]) for members in bins]
        excess = np.square(error) - np.square(noise)
        squares = [excess[members].mean() for members in bins]
        log_error = 0.5 * np.log(np.maximum(squares, _LEAST**2))
        # Where noise leaves less than nothing of an error, its neighbours say more.
        weights = np.where(np.array(squares) > 0, 1.0, 1e-3)
        rising = isotonic_regression(log_error, weights=weights).x
        found = cls(tuple(log_std), tuple(map(float, rising)), _GAUSSIAN, std.size)
        if noise.any():
            factors = _GAUSSIAN if like is None else like.factors
        else:
            relative = np.abs(error) / found.error(std)
            factors = tuple(float(np.quantile(relative, level)) for level in LEVELS)
        return cls(found.log_std, found.log_error, factors, std.size)

    def error(self, std: NDArray[np.floating]) -> NDArray[np.float64]:
        """Expected root mean square error, in the unit of `std`, of any shape."""
        logs = np.log(np.maximum(std, _LEAST).astype(np.float64))
        found = np.interp(logs, self.log_std, self.log_error)
        # Beyond what was seen, in proportion; samples that agree entirely know.
        beyond = logs - np.clip(logs, self.log_std[0], self.log_std[-1])
        return np.where(std > 0, np.exp(found + beyond), 0.0)

    def factor(self, level: float) -> float:
        """Half width of an interval in multiples of :meth:`error`, for levels in (0, 0.99]."""
        if not 0 < level <= LEVELS[-1]:
            raise InputError(
                f"level: expected a share of pixels above 0 and at most {LEVELS[-1]}, "
                f"got {level}"
            )
        # A Gaussian's quantiles are the scale on which the fitted ones lie near a line.
        scale = norm.ppf((1 + np.array((0.0, *LEVELS))) / 2)
        return float(np.interp(norm.ppf((1 + level) / 2), scale, (0.0, *self.factors)))


def _log_rms(values: NDArray[np.float64]) -> float:
    return float(np.log(max(np.sqrt(np.square(values).mean()), _LEAST)))
