"""Out-of-distribution score: the distance of an image from a model's training images.

Knows numbers only; its users choose the description of a block of an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError

_DIRECTIONS: Final = 8  # principal components with variances of their own; the rest share one
_PER_DIRECTION: Final = 8  # blocks needed for each component
LEAST_BLOCKS: Final = 16  # fewer do not show how much images of a kind differ
_FOLDS: Final = 4
_USUAL: Final = 0.99  # share of the training images, or of their parts, within the limit
# Factor on their limit, applied twice for a single image: other images of its kind differ more
# than its own parts. Set on FMD and W2S, where most other kinds are several times as far.
_MARGIN: Final = 1.5
_LEAST: Final = 1e-3  # standard deviation or variance of features of the order of 1
_DIGITS: Final = 5

Blocks = NDArray[np.float64]
"""(n, d), a description of each block of an image."""


@dataclass(frozen=True, slots=True)
class OODScore:
    """A Gaussian fitted to descriptions of blocks of the training images.

    The Mahalanobis distance of an image's mean description, in a space of a few principal
    components and one variance for all others (probabilistic principal components; Tipping
    and Bishop 1999), separates images of other kinds from those of the training (Lee et al.
    2018, arXiv:1807.03888).
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    # Mean and standard deviation of each of d features.
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    # (k, d), principal components of the standardised features.
    directions: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]  # along `directions`, above 0
    rest: float  # variance along every other direction, above 0
    # Squared distance per feature that training images, or parts of them, keep to when they
    # are left out of the fit; larger where there are few.
    limit: float
    n_blocks: int

    def __post_init__(self) -> None:
        d = len(self.centre)
        values = [*self.centre, *self.scale, *self.variances, self.rest, self.limit]
        good = (
            0 < d == len(self.scale)
            and len(self.directions) == len(self.variances)
            and all(len(direction) == d for direction in self.directions)
            and min(*self.scale, *self.variances, self.rest, self.limit) > 0
            and bool(np.isfinite([*values, *np.ravel(self.directions)]).all())
        )
        if not good:
            raise InputError(
                "an out-of-distribution score has to be finite, of one length, and above 0"
            )

    @classmethod
    def fit(cls, images: Sequence[NDArray[np.floating]]) -> OODScore:
        """Fit to training images, (rows, columns, d) each: a description of every block.

        The limit holds for other images and for other parts of the same, whichever are farther.
        """
        counts = [image.shape[0] * image.shape[1] for image in images]
        n = sum(counts)
        if n < LEAST_BLOCKS:
            raise InputError(
                f"expected at least {LEAST_BLOCKS} blocks to describe images by, got {n}"
            )
        blocks = np.concatenate([_listed(image) for image in images])
        # One image, or many of one scene, differ by place; many of a kind from each other.
        by_place = np.concatenate([_bands(*image.shape[:2]) for image in images])
        by_image = np.repeat(_parts(len(images)), counts)
        # Of each image its bands count: a part varies more than the whole.
        part_of = np.repeat(np.arange(len(images)), counts) * _FOLDS + by_place
        distances = [
            distance
            for folds in (by_place, by_image)
            if len(np.unique(folds)) > 1
            for distance in _left_out(blocks, folds, part_of)
        ]
        limit = max(float(np.quantile(distances, _USUAL)), _LEAST) * _MARGIN
        limit *= 1 + 1 / len(images)
        found = _Gaussian.fit(blocks)
        return cls(
            _rounded(found.centre),
            _rounded(found.scale),
            tuple(map(_rounded, found.directions)),
            _rounded(found.variances),
            _round(found.rest),
            _round(limit),
            n,
        )

    def of(self, images: Sequence[NDArray[np.floating]]) -> float:
        """Median distance of images relative to the limit; above 1 is out of distribution."""
        means = np.array([_listed(image).mean(axis=0) for image in images])
        fitted = _Gaussian(
            np.array(self.centre),
            np.array(self.scale),
            np.array(self.directions).reshape(-1, len(self.centre)),
            np.array(self.variances),
            self.rest,
        )
        return float(np.median(fitted.distances(means)) / self.limit)


class _Gaussian(NamedTuple):
    """Of d features, with variances along a few principal components and one for the rest."""

    centre: Blocks
    scale: Blocks
    directions: Blocks
    variances: Blocks
    rest: float

    @classmethod
    def fit(cls, blocks: Blocks) -> Self:
        n, d = blocks.shape
        centre, scale = blocks.mean(axis=0), blocks.std(axis=0) + _LEAST
        _, singular, directions = np.linalg.svd((blocks - centre) / scale, full_matrices=False)
        variances = singular**2 / n
        k = min(_DIRECTIONS, n // _PER_DIRECTION, d - 1)
        rest = max(float(variances[k:].sum()) / (d - k), _LEAST)
        return cls(centre, scale, directions[:k], np.maximum(variances[:k], rest), rest)

    def distances(self, blocks: Blocks) -> NDArray[np.float64]:
        """Squared Mahalanobis distances, (n,), per feature."""
        relative = (blocks - self.centre) / self.scale
        along = relative @ self.directions.T
        across = np.square(relative).sum(axis=1) - np.square(along).sum(axis=1)
        squares = (np.square(along) / self.variances).sum(axis=1) + across / self.rest
        return np.asarray(squares / len(self.centre))


def _listed(image: NDArray[np.floating]) -> Blocks:
    return image.reshape(-1, image.shape[-1]).astype(np.float64)


def _bands(rows: int, columns: int) -> NDArray[np.intp]:
    """The band of each block; bands are parts of an image, one below the other."""
    return _parts(columns) if rows == 1 else np.repeat(_parts(rows), columns)


def _parts(n: int) -> NDArray[np.intp]:
    return np.arange(n) * min(n, _FOLDS) // n


def _left_out(
    blocks: Blocks, folds: NDArray[np.intp], part_of: NDArray[np.intp]
) -> Iterator[float]:
    """The distance of each part in a fold from a fit to the other folds."""
    for fold in np.unique(folds):
        here = folds == fold
        parts = [blocks[here & (part_of == i)] for i in np.unique(part_of[here])]
        means = np.array([part.mean(axis=0) for part in parts])
        yield from _Gaussian.fit(blocks[~here]).distances(means)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(map(_round, values))


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
