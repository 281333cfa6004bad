"""Coverage: whether a restoration's intervals contain the truth as often as they promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.layout import Layout
from napari_vae_restore.restoration.result import Restoration

LEVELS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_BINS: Final = 10
_MOST: Final = 250_000  # pixels of an image that are binned; more change nothing


@dataclass(frozen=True, slots=True)
class Calibration:
    """Promised and observed coverage, expected and observed errors."""

    levels: tuple[float, ...]  # share of pixels that an interval promises to contain
    coverage: tuple[float, ...]  # share that it contains, over all pixels of all images
    # root mean square in each tenth of the pixels, surest first, in intensity units
    expected_error: tuple[float, ...]
    error: tuple[float, ...]  # root mean square error in the same tenths


class Reliability:
    """Collects a :class:`Calibration` image by image."""

    def __init__(self) -> None:
        self._inside = np.zeros(len(LEVELS))
        self._n = 0
        self._expected: list[NDArray[np.float64]] = []
        self._errors: list[NDArray[np.float64]] = []

    def add(self, result: Restoration, reference: NDArray[Any]) -> None:
        """Add a restoration with samples, and its reference without alpha."""
        for number, level in enumerate(LEVELS):
            low, high = result.interval(level)
            self._inside[number] += int(((low <= reference) & (reference <= high)).sum())
        self._n += reference.size
        mean = np.asarray(result.mean)
        colours = Layout.of(mean, result.recipe.axes).without_alpha(mean)
        every = -(-reference.size // _MOST)
        error = (colours.astype(np.float64) - reference).ravel()[::every]
        self._errors.append(error)
        self._expected.append(result.expected_error().astype(np.float64).ravel()[::every])

    def calibration(self) -> Calibration | None:
        """The calibration of everything that was added, or None."""
        if not self._n:
            return None
        expected, errors = np.concatenate(self._expected), np.concatenate(self._errors)
        order = np.array_split(np.argsort(expected, kind="stable"), _BINS)
        return Calibration(
            levels=LEVELS,
            coverage=tuple(float(share) for share in self._inside / self._n),
            expected_error=tuple(_rms(expected[part]) for part in order),
            error=tuple(_rms(errors[part]) for part in order),
        )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(values).mean()))
