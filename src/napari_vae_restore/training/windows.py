"""Windows of images that are too many to be read at once: drawn by number, and cached.

Knows how images are read, and nothing of training.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Final, Generic, TypeVar

import numpy as np

from napari_vae_restore.errors import ImageFileError, InputError, VAERestoreError, shortened
from napari_vae_restore.images.array_files import is_array_file
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.training.sources import (
    Item,
    Items,
    Loaded,
    LoadedItems,
    factor_between,
    opened,
)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

MOST_AT_ONCE: Final = 2**24
"""Pixels, or bytes of files, up to which everything is read: about 700 MB in use."""
SIDE: Final = 512
"""Side in pixels of a window of the measured image: enough to estimate its noise."""
HELD_OUT: Final = 4  # the first windows are held out: no other window overlaps them
_TRIES: Final = 50  # windows to draw until one is readable and apart from the held-out ones

FIRST: Final = 8
"""Cached windows before the first step; each takes about a second to prepare on a CPU."""
SIZE: Final = 24  # greatest number of cached windows, which bounds the memory
EVERY: Final = 16
"""Steps between new windows: pixels are then drawn a few times each, and preparing a window
costs less than these steps."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of one plane of an image, by its number."""

    image: int
    spans: dict[str, slice]  # of every axis but C and S; one index of those beside Y and X

    def meets(self, other: _Window) -> bool:
        return self.image == other.image and all(
            span.start < other.spans[axis].stop and other.spans[axis].start < span.stop
            for axis, span in self.spans.items()
        )


class WindowSampler:
    """An endless numbered sequence of windows, the first `HELD_OUT` apart from the rest.

    Larger images are drawn more often. Unreadable ones are an error at first; later they are
    skipped, since a folder may change while a training runs.
    """

    def __init__(
        self,
        images: Sequence[Items],
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
        seen = sum(math.prod(self._open(image)[0].data.shape) for image in chosen)
        self.n_pixels = round(sizes.sum() * seen / sizes[chosen].sum())

    def held_out(self) -> list[LoadedItems]:
        """The held-out windows."""
        return [_cut(self._open(window.image), window) for window in self._kept]

    def window(self, number: int) -> LoadedItems:
        """Training window of a number from 0, with the same place of its other image."""
        return self._drawn(HELD_OUT + number)[1]

    def _opened(self, image: int) -> LoadedItems:
        return tuple(opened(item, self._axes) for item in self._images[image])

    def _drawn(self, number: int) -> tuple[_Window, LoadedItems]:
        rng = np.random.default_rng([self._seed, 4, number])
        problem: VAERestoreError | None = None
        for _ in range(_TRIES):
            image = int(rng.choice(len(self._images), p=self._shares))
            try:
                # Trying a bad file again would give the same: no random number is drawn.
                if image in self._bad:
                    raise self._bad[image]
                window = self._random_window(image, rng)
                if number >= HELD_OUT and any(window.meets(kept) for kept in self._kept):
                    continue
                return window, _cut(self._open(image), window)
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

    def _random_window(self, image: int, rng: np.random.Generator) -> _Window:
        measured, *others = self._open(image)
        for other in others:
            factor_between(measured, other)
        spans = {}
        for axis, (length, side) in _lengths(measured).items():
            start = int(rng.integers(length - side + 1))
            spans[axis] = slice(start, start + side)
        return _Window(image, spans)


class WindowCache(Generic[_T]):
    """The latest members of an endless sequence 0, 1, 2, ...; they are made in a thread.

    Its content depends on the step alone, not on the speed of the machine, so a run that is
    repeated or resumed sees the same.
    """

    def __init__(self, make: Callable[[int], _T]) -> None:
        self._make = make
        self._futures: dict[int, Future[_T]] = {}
        self._members: Sequence[_T] = ()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="training-data")
        self._end = 0
        self._has_warned = False

    def at(self, step: int) -> Sequence[_T]:
        """The members that a step draws from, at least one.

        Those that cannot be prepared are left out; if there are no others, earlier ones stay.
        """
        end = FIRST + step // EVERY
        if end <= self._end:
            return self._members
        first = max(0, end - SIZE)
        self._futures = {n: made for n, made in self._futures.items() if n >= first}
        members, problem = [], None
        for number in range(first, end):
            try:
                members.append(self._future(number).result())
            except VAERestoreError as error:
                problem = error
                if not self._has_warned:
                    self._has_warned = True
                    _log.warning("going on without a part of the images: %s", error)
        self._members = members or self._members
        if problem is not None and not self._members:
            raise problem
        self._end = end
        self._future(end)  # the next one, ahead of its step
        return self._members

    def _future(self, number: int) -> Future[_T]:
        if number not in self._futures:
            self._futures[number] = self._worker.submit(self._make, number)
        return self._futures[number]


def spread_out(images: Sequence[Items], axes: str | None, n: int) -> Iterator[LoadedItems]:
    """Up to about n windows, evenly from the first image to the last, none twice."""
    for number in _evenly(len(images), n):
        try:
            sides = tuple(opened(item, axes) for item in images[number])
            windows = _grid(number, sides[0])
            for index in _evenly(len(windows), -(-n // len(images))):
                yield _cut(sides, windows[index])
        except (ImageFileError, InputError) as error:
            _log.debug("passed over: %s", error)


def are_many(images: Sequence[Items]) -> bool:
    """Whether images are too large, all together, to be read at once."""
    return sum(_size(item) for item, *_ in images) > MOST_AT_ONCE


def _evenly(n: int, most: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, n - 1, min(n, most)).round())]


def _grid(number: int, image: Loaded) -> list[_Window]:
    """Windows side by side in the middle of each plane."""
    spans = {
        axis: [
            slice(start, start + side)
            for start in range(length % side // 2, length - side + 1, side)
        ]
        for axis, (length, side) in _lengths(image).items()
    }
    return [
        _Window(number, dict(zip(spans, each, strict=True)))
        for each in product(*spans.values())
    ]


def _lengths(image: Loaded) -> dict[str, tuple[int, int]]:
    """Length of every axis but C and S, and that of a window; Y and X come last."""
    lengths = dict(zip(image.axes, image.data.shape, strict=True))
    planes = {axis: (length, 1) for axis, length in lengths.items() if axis not in "YXCS"}
    return planes | {axis: (lengths[axis], min(lengths[axis], SIDE)) for axis in "YX"}


def _cut(sides: LoadedItems, window: _Window) -> LoadedItems:
    """The window's pixels, and those of the same place in the other image."""
    return tuple(_part(side, window, factor_between(sides[0], side)) for side in sides)


def _part(image: Loaded, window: _Window, factor: int) -> Loaded:
    planes = iter(span.start for axis, span in window.spans.items() if axis not in "YX")
    where: list[int | slice] = []
    for axis in image.axes:
        if axis in "YX":
            span = window.spans[axis]
            where.append(slice(span.start * factor, span.stop * factor))
        else:
            where.append(slice(None) if axis in "CS" else next(planes))
    try:
        pixels = np.asarray(image.data[tuple(where)])
    except VAERestoreError:
        raise
    except Exception as error:  # of any type, where a chunk is damaged
        raise ImageFileError(
            f"Cannot read a part of {image.name}: {shortened(error)}."
        ) from error
    native = pixels.astype(pixels.dtype.newbyteorder("="))
    kept = "".join(axis for axis in image.axes if axis in "YXCS")
    return Loaded(image.name, *as_image(native, kept))


def _size(item: Item) -> int:
    """Pixels of an array, bytes of a picture's file; 0 for what cannot be opened."""
    try:
        if isinstance(item.given, Path) and not is_array_file(item.given):
            return item.given.stat().st_size
        return math.prod(opened(item, None).data.shape)
    except (OSError, VAERestoreError):
        return 0
