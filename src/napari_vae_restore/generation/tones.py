"""Contrast, brightness and local contrast of a plane, for viewing and not for measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError

_TILES: Final = 8  # along each side, that local contrast adapts to: scikit-image's default
# Largest share of a tile's pixels in one of 256 levels, which bounds the gain of noise.
_CLIP: Final = 0.02


@dataclass(frozen=True, slots=True)
class Tones:
    """How intensities are displayed anew.

    Attributes
    ----------
    contrast : float
        Factor about the middle of the image's range; 1 changes nothing.
    brightness : float
        Added, in parts of the image's range, -1 to 1; 0 changes nothing.
    gamma : float
        Exponent on the range taken as 0 to 1: below 1 lifts the dark; 1 changes nothing.
    local_contrast : float
        Share, 0 to 1, of contrast-limited adaptive histogram equalisation (Zuiderveld 1994,
        "Contrast limited adaptive histogram equalization", Graphics Gems IV).

    Raises
    ------
    InputError
        For a value outside its range.
    """

    contrast: float = 1.0
    brightness: float = 0.0
    gamma: float = 1.0
    local_contrast: float = 0.0

    def __post_init__(self) -> None:
        ranges = {
            "contrast": (0.0, 10.0),
            "brightness": (-1.0, 1.0),
            "gamma": (0.1, 10.0),
            "local_contrast": (0.0, 1.0),
        }
        for name, (least, most) in ranges.items():
            check_range(name, getattr(self, name), least, most)

    def apply(
        self, plane: NDArray[np.float64], black: float, white: float
    ) -> NDArray[np.float64]:
        """Change a plane, (H, W), in the range that all planes of the image share.

        Values outside the range stay outside where only contrast and brightness are changed.
        """
        if self == Tones():
            return plane
        from skimage.exposure import adjust_gamma, equalize_adapthist

        values = (plane - black) / max(white - black, np.finfo(float).tiny)
        if self.local_contrast:
            sides = tuple(max(side // _TILES, 1) for side in plane.shape)
            local = equalize_adapthist(values.clip(0, 1), sides, clip_limit=_CLIP)
            values = (1 - self.local_contrast) * values + self.local_contrast * local
        if self.gamma != 1:
            values = adjust_gamma(values.clip(0, 1), self.gamma)
        values = (values - 0.5) * self.contrast + 0.5 + self.brightness
        return np.asarray(values * (white - black) + black)


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Raise InputError unless a number lies in its range."""
    if not (isinstance(value, int | float | np.number) and least <= value <= most):
        raise InputError(f"{name}: expected a number from {least:g} to {most:g}, got {value!r}")
