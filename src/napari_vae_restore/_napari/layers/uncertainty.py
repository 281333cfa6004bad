"""How sure a restoration is, made ready to be shown: computed in a worker's thread.

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

LEVEL: Final = 0.9
"""Share of pixels whose truth lies within the interval that is told."""
_PERCENTILE: Final = 99.8
"""Upper contrast limit: a single hot pixel does not darken the map."""
_LOOKED_AT: Final = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """A map of the error to be expected.

    Attributes
    ----------
    error : ndarray
        Root mean square error to be expected, float32, intensity units; one value for all
        colours of a pixel.
    limits : (float, float)
        Contrast limits that show it well.
    factor : float
        Half width of an interval of `LEVEL` in multiples of the error.
    """

    error: NDArray[Any]
    limits: tuple[float, float]
    factor: float

    @classmethod
    def of(cls, restoration: Restoration, *, is_rgb: bool) -> Self | None:
        """Make the map of a restoration; None where fewer than two samples were drawn."""
        if restoration.std is None:
            return None
        spread = restoration.spread
        # A lazy result stays lazy: its samples' deviation, as it is.
        is_here = isinstance(restoration.std, np.ndarray)
        error: Any = restoration.expected_error() if is_here else restoration.std
        factor = norm.ppf((1 + LEVEL) / 2) if spread is None else spread.factor(LEVEL)
        if is_rgb:
            error = np.sqrt(np.mean(np.square(error), axis=-1))
        some = error.ravel()[:: max(1, error.size // _LOOKED_AT)]
        highest = float(np.percentile(some, _PERCENTILE))
        return cls(error, (0.0, highest or 1.0), float(factor))


def with_uncertainty(
    steps: Generator[Any, None, Any],
    restoration_of: Callable[[Any], Restoration],
    *,
    is_rgb: bool,
) -> Generator[Any, None, tuple[Any, Uncertainty | None]]:
    """Run steps and make the map of their result, all in one thread.

    Parameters
    ----------
    steps : generator
        Of a restoration.
    restoration_of : callable
        The restoration in what they return.
    is_rgb : bool
        Whether the last axis holds colours.

    Yields
    ------
    object
        As the steps.

    Returns
    -------
    tuple
        What the steps return, and the map.
    """
    result = yield from steps
    return result, Uncertainty.of(restoration_of(result), is_rgb=is_rgb)
