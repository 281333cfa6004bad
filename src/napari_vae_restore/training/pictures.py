"""Clean pictures to learn from: scaled, and cut into augmented patches.

Knows nothing of degradations or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout

Patch: TypeAlias = NDArray[np.float32]
_T = TypeVar("_T", bound=np.floating[Any])

_LUMA: Final = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_BLACK_WHITE: Final = (0.1, 99.9)  # percentiles that become 0 and 1
_HEADROOM: Final = 0.1
"""Pixels beyond those percentiles are clipped this far below 0 and above 1."""
_FLAT: Final = 0.01
"""Patches of a smaller standard deviation are mostly skipped: they teach little."""
_ATTEMPTS: Final = 4  # patches drawn until a flat one is taken all the same

_P_HALF_SIZE: Final = 0.2
_P_LUMA: Final = 0.5
_P_GAMMA: Final = 0.3
_P_INVERTED: Final = 0.15
_P_DIMMED: Final = 0.4
_MAX_LOG2_GAMMA: Final = 1.0
_GAINS: Final = (0.3, 1.1)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the training set."""

    planes: NDArray[np.float16]  # (N, C, H, W) float16, about [0, 1]
    weight: float  # share of the patches that come from it, relative to the others'
    is_colour: bool  # whether the channels are a photograph's red, green and blue


def picture_of(
    image: NDArray[Any], axes: str, *, reduce: int = 1, weight: float = 1.0
) -> Picture:
    """A clean image as a training picture: shrunk by `reduce`, scaled to about [0, 1]."""
    planes = Layout.of(image, axes).to_planes(image)
    values = block_means(np.asarray(planes[:, :3], dtype=np.float32), reduce)
    black, white = np.percentile(values, _BLACK_WHITE, axis=(0, 2, 3), keepdims=True)
    is_colour = axes.endswith("S")
    if is_colour:  # one scale for all channels keeps the colours
        black, white = black.min(), white.max()
    values = (values - black) / np.maximum(white - black, 1e-6)
    values = values.clip(-_HEADROOM, 1 + _HEADROOM)
    return Picture(values.astype(np.float16), weight, is_colour)


def block_means(planes: NDArray[_T], factor: int) -> NDArray[_T]:
    """The mean over blocks of factor x factor pixels of (..., H, W); a rest is cut off."""
    height, width = (side // factor for side in planes.shape[-2:])
    blocks = planes[..., : height * factor, : width * factor].reshape(
        *planes.shape[:-2], height, factor, width, factor
    )
    means: NDArray[_T] = blocks.mean(axis=(-3, -1))
    return means


class PatchSource:
    """Draws augmented grey patches: place, size, orientation, colour mix, tone."""

    def __init__(self, pictures: Sequence[Picture], side: int) -> None:
        self._pictures = [p for p in pictures if min(p.planes.shape[2:]) >= side]
        if not self._pictures:
            raise InputError(
                f"none of {len(pictures)} pictures has {side} x {side} pixels: give larger "
                "pictures or smaller patches"
            )
        weights = np.array([p.weight for p in self._pictures])
        self._shares = weights / weights.sum()
        self._side = side

    def draw(self, rng: np.random.Generator) -> Patch:
        """Draw one patch, (side, side) float32, about [0, 1]."""
        for _ in range(_ATTEMPTS):
            patch = self._crop(rng)
            if patch.std() > _FLAT:
                break
        return _toned(_turned(patch, rng), rng)

    def _crop(self, rng: np.random.Generator) -> Patch:
        """One channel, or a mix of a photograph's, at its size or at half of it."""
        picture = self._pictures[rng.choice(len(self._pictures), p=self._shares)]
        n, channels, height, width = picture.planes.shape
        can_halve = min(height, width) >= 2 * self._side
        zoom = 2 if rng.random() < _P_HALF_SIZE and can_halve else 1
        span = self._side * zoom
        top, left = rng.integers(height - span + 1), rng.integers(width - span + 1)
        crop = picture.planes[rng.integers(n), :, top : top + span, left : left + span]
        crop = block_means(crop.astype(np.float32), zoom)  # (C, side, side)
        if not picture.is_colour:
            return np.asarray(crop[rng.integers(channels)], dtype=np.float32)
        mix = _LUMA if rng.random() < _P_LUMA else rng.dirichlet(np.ones(channels))
        return np.asarray(np.tensordot(mix, crop, axes=1), dtype=np.float32)


def _turned(patch: Patch, rng: np.random.Generator) -> Patch:
    """One of the eight orientations."""
    patch = np.rot90(patch, int(rng.integers(4)))
    return patch[:, ::-1] if rng.random() < 0.5 else patch


def _toned(patch: Patch, rng: np.random.Generator) -> Patch:
    """Gamma, inversion, gain and offset, each some of the time."""
    if rng.random() < _P_GAMMA:
        gamma = 2 ** rng.uniform(-_MAX_LOG2_GAMMA, _MAX_LOG2_GAMMA)
        patch = patch.clip(0, None) ** np.float32(gamma)
    if rng.random() < _P_INVERTED:
        patch = 1 - patch
    if rng.random() < _P_DIMMED:
        gain = rng.uniform(*_GAINS)
        patch = patch * np.float32(gain) + np.float32(rng.uniform(0, max(1 - gain, 0)))
    return np.ascontiguousarray(patch, dtype=np.float32)
