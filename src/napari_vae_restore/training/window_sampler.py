"""Random windows, by number, of images that are too many to be read at once.

Knows how images are read, and nothing of training.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from napari_vae_restore.errors import ImageFileError, InputError, VAERestoreError, shortened
from napari_vae_restore.images.array_files import is_array_file
from napari_vae_restore.images.arrays import as_image, open_image
from napari_vae_restore.training.sources import Item, Loaded, factor_between, opened_file

_log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 2**24
"""Pixels, or bytes of files, up to which everything is read: about 700 MB in use."""
SIDE: Final = 512
"""Side in pixels of a window of the measured image: enough to estimate its noise."""
HELD_OUT: Final = 4
"""The first windows are held out: no other window overlaps them."""
_TRIES: Final = 50
"""Windows to draw until one is readable and apart from the held-out ones."""

Sides = tuple[Item, ...]
"""One image, or a measured one with its second shot or clean image."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of one plane of one image."""

    image: int
    plane: tuple[int, ...]
    rows: slice
    columns: slice

    def meets(self, other: _Window) -> bool:
        return (self.image, self.plane) == (other.image, other.plane) and all(
            one.start < two.stop and two.start < one.stop
            for one, two in ((self.rows, other.rows), (self.columns, other.columns))
        )


class WindowSampler:
    """An endless numbered sequence of windows, the first `HELD_OUT` apart from the rest.

    Larger images are drawn more often. Unreadable ones are an error at first; later they are
    skipped, since a folder may change while a training runs.
    """

    def __init__(
        self,
        images: Sequence[Sides],
        axes: str | None,
        seed: int,
        *,
        skip_unreadable: bool = False,
    ) -> None:
        self._images, self._axes, self._seed = images, axes, seed
        self._skips = skip_unreadable
        sizes = np.array([_size(measured) for measured, *_ in images], np.float64)
        self._shares = sizes / sizes.sum()
        self.n_images = len(images)
        self._bad: dict[int, ImageFileError] = {}
        # Windows of one image often follow each other, and a picture is read as a whole.
        self._open = lru_cache(maxsize=2)(self._opened)
        self._kept = [self._drawn(number)[0] for number in range(HELD_OUT)]
        chosen = [window.image for window in self._kept]
        shapes = [self._open(images[image])[0].data.shape for image in chosen]
        seen = sum(math.prod(shape) for shape in shapes)
        self.n_pixels = round(sizes.sum() * seen / sizes[chosen].sum())

    def held_out(self) -> list[tuple[Loaded, ...]]:
        """The held-out windows."""
        return [self._read(window) for window in self._kept]

    def window(self, number: int) -> tuple[Loaded, ...]:
        """Training window of a number from 0, with the same place of its other image."""
        return self._drawn(HELD_OUT + number)[1]

    def _drawn(self, number: int) -> tuple[_Window, tuple[Loaded, ...]]:
        rng = np.random.default_rng([self._seed, 4, number])
        is_judged = number < HELD_OUT
        problem: VAERestoreError | None = None
        for _ in range(_TRIES):
            image = int(rng.choice(len(self._images), p=self._shares))
            try:
                # Trying a bad file again would give the same: no random number is drawn.
                if image in self._bad:
                    raise self._bad[image]
                window = self._window(image, rng)
                if not is_judged and any(window.meets(kept) for kept in self._kept):
                    continue
                return window, self._read(window)
            except ImageFileError as error:
                problem = error
                self._pass_over(image, error, is_early=number < 2 * HELD_OUT)
            except InputError as error:  # a part without structure, or a file of another kind
                problem = error
        raise problem or InputError(
            f"expected images of which {HELD_OUT} windows can be held out, but nothing is left "
            "to train on then: give more images"
        )

    def _pass_over(self, image: int, error: ImageFileError, *, is_early: bool) -> None:
        if is_early and not self._skips and len(self._images) > 1:
            raise ImageFileError(
                f"{error} Take it out, or skip such files (skip_unreadable=True, "
                "--skip-unreadable)."
            ) from error
        if image not in self._bad:
            self._bad[image] = error
            _log.warning("skipped: %s", error)

    def _window(self, image: int, rng: np.random.Generator) -> _Window:
        measured, *belonging = self._open(self._images[image])
        for other in belonging:
            factor_between(measured, other)
        sizes = dict(zip(measured.axes, measured.data.shape, strict=True))
        plane = tuple(int(rng.integers(n)) for axis, n in sizes.items() if axis not in "YXCS")
        starts = [int(rng.integers(max(1, sizes[axis] - SIDE + 1))) for axis in "YX"]
        rows, columns = (
            slice(start, min(sizes[axis], start + SIDE))
            for axis, start in zip("YX", starts, strict=True)
        )
        return _Window(image, plane, rows, columns)

    def _read(self, window: _Window) -> tuple[Loaded, ...]:
        """The window's pixels, and those of the same place in the other image."""
        sides = self._open(self._images[window.image])
        return tuple(_part(side, window, factor_between(sides[0], side)) for side in sides)

    def _opened(self, sides: Sides) -> tuple[Loaded, ...]:
        """An image and its other one; `data` are read by slicing."""
        return tuple(_opened(item, self._axes) for item in sides)


def spread_out(
    images: Sequence[Sides], axes: str | None, n: int
) -> Iterator[tuple[Loaded, ...]]:
    """Up to about n windows, evenly from the first image to the last, none twice."""
    for number in _evenly(len(images), n):
        try:
            sides = tuple(_opened(item, axes) for item in images[number])
            windows = _grid(number, sides[0])
            for index in _evenly(len(windows), -(-n // len(images))):
                yield tuple(
                    _part(side, windows[index], factor_between(sides[0], side))
                    for side in sides
                )
        except (ImageFileError, InputError) as error:
            _log.debug("passed over: %s", error)


def _evenly(n: int, most: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, n - 1, min(n, most)).round())]


def _grid(number: int, image: Loaded) -> list[_Window]:
    """Windows side by side in the middle of each plane."""
    sizes = dict(zip(image.axes, image.data.shape, strict=True))
    spans = []
    for axis in "YX":
        side = min(SIDE, sizes[axis])
        first = sizes[axis] % side // 2
        spans.append(
            [slice(start, start + side) for start in range(first, sizes[axis] - side + 1, side)]
        )
    planes = np.ndindex(*(length for axis, length in sizes.items() if axis not in "YXCS"))
    return [
        _Window(number, plane, rows, columns)
        for plane in planes
        for rows in spans[0]
        for columns in spans[1]
    ]


def _opened(item: Item, axes: str | None) -> Loaded:
    if not isinstance(item.given, Path):
        return Loaded(item.name, *open_image(item.given, axes))
    data, own_axes = opened_file(item.given, mapped=True)
    return Loaded(item.name, *open_image(data, axes or own_axes))


def _part(image: Loaded, window: _Window, factor: int) -> Loaded:
    plane = iter(window.plane)
    spans = {
        axis: slice(span.start * factor, span.stop * factor)
        for axis, span in (("Y", window.rows), ("X", window.columns))
    }
    whole = slice(None)
    where = tuple(
        spans.get(axis, whole) if axis in "YXCS" else next(plane) for axis in image.axes
    )
    try:
        pixels = np.asarray(image.data[where])
    except VAERestoreError:
        raise
    except Exception as error:  # of any type, where a chunk is damaged
        raise ImageFileError(
            f"Cannot read a part of {image.name}: {shortened(error)}."
        ) from error
    native = pixels.astype(pixels.dtype.newbyteorder("="))
    kept = "".join(axis for axis in image.axes if axis in "YXCS")
    return Loaded(image.name, *as_image(native, kept))


def are_many(images: Sequence[Sides]) -> bool:
    """Whether images are too large, all together, to be read at once."""
    return sum(_size(item) for item, *_ in images) > MOST_AT_ONCE


def _size(item: Item) -> int:
    """Pixels of an array, bytes of a picture's file; 0 for what cannot be opened."""
    try:
        if isinstance(item.given, Path) and not is_array_file(item.given):
            return item.given.stat().st_size
        return math.prod(_opened(item, None).data.shape)
    except (OSError, VAERestoreError):
        return 0
