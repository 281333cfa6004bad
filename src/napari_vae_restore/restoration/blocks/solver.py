"""Solves the blocks of a plan, whatever memory there is.

Where memory runs out, a tile is cut in half, again and again, and in the end the processor
takes over from the graphics card: hours of work are not lost for a moment's lack of memory.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore.errors import RestorationError, shortened
from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.devices import choose_device, is_out_of_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.blocks.halo import measured_halo
from napari_vae_restore.restoration.blocks.mending import mended
from napari_vae_restore.restoration.blocks.parts import Scale, plane_posterior, plane_scale
from napari_vae_restore.restoration.blocks.plan import Block, Plan, scaled
from napari_vae_restore.restoration.blocks.result_buffer import Place, ResultBuffer
from napari_vae_restore.restoration.blocks.tally import Tally, tally
from napari_vae_restore.restoration.blocks.windows import Part, Rectangle, Window, read_window
from napari_vae_restore.restoration.inference.blend import TileDecision
from napari_vae_restore.restoration.inference.description import Description
from napari_vae_restore.restoration.inference.keys import LatentKeys
from napari_vae_restore.restoration.inference.noise_field import noise_fields
from napari_vae_restore.restoration.inference.posterior import PlanePosterior
from napari_vae_restore.restoration.inference.units import variances
from napari_vae_restore.restoration.measurement import Measurement

_log = logging.getLogger(__name__)

_GRAIN = 2**21  # number of the draw of a filling's grain, apart from those of latents


class Solver:
    """Restores the blocks of a plan, one after the other."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._model = plan.model.on(choose_device(plan.options.device))
        self._tile_limit = math.inf  # pixels
        self._tallies: list[Tally] = []
        self._repeated: Counter[float] = Counter()
        self._passes_per_tile = 1 + plan.n_drawn
        self.n_passes = plan.n_tiles * self._passes_per_tile  # to be expected for all of it
        self.notes: list[str] = []  # what was done for lack of memory
        # By the first channel of a group and the plane, what the network saw in its tiles.
        self.descriptions: dict[tuple[int, int], list[Description]] = {}

    @property
    def tally(self) -> Tally:
        """Over the blocks so far."""
        return Tally.total(self._tallies)

    @property
    def repeated(self) -> tuple[float, ...]:
        """Values of unmeasured pixels, the most frequent first."""
        return tuple(value for value, _ in self._repeated.most_common())

    @property
    def ood_score(self) -> float | None:
        """Of the channel that is least like the training's; None where nothing is known."""
        score = self._plan.model.ood_score
        if score is None or not self.descriptions:
            return None
        groups: dict[int, list[Description]] = {}
        for (first, _), tiles in self.descriptions.items():
            blocks = [tile.reshape(1, -1, tile.shape[-1]) for tile in tiles]
            groups.setdefault(first, []).append(np.concatenate(blocks, axis=1))
        return max(score.of(planes) for planes in groups.values())

    @property
    def device(self) -> str:
        """Where the last block was computed."""
        return str(_device(self._model))

    def solve_all(self, buffer: ResultBuffer, planes: Any, missing: Any) -> Iterator[None]:
        """Restore planes (N, C, H, W) in memory; yields after each pass through the decoder."""
        plan = self._plan
        for part in plan.parts():
            sample = [read_window(planes, missing, part, place) for place in plan.sample]
            scale = self.scale(part[1], sample) if sample else None
            for block in plan.blocks:
                window = read_window(planes, missing, part, block.window)
                yield from self.solve_block(buffer, part, block, window, scale)

    def scale(self, group: slice, windows: list[Window]) -> Scale | None:
        """Measure the scale of a plane in the plan's windows; None if nothing was observed."""
        plan = self._plan
        parts = [
            mended(plan, group, *each)[0] for each in zip(plan.sample, windows, strict=True)
        ]
        observed = None
        if any(part.observed is not None for part in parts):
            observed = np.concatenate([part.seen for part in parts], axis=1)
            if not observed.any():
                return None
        # Side by side, (C, k h, w): few inner borders do not count.
        values = np.concatenate([part.intensities for part in parts], axis=1)
        sample = Measurement(values, observed, plan.noise[group])
        return plane_scale(self._model, plan.problem, sample)

    def solve_block(
        self,
        buffer: ResultBuffer,
        part: Part,
        block: Block,
        window: Window,
        scale: Scale | None,
    ) -> Iterator[None]:
        """Restore one block of a plane and group of channels, from the window that was read.

        Without a scale it is measured on the window, which is the plane. Yields after each
        pass through the decoder. Raises RestorationError if the computation fails.
        """
        plan, (plane, group) = self._plan, part
        measurement, is_hot = mended(plan, group, block.window, window)
        first_channel = plane * plan.layout.planes_shape[1] + group.start
        strides = plan.model.network.config.strides
        keys = LatentKeys(plan.options.seed, first_channel, strides)
        shared = _Shared(measurement, keys, scale)
        yield from self._solve_tiles(buffer, part, block, shared)
        place = (*part, *block.core)
        if plan.noise:
            mean = np.nan_to_num(buffer.mean_at(place).astype(np.float64))
            found = self._tally(mean, plane, block, measurement, is_hot, shared.decided)
            self._tallies.append(found)
        self._put_back(buffer, place, block, measurement)

    def _solve_tiles(
        self, buffer: ResultBuffer, part: Part, block: Block, shared: _Shared
    ) -> Iterator[None]:
        """Tile by tile; smaller tiles where memory runs out."""
        queue = deque(block.tiles)
        while queue:
            tile = queue.popleft()
            if _n_pixels(tile) > self._tile_limit and (halves := self._halves(tile)):
                queue.extendleft(reversed(halves))
                continue
            core = block.in_result(tile.core, self._plan.problem.factor)
            n_done = 0
            try:
                for _ in self._solve_tile(buffer, (*part, *core), tile, shared):
                    n_done += 1
                    yield
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise RestorationError(
                        f"the restoration failed: {shortened(error)}"
                    ) from error
                buffer.drop()
                self.n_passes += n_done
                queue.appendleft(tile)
                if self._relieve(tile, error):
                    shared.posterior = None

    def _solve_tile(
        self, buffer: ResultBuffer, place: Place, tile: Tile, shared: _Shared
    ) -> Iterator[None]:
        """Infer, decide, agree, put: a tile's mean and samples, a sample in drawn holes."""
        plan, measurement = self._plan, shared.measurement
        if self._passes_through(tile, measurement):
            kept = self._enlarged(measurement.intensities, tile.core)
            buffer.keep(place, kept, np.ones(kept.shape, bool))
            yield from [None] * self._passes_per_tile
            return
        if shared.scale is None:
            shared.scale = plane_scale(self._model, plan.problem, measurement)
        posterior = shared.posterior
        if posterior is None:
            posterior = plane_posterior(self._model, plan.problem, measurement, shared.scale)
            shared.posterior = posterior
        for number, signal in enumerate(posterior.signals(tile, plan.n_drawn, shared.keys)):
            values = signal[(slice(None), *tile.inner)]
            buffer.add(place, values)
            if plan.problem.draws and number == 1 and measurement.observed is not None:
                missing = self._enlarged(~measurement.observed, tile.core)
                noise = plan.grain[place[1]]
                buffer.fill(place, _with_grain(values, noise, tile, shared.keys), missing)
            yield
        if posterior.description is not None:
            seen = self.descriptions.setdefault((place[1].start, place[0]), [])
            seen.append(posterior.description)
        if posterior.decided is not None:
            shared.decided.append((tile, posterior.decided))

    def _tally(
        self,
        mean: NDArray[np.float64],
        plane: int,
        block: Block,
        measurement: Measurement,
        is_hot: NDArray[np.bool_] | None,
        decided: list[tuple[Tile, TileDecision]],
    ) -> Tally:
        """Sums of a block with a mean (C, h, w), for the diagnostics."""
        problem = self._plan.problem
        core = block.core_in_window(problem.factor)
        predicted = np.asarray(problem.operator(None).apply(mean), np.float64)
        rows, columns = (side.start // problem.factor for side in block.core)
        return tally(
            measurement,
            predicted,
            (slice(None), *core),
            _joined(decided, core, problem.factor, len(predicted)),
            is_hot,
            plane=plane,
            origin=(rows, columns),
        )

    def _put_back(
        self, buffer: ResultBuffer, place: Place, block: Block, measurement: Measurement
    ) -> None:
        """Put in, bit for bit, what nothing measured, and what noise-free pixels held."""
        plan, as_it_is = self._plan, measurement.unmeasured
        if as_it_is is not None:
            # All NaN are one value.
            found = np.unique(
                measurement.intensities[as_it_is], return_counts=True, equal_nan=True
            )
            for value, count in zip(*(each.tolist() for each in found), strict=True):
                self._repeated[math.nan if value != value else float(value)] += count
        if not plan.noise and plan.problem.keeps_observed:
            as_it_is = measurement.observed
        if as_it_is is None:
            return
        core = scaled(block.core_in_window(plan.problem.factor), plan.problem.factor)
        put = buffer.leave if plan.noise else buffer.keep
        put(
            place,
            self._enlarged(measurement.intensities, core),
            self._enlarged(as_it_is, core),
        )

    def _passes_through(self, tile: Tile, measurement: Measurement) -> bool:
        """Whether nothing of a tile's core is to be inferred."""
        observed, unmeasured = measurement.observed, measurement.unmeasured
        if self._plan.noise:
            return unmeasured is not None and bool(self._enlarged(unmeasured, tile.core).all())
        if observed is None or not self._plan.problem.keeps_observed:
            return False
        return bool(observed[(slice(None), *tile.core)].all())

    def _enlarged(self, values: NDArray[Any], core: Rectangle) -> NDArray[Any]:
        """(C, h, w) of a window, in a rectangle of the output's grid, pixels repeated."""
        factor = self._plan.problem.factor
        rows, columns = (slice(p.start // factor, -(-p.stop // factor)) for p in core)
        part = values[:, rows, columns]
        return part if factor == 1 else part.repeat(factor, axis=1).repeat(factor, axis=2)

    def _halves(self, tile: Tile) -> tuple[Tile, Tile] | None:
        """The tile in two, where a half of it can be restored."""
        config, problem = self._plan.model.network.config, self._plan.problem
        if config.fixed_size is not None or problem.blur is not None:
            return None
        stride = math.lcm(config.stride, problem.factor)
        halves = tile.halves(self._plan.halo or measured_halo(self._model), stride)
        if halves is not None:
            self.n_passes += self._passes_per_tile
        return halves

    def _relieve(self, tile: Tile, error: Exception) -> bool:
        """After a tile that memory did not suffice for; whether the device changed."""
        device = _device(self._model)
        if (halves := self._halves(tile)) is not None:
            self.n_passes -= self._passes_per_tile  # it is halved when its turn comes
            self._tile_limit = max(map(_n_pixels, halves))
            height, width = (part.stop - part.start for part in halves[0].core)
            self._note(f"out of memory on {device}: went on with tiles of {height} x {width}")
            return False
        if device.type != "cpu":
            self._model = self._plan.model.on(torch.device("cpu"))
            self._tile_limit = math.inf
            self._note(f"out of memory on {device}: went on on the processor")
            return True
        raise RestorationError(
            "out of memory even with smaller tiles on the processor: close other programs, or "
            "take a part of the image"
        ) from error

    def _note(self, text: str) -> None:
        self.notes.append(text)
        _log.warning("%s", text)


@dataclass(slots=True, eq=False)
class _Shared:
    """What the tiles of a block share; the last three are made when a tile needs them."""

    measurement: Measurement
    keys: LatentKeys
    scale: Scale | None
    posterior: PlanePosterior | None = None
    decided: list[tuple[Tile, TileDecision]] = field(default_factory=list)


def _joined(
    decided: list[tuple[Tile, TileDecision]], core: Rectangle, factor: int, n_channels: int
) -> TileDecision | None:
    """Decisions of a block's tiles, on the measurement's grid; None where there are none."""
    if not decided:
        return None
    top, left = core[0].start, core[1].start
    shape = n_channels, core[0].stop - top, core[1].stop - left
    whole = TileDecision(np.ones(shape), np.zeros(shape), np.zeros(shape), (top, left))
    for tile, found in decided:
        rows, columns = (slice(p.start // factor, p.stop // factor) for p in tile.core)
        there, here = whole.within(rows, columns), found.within(rows, columns)
        there.taken[:], there.before[:], there.after[:] = here.taken, here.before, here.after
    return whole


def _n_pixels(tile: Tile) -> int:
    rows, columns = tile.core
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _device(model: Model) -> torch.device:
    return next(model.network.parameters()).device


def _with_grain(
    values: NDArray[np.float64], noise: tuple[NoiseModel, ...], tile: Tile, keys: LatentKeys
) -> NDArray[np.float64]:
    """A drawn filling (C, h, w) with the noise that the image's channels have around it."""
    if not noise:
        return values
    top, left = (at + side.start for at, side in zip(tile.origin, tile.inner, strict=True))
    shape = values.shape[1], values.shape[2]
    grain = noise_fields((keys.seed, _GRAIN, keys.plane), (top, left), shape, noise)
    return values + np.sqrt(variances(noise, values)) * grain
