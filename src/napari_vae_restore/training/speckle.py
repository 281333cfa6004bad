"""Speckle, recognised by noise that is more skewed to the dark than its model allows.

Speckle's logarithm has a skewness of -1.14 where it is full, and less where looks were
averaged. Ordinary noise is skewed behind the stabilising transform as well, by up to -0.4 at
ten photons, and a skewness that was measured has an error. So what is measured is compared
with what the noise model says, level by level, and an image is called speckle only where the
difference is beyond its limit by more than chance explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from napari_vae_restore.training.local_noise import (
    FloatArray,
    NoiseLaw,
    Plane,
    levels_of,
    shape_of,
    skewness_of,
)

LIMIT: Final = -0.2
"""Skewness beyond the noise model's."""
ERROR_PROBABILITY: Final = 0.01
"""Of refusing an image whose skewness is at the limit."""

_BLOCK: Final = 16
"""Pixels a side within which neighbours may share their noise."""
_GROUPS: Final = 16
"""Of blocks, left out one after the other."""
_STRONG: Final = 0.9
"""Of what stabilising promises: levels with weaker noise, in the dark and where it is clipped,
have a shape that depends on the signal too much to be compared."""
_MOST: Final = 0.1
"""Quantile of a level's pixels that has to be as strong."""
_MAX_PIXELS: Final = 2**18
"""Of the part that is looked at, rows from the middle."""


@dataclass(frozen=True, slots=True)
class Skewness:
    """How skewed an image's noise is beyond its model's.

    Attributes
    ----------
    excess : float
        Below 0 for longer tails to the dark.
    error : float
        Its standard error, by the jackknife over groups of blocks.
    """

    excess: float
    error: float

    @property
    def is_speckle(self) -> bool:
        """Whether it is below `LIMIT` beyond doubt; see `ERROR_PROBABILITY`."""
        quantile = float(student_t.isf(ERROR_PROBABILITY, _GROUPS - 1))
        return self.excess + quantile * self.error < LIMIT


def measure_skewness(
    removed: Plane, pilot: Plane, law: NoiseLaw, rng: np.random.Generator
) -> Skewness:
    """Compare the skewness of what a network takes away with its model's.

    Parameters
    ----------
    removed : numpy.ndarray
        (H, W), the image minus `pilot`, in network units.
    pilot : numpy.ndarray
        (H, W) float32, network units, as it was restored.
    law : NoiseLaw
        Of the noise model.
    rng : numpy.random.Generator
        Puts blocks into groups.

    Returns
    -------
    Skewness
        0 without error where no level of the signal shows the noise as it is.
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


def _groups(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.intp]:
    """Numbers of groups, (H, W): whole blocks, in groups of about equal size."""
    rows, columns = (-(-length // _BLOCK) for length in shape)
    numbers = rng.permutation(np.arange(rows * columns) % _GROUPS).reshape(rows, columns)
    large = numbers.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
    return np.asarray(large[: shape[0], : shape[1]])
