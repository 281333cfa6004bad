"""Uncertainty of a restoration, prepared for a layer in a worker's thread.

No Qt and no napari here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from scipy.stats import norm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.restoration.result import Restoration

LEVEL: Final = 0.9  # share of pixels whose truth lies within the reported interval
_PERCENTILE: Final = 99.8  # upper contrast limit: one hot pixel does not darken the map
_MAX_PIXELS: Final = 2**20  # that the contrast limit is measured on, about


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """A map of the expected root mean square error, one value for all colours of a pixel."""

    error: NDArray[Any]  # float32, intensity units
    limits: tuple[float, float]  # of the contrast
    factor: float  # half width of an interval of LEVEL, in multiples of the error

    @classmethod
    def of(cls, restoration: Restoration, *, is_rgb: bool) -> Self | None:
        """The map of a restoration; None where fewer than two samples were drawn."""
        if restoration.std is None:
            return None
        spread = restoration.error_calibration
        # A lazy result stays lazy: the standard deviation of its samples is shown instead.
        is_here = isinstance(restoration.std, np.ndarray)
        error: Any = restoration.expected_error() if is_here else restoration.std
        factor = norm.ppf((1 + LEVEL) / 2) if spread is None else spread.factor(LEVEL)
        if is_rgb:
            error = np.sqrt(np.mean(np.square(error), axis=-1))
        some = error.ravel()[:: max(1, error.size // _MAX_PIXELS)]
        highest = float(np.percentile(some, _PERCENTILE))
        return cls(error, (0.0, highest or 1.0), float(factor))


def with_uncertainty(
    steps: Generator[Any, None, Any],
    restoration_of: Callable[[Any], Restoration] = lambda result: result,
    *,
    is_rgb: bool,
) -> Generator[Any, None, tuple[Any, Uncertainty | None]]:
    """Run the steps of a restoration and make the map of their result, all in one thread."""
    result = yield from steps
    return result, Uncertainty.of(restoration_of(result), is_rgb=is_rgb)
