"""Detection of speckle: noise that is more skewed to the dark than its model allows.

Speckle's logarithm has a skewness of -1.14 where it is full, and less where looks were
averaged. Ordinary noise is skewed after the stabilising transform as well, by up to -0.4 at
ten photons, and a measured skewness has an error. So it is compared with the noise model's,
level by level, and an image counts as speckle only where the difference is significantly
beyond its limit.
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
"""Skewness beyond the noise model's that counts as speckle."""
ERROR_PROBABILITY: Final = 0.01
"""Probability of refusing an image whose skewness is at the limit."""

_BLOCK: Final = 16
"""Side in pixels of blocks that are taken as independent of each other."""
_GROUPS: Final = 16
"""Groups of blocks for the jackknife."""
_STRONG: Final = 0.9
"""Least relative strength of the noise: in the dark and where it is clipped, its shape depends
too much on the signal to be compared."""
_MOST: Final = 0.1
"""Quantile of a level's pixels whose noise has to be as strong."""
_MAX_PIXELS: Final = 2**18
"""Pixels measured at most: rows around the middle."""


@dataclass(frozen=True, slots=True)
class Skewness:
    """Skewness of an image's noise beyond its model's."""

    excess: float  # below 0 for longer tails to the dark
    error: float  # its standard error, by the jackknife over groups of blocks

    @property
    def is_speckle(self) -> bool:
        """Whether it is significantly below `LIMIT`; see `ERROR_PROBABILITY`."""
        quantile = float(student_t.isf(ERROR_PROBABILITY, _GROUPS - 1))
        return self.excess + quantile * self.error < LIMIT


def measure_skewness(
    removed: Plane, pilot: Plane, law: NoiseLaw, rng: np.random.Generator
) -> Skewness:
    """Compare the skewness of a residual with the noise model's.

    `pilot`, the restored image, and `removed`, the image minus that, are (H, W) in network
    units.
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
    """The group of each pixel, (H, W): whole blocks, in groups of about equal size."""
    rows, columns = (-(-length // _BLOCK) for length in shape)
    numbers = rng.permutation(np.arange(rows * columns) % _GROUPS).reshape(rows, columns)
    large = numbers.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
    return np.asarray(large[: shape[0], : shape[1]])
