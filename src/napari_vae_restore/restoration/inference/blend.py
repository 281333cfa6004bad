"""Between the measurement and the network's answer, tile by tile, as the data decide.

Where there is little noise a network takes more structure away than noise. How much of its
answer is taken there is decided by :mod:`~.inference.decision`, for which the network runs
once more on a measurement with a little more noise. Where noise is far above what a network
could lose, and what it took away is no more than noise, its answer is taken as it is. What is
left of the measurement keeps its noise, so samples get such noise anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.correlation import WHITE, averaging_std
from napari_vae_restore.noise.numbers import FloatArray
from napari_vae_restore.operators.consistency import consistent
from napari_vae_restore.restoration.inference.decision import local_sum, spread_out, weight
from napari_vae_restore.restoration.inference.keys import LatentKeys
from napari_vae_restore.restoration.inference.local_mean import local_shift
from napari_vae_restore.restoration.inference.noise_field import noise_fields
from napari_vae_restore.restoration.inference.risk import divergence, share_of_texture
from napari_vae_restore.restoration.inference.units import Units, variances
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.problem import Problem

LITTLE_NOISE: Final = 20 / 255  # in network units: below it the decision is always made
_SMALL: Final = 2**16  # pixels of a plane for which it is always made: the time is nothing
_SPOT: Final = 96  # pixels a side of the spot that says whether a larger plane needs it
# Of the perturbation, in standard deviations: between 0.1 and 0.3 it made no difference, at 1
# answers are no longer linear in it.
_STEP: Final = 0.2
# Share of the measurement that chance keeps of strong noise, and that is not kept.
_CHANCE: Final = 0.08
# Share of the answer from which on the spot says that no decision is needed; it errs by
# 0.016. With texture all over, a micrograph's answer was 1 dB worse than the measurement even
# where the noise was strong.
_SURE: Final = 1 - _CHANCE
# Energy of what was taken away over the noise's: where it is less, strong noise needs no
# decision; where it is more, it is the decision's.
_REMOVED: Final = (1.1, 1.4)
# Standard errors by which a local mean may move in noise that averages out badly.
_MEAN_SIGMAS: Final = 5.0
_PROBE_SEED: Final = 0x5045
_REMAINDER: Final = 2**20  # numbers of draws of what remains, apart from those of latents


def _trusted(sigma: float, *, is_correlated: bool) -> float:
    """Share of a measured noise's variance that the estimate of the risk counts, 0 to 1.

    With twice the share that is noise for sure, the blend is no worse than the measurement
    even in the worst case.
    """
    sure = 1 - share_of_texture(sigma, is_correlated=is_correlated)
    return min(2 * sure, 1.0)


def with_decision(
    units: Units, sample: Measurement, answer: Callable[[NDArray[np.float32]], FloatArray]
) -> Units:
    """Units that say whether a plane needs a decision everywhere, by a sample (C, H, W).

    `answer` gives the network's (c, h, w), in network units, for values of that shape.
    """
    if not units.noise:
        return units
    if units.sigma < LITTLE_NOISE or sample.intensities[0].size <= _SMALL:
        return replace(units, decides=True)
    rows, columns = (
        slice((n - min(n, _SPOT)) // 2, (n - min(n, _SPOT)) // 2 + min(n, _SPOT))
        for n in sample.intensities.shape[1:]
    )
    part = np.s_[:, rows, columns]
    observed = None if sample.observed is None else sample.observed[part]
    spot = Measurement(sample.intensities[part], observed, units.noise)
    seen = spot.seen
    if not seen.any():
        return units
    y = spot.filled(units.to_network(spot.intensities)).astype(np.float32)
    drawn = noise_fields((_PROBE_SEED, 0, 0), (0, 0), (y.shape[1], y.shape[2]), units.noise)
    probe = np.where(seen, units.sigma * drawn, 0.0)
    found = answer(y)
    moved = answer((y + _STEP * probe).astype(np.float32))
    products = (divergence(probe, found, moved, _STEP) - units.sigma**2) * seen
    square = float(np.square(np.where(seen, found - y, 0.0)).sum())
    return replace(units, decides=-float(products.sum()) < _SURE * square)


@dataclass(frozen=True, slots=True, eq=False)
class TileDecision:
    """What was decided of a tile, on the measurement's grid; (C, h, w) each."""

    taken: FloatArray  # share of the network's answer, 0 to 1; 1 where nothing was measured
    # Estimated squared error of the measurement and of the blend, in units of the noise's
    # variance. Only sums of many pixels mean something. 0 where nothing was measured, and where
    # no decision was needed.
    before: FloatArray
    after: FloatArray
    origin: tuple[int, int]  # row and column of the first pixel in the window

    def within(self, rows: slice, columns: slice) -> TileDecision:
        """The same of a rectangle of the window, which lies in it."""
        top, left = self.origin
        part = (
            slice(None),
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        origin = rows.start, columns.start
        return TileDecision(self.taken[part], self.before[part], self.after[part], origin)


class Blend:
    """The measurement of one window, and how much of it is kept.

    Tiles are on the output's grid. Everything here is on the measurement's, for that part of a
    tile that lies in the plane. `measured` (C, H, W) is in network units, holes filled.
    """

    def __init__(
        self,
        model: Model,
        problem: Problem,
        measurement: Measurement,
        units: Units,
        measured: NDArray[np.floating],
    ) -> None:
        self._factor = problem.factor
        self._operator = problem.operator(None)
        self._units, self._measured = units, measured
        self._intensities, self._noise = measurement.intensities, measurement.noise
        self._observed = measurement.seen
        self._probe: FloatArray | None = None
        self._trusted = 1.0
        if problem.measures_noise(model):
            correlated = any(noise.correlation != WHITE for noise in measurement.noise)
            self._trusted = _trusted(units.sigma, is_correlated=correlated)
        self.decided: TileDecision | None = None  # of the last tile

    def signals(
        self,
        tile: Tile,
        mean: FloatArray,
        again: Callable[[NDArray[np.float32]], FloatArray],
        draw: Callable[[int], FloatArray],
        n_samples: int,
        keys: LatentKeys,
    ) -> Iterator[FloatArray]:
        """A tile's mean and samples in intensities, as much of each as the data decide.

        `mean` (C, h, w) is in network units, as what `again` gives for other values (C, H, W)
        of the whole window, and `draw` for the number of a sample.
        """
        self.decided = decided = self.decide(tile, mean, again)
        yield self.blended(mean, tile, decided)
        for sample in range(n_samples):
            drawn = draw(sample)
            noise = None if decided is None else self.redrawn(tile, keys, sample)
            yield self.blended(drawn, tile, decided, noise)

    def decide(
        self,
        tile: Tile,
        answer: FloatArray,
        again: Callable[[NDArray[np.float32]], FloatArray],
    ) -> TileDecision | None:
        """How much of an answer (C, h, w), in network units, is taken in one tile.

        `again` gives the answer in the tile to other values (C, H, W) of the whole window. None
        where the answer is to be taken as it is.
        """
        sigma, part = self._units.sigma, self._part(tile)
        seen = self._observed[part]
        difference = np.where(seen, self._predicted(answer, tile) - self._measured[part], 0.0)
        needed = self._needed(difference, seen)
        if not needed.any():
            return None
        if self._trusted == 0:
            before = seen.astype(np.float64)
            taken = np.where(seen, 1 - needed, 1.0)
            return TileDecision(taken, before, before, (part[1].start, part[2].start))
        if self._probe is None:
            drawn = self._fields(tile, 0, (_PROBE_SEED, 0), self._window)
            self._probe = np.where(self._observed, sigma * drawn, 0.0)
        perturbed = (self._measured + _STEP * self._probe).astype(np.float32)
        moved = self._predicted(again(perturbed), tile)
        trace = divergence(self._probe[part], self._predicted(answer, tile), moved, _STEP)
        products = self._trusted * (trace - sigma**2) * seen
        channels = zip(difference, products, seen, strict=True)
        kept = 1 - np.stack([weight(*each) for each in channels])
        if sigma >= LITTLE_NOISE:
            kept = np.maximum(kept - _CHANCE, 0.0) / (1 - _CHANCE)
        taken = np.where(seen, 1 - needed * kept, 1.0)
        before = seen.astype(np.float64)
        after = before + (np.square(taken * difference) + 2 * taken * products) / sigma**2
        return TileDecision(taken, before, after, (part[1].start, part[2].start))

    def blended(
        self,
        values: FloatArray,
        tile: Tile,
        decided: TileDecision | None,
        noise: FloatArray | None = None,
    ) -> FloatArray:
        """A signal in intensities, from a mean or sample (C, h, w) in network units.

        `noise` of deviation 1 is drawn anew for what is kept of the measurement; see `redrawn`.
        """
        if decided is None:
            return self._units.from_network(values)
        part, inside = self._part(tile), self._inside(tile)
        kept = 1 - decided.taken
        if self._factor > 1:
            # Photons are many where noise is little: stabilised values are as good as theirs.
            predicted = self._predicted(values, tile)
            rest = self._measured[part] - predicted
            if noise is not None:
                rest = rest + self._units.sigma * noise
            values = values.copy()
            values[inside] = consistent(values[inside], predicted + kept * rest, self._operator)
            return self._units.from_network(values)
        found = self._units.from_network(values)
        y, x = self._intensities[part].astype(np.float64), found[inside]
        if noise is not None:
            y = y + noise * np.sqrt(variances(self._noise, x))
        found[inside] = np.where(kept > 0, x + kept * (y - x), x)
        return found

    def redrawn(self, tile: Tile, keys: LatentKeys, sample: int) -> FloatArray:
        """Noise of deviation 1 in the tile, for one sample."""
        part = self._part(tile)
        start = part[1].start, part[2].start
        shape = part[1].stop - start[0], part[2].stop - start[1]
        draw = keys.seed, _REMAINDER + sample
        return self._fields(tile, keys.plane, draw, shape, start)

    def mean_shift(self, answer: FloatArray, tile: Tile) -> FloatArray:
        """What brings back local means that moved by more than noise allows, (C, h, w)."""
        part = self._part(tile)
        measured, seen = self._measured[part], self._observed[part]
        predicted = self._predicted(answer, tile)
        shift = np.zeros(answer.shape)
        found = [
            local_shift(
                measured[c, None],
                seen[c, None],
                predicted[c, None],
                self._units.sigma * averaging_std(model.correlation),
                significant=_MEAN_SIGMAS,
            )
            for c, model in enumerate(self._noise)
        ]
        large = np.concatenate(found).repeat(self._factor, axis=1).repeat(self._factor, axis=2)
        shift[self._inside(tile)] = large
        return shift

    def _needed(self, difference: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
        """Where the decision counts, (C, h, w), 0 to 1."""
        if self._units.decides:
            return np.ones_like(difference)
        low, high = _REMOVED
        found = []
        for d, o in zip(difference, seen, strict=True):
            share = np.maximum(local_sum(o.astype(np.float64)), 1e-12)
            removed = local_sum(np.square(d)) / share / self._units.sigma**2
            found.append(np.clip((removed - low) / (high - low), 0.0, 1.0))
        return spread_out(np.stack(found), difference.shape[1:])

    def _predicted(self, values: FloatArray, tile: Tile) -> FloatArray:
        """A x on the tile's part of the measurement."""
        found = values[self._inside(tile)]
        return found if self._factor == 1 else np.asarray(self._operator.apply(found))

    def _fields(
        self,
        tile: Tile,
        plane: int,
        draw: tuple[int, int],
        shape: tuple[int, int],
        start: tuple[int, int] = (0, 0),
    ) -> FloatArray:
        """A field for each channel, from a pixel of the window on; the same in any tile."""
        first = [
            (at + inner.start - core.start) // self._factor
            for at, inner, core in zip(tile.origin, tile.inner, tile.core, strict=True)
        ]
        origin = first[0] + start[0], first[1] + start[1]
        return noise_fields((*draw, plane), origin, shape, self._noise)

    def _inside(self, tile: Tile) -> tuple[slice, slice, slice]:
        rows, columns = tile.within(self._shape)[0]
        return slice(None), rows, columns

    def _part(self, tile: Tile) -> tuple[slice, slice, slice]:
        rows, columns = (
            slice(p.start // self._factor, p.stop // self._factor)
            for p in tile.within(self._shape)[1]
        )
        return slice(None), rows, columns

    @property
    def _window(self) -> tuple[int, int]:
        height, width = self._measured.shape[1:]
        return height, width

    @property
    def _shape(self) -> tuple[int, int]:
        """Of the window on the output's grid."""
        height, width = self._window
        return height * self._factor, width * self._factor
