"""Tiles of a plane with enough surroundings that tiled equals whole.

A plane is thought to lie in a frame: mirrored outwards by a margin, and on to
multiples of the network's stride. Tiles start at multiples of the stride in that
frame, so that every tile sees the latent grids of the whole; their cores start at
multiples of their size in the plane, so that those of a result are the chunks of a
store. This module knows nothing of networks: the halo comes from the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

# Default side of the tiles' cores in pixels: the halo of the bundled model is then a sixth
# of the work, and a camera's 2048² is one piece without any.
TILE: Final = 2304
SMALLEST: Final = 64  # a smaller core is not halved: its halo would be most of the work

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a plane to read, and the part of it that counts."""

    # Pixels of the plane to read, halo and mirrored border included: index with ``plane[...,
    # rows[:, None], columns]``.
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    core: tuple[slice, slice]  # where the result goes in the plane
    inner: tuple[slice, slice]  # where the core lies in what was read
    # Frame coordinates of the first pixel that is read, multiples of the stride.
    origin: tuple[int, int]

    @property
    def n_pixels(self) -> int:
        """Pixels that are read."""
        return len(self.rows) * len(self.columns)

    def read(self, planes: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The tile's pixels, (..., rows, columns)."""
        pixels: NDArray[_Scalar] = planes[..., self.rows[:, None], self.columns]
        return pixels

    def within(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The part of what was read that lies in the plane, and its place in the plane."""
        lengths = len(self.rows), len(self.columns)
        parts = [
            _within(core.start - inner.start, read, length)
            for core, inner, read, length in zip(
                self.core, self.inner, lengths, shape, strict=True
            )
        ]
        return (parts[0][0], parts[1][0]), (parts[0][1], parts[1][1])

    def moved(self, row: int, column: int) -> Tile:
        """The same tile in a window of the plane that starts at a pixel; same origin."""
        rows, columns = self.core
        core = _moved(rows, -row), _moved(columns, -column)
        return replace(self, rows=self.rows - row, columns=self.columns - column, core=core)

    def halves(self, halo: int, stride: int) -> tuple[Tile, Tile] | None:
        """Two tiles with the same cores together, cut across the longer side."""
        heights = [part.stop - part.start for part in self.core]
        axis = int(heights[1] > heights[0])
        half = _round_up(heights[axis] // 2, stride)
        if min(half, heights[axis] - half) < SMALLEST:
            return None
        halo = _round_up(halo, stride)
        core, inner = self.core[axis], self.inner[axis]
        cut = inner.start + half
        before = slice(0, cut + halo), slice(core.start, core.start + half)
        after = slice(max(cut - halo, 0), None), slice(core.start + half, core.stop)
        return self._part(axis, *before), self._part(axis, *after)

    def _part(self, axis: int, read: slice, core: slice) -> Tile:
        """A tile that reads a part of what this one reads, for a part of its core."""
        indices, cores, inners = [self.rows, self.columns], list(self.core), list(self.inner)
        origin = list(self.origin)
        first = inners[axis].start + core.start - cores[axis].start - read.start
        indices[axis] = indices[axis][read]
        origin[axis] += read.start
        cores[axis], inners[axis] = core, slice(first, first + core.stop - core.start)
        return Tile(
            indices[0],
            indices[1],
            (cores[0], cores[1]),
            (inners[0], inners[1]),
            (origin[0], origin[1]),
        )


def tiles(
    height: int, width: int, *, size: int, halo: int, stride: int, margin: int
) -> list[Tile]:
    """Cover a plane with tiles, whose sizes become multiples of the stride; all in pixels."""
    size, halo, margin = (_round_up(value, stride) for value in (size, halo, margin))
    halo = max(halo, margin)
    rows = _intervals(height, size, halo, stride, margin)
    columns = _intervals(width, size, halo, stride, margin)
    return [
        Tile(r.indices, c.indices, (r.core, c.core), (r.inner, c.inner), (r.origin, c.origin))
        for r in rows
        for c in columns
    ]


@dataclass(frozen=True, slots=True)
class _Interval:
    indices: NDArray[np.intp]
    core: slice
    inner: slice
    origin: int


def _intervals(length: int, size: int, halo: int, stride: int, margin: int) -> list[_Interval]:
    frame = _round_up(length + 2 * margin, stride)
    mirrored = np.pad(np.arange(length), (margin, frame - length - margin), mode="symmetric")
    intervals = []
    for start in range(0, length, size):
        stop = min(start + size, length)
        first = margin + start
        origin, end = max(first - halo, 0), min(first + size + halo, frame)
        intervals.append(
            _Interval(
                mirrored[origin:end],
                slice(start, stop),
                slice(first - origin, first + stop - start - origin),
                origin,
            )
        )
    return intervals


def _within(start: int, read: int, length: int) -> tuple[slice, slice]:
    """Of `read` pixels from plane coordinate `start` on, those from 0 to `length`."""
    first, last = max(start, 0), min(start + read, length)
    return slice(first - start, last - start), slice(first, last)


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
