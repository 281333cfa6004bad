"""Blocks of a plan are computed here, whatever memory there is.

Where it runs out, a tile is cut in half, again and again, and in the end the processor
takes over from the graphics card: hours of work are not lost for a moment's want.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore.errors import RestorationError, told
from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.devices import choose_device, is_want_of_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.blocks.canvas import Canvas, Place
from napari_vae_restore.restoration.blocks.halo import measured_halo
from napari_vae_restore.restoration.blocks.mending import mended
from napari_vae_restore.restoration.blocks.parts import Scale, plane_posterior, plane_scale
from napari_vae_restore.restoration.blocks.plan import Block, Plan, scaled
from napari_vae_restore.restoration.blocks.tally import Tally, tally
from napari_vae_restore.restoration.blocks.windows import (
    Rectangle,
    Window,
    read_window,
    side_by_side,
)
from napari_vae_restore.restoration.inference.blend import Decided
from napari_vae_restore.restoration.inference.description import Description
from napari_vae_restore.restoration.inference.keys import LatentKeys
from napari_vae_restore.restoration.measurement import Measurement

_log = logging.getLogger(__name__)


class Solver:
    """Restores the blocks of a plan, one after the other.

    Parameters
    ----------
    plan : Plan
        Of the image.

    Attributes
    ----------
    notes : list of str
        What was done for want of memory, in words.
    descriptions : dict of (int, int) to list of numpy.ndarray
        By the first channel of a group and the plane, what the network saw in its tiles.
    n_passes : int
        Passes that are to be expected for all of the image.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._model = plan.model.on(choose_device(plan.device))
        self._most = math.inf
        self.notes: list[str] = []
        self.descriptions: dict[tuple[int, int], list[Description]] = {}
        self._tallies: list[Tally] = []
        self._repeated: Counter[float] = Counter()
        self.n_passes = plan.n_tiles * (1 + plan.n_samples)

    @property
    def tally(self) -> Tally:
        """Over the blocks so far."""
        return Tally.total(self._tallies)

    @property
    def repeated(self) -> tuple[float, ...]:
        """What unmeasured pixels hold, the most frequent first."""
        return tuple(value for value, _ in self._repeated.most_common())

    @property
    def unlikeness(self) -> float | None:
        """Of the channel that is least like the training's; None where nothing is known."""
        likeness = self._plan.model.likeness
        if likeness is None or not self.descriptions:
            return None
        groups: dict[int, list[Description]] = {}
        for (first, _), tiles in self.descriptions.items():
            blocks = [tile.reshape(1, -1, tile.shape[-1]) for tile in tiles]
            groups.setdefault(first, []).append(np.concatenate(blocks, axis=1))
        return max(likeness.unlikeness(planes) for planes in groups.values())

    @property
    def device(self) -> str:
        """Where the last block was computed."""
        return str(_device(self._model))

    def scale(self, group: slice, windows: list[Window]) -> Scale | None:
        """What is measured once for a plane, from the plan's windows; None for nothing."""
        places = self._plan.sample
        parts = [
            mended(self._plan, group, *each)[0] for each in zip(places, windows, strict=True)
        ]
        seen = [
            np.ones(part.intensities.shape, bool) if part.observed is None else part.observed
            for part in parts
        ]
        sample = Measurement(
            side_by_side([part.intensities for part in parts]),
            None if all(part.observed is None for part in parts) else side_by_side(seen),
            self._plan.noise[group],
        )
        if sample.observed is not None and not sample.observed.any():
            return None
        return plane_scale(self._model, self._plan.problem, sample)

    def paint_all(self, canvas: Canvas, planes: Any, missing: Any) -> Iterator[None]:
        """Restore an image that is in memory, pass by pass.

        Parameters
        ----------
        canvas : Canvas
            Where the result goes.
        planes, missing : numpy.ndarray
            (N, C, H, W); missing may be None.

        Yields
        ------
        None
            After each pass through the decoder.

        Raises
        ------
        InputError, RestorationError
            As :func:`~.mending.mended`, and :meth:`paint`.
        """
        plan = self._plan
        for part in plan.parts():
            sample = [read_window(planes, missing, part, place) for place in plan.sample]
            scale = self.scale(part[1], sample) if sample else None
            for block in plan.blocks:
                window = read_window(planes, missing, part, block.window)
                yield from self.paint(canvas, part, block, window, scale)

    def paint(
        self,
        canvas: Canvas,
        part: tuple[int, slice],
        block: Block,
        window: Window,
        scale: Scale | None,
        *,
        at: tuple[int, slice, int, int] | None = None,
    ) -> Iterator[None]:
        """Restore one block, pass by pass.

        Parameters
        ----------
        canvas : Canvas
            Where the result goes.
        part : (int, slice)
            Plane and group of channels in the image.
        block : Block
            Of the plan.
        window : Window
            What was read for the block.
        scale : Scale or None
            Of the plane; None where it is measured on the window, which is the plane.
        at : (int, slice, int, int), optional
            Plane and channels on the canvas, row and column of its first pixel in the
            result. By default the canvas holds the image.

        Yields
        ------
        None
            After each pass through the decoder.

        Raises
        ------
        RestorationError
            If the computation fails.
        """
        plan, (plane, group) = self._plan, part
        n, channels, top, left = (plane, group, 0, 0) if at is None else at
        place: Place = (n, channels, _from(block.core[0], top), _from(block.core[1], left))
        measurement, is_hot = mended(plan, group, block.window, window)
        keys = LatentKeys(
            plan.seed,
            plane * plan.layout.planes_shape[1] + group.start,
            plan.model.network.config.strides,
        )
        first = [part.start * plan.problem.factor for part in block.window]
        queue = deque(block.tiles)
        posterior = None
        decided: list[tuple[Tile, Decided]] = []
        while queue:
            tile = queue.popleft()
            if _n_pixels(tile) > self._most and (halves := self._halves(tile)):
                queue.extendleft(reversed(halves))
                continue
            here = _moved(n, channels, tile, first[0] - top, first[1] - left)
            n_done = 0
            try:
                if self._passes_through(tile, measurement):
                    kept = self._measured_core(measurement.intensities, tile.core)
                    canvas.keep(here, kept, np.ones(kept.shape, bool))
                    yield from [None] * (1 + plan.n_samples)
                    continue
                if scale is None:  # nor measured where nothing is missing
                    scale = plane_scale(self._model, plan.problem, measurement)
                if posterior is None:
                    posterior = plane_posterior(self._model, plan.problem, measurement, scale)
                for signal in posterior.signals(tile, plan.n_samples, keys):
                    canvas.add(here, signal[(slice(None), *tile.inner)])
                    n_done += 1
                    yield
                if posterior.description is not None:
                    seen = self.descriptions.setdefault((group.start, plane), [])
                    seen.append(posterior.description)
                if posterior.decided is not None:
                    decided.append((tile, posterior.decided))
            except (MemoryError, RuntimeError) as error:
                if not is_want_of_memory(error):
                    raise RestorationError(f"the restoration failed: {told(error)}") from error
                canvas.drop()
                self.n_passes += n_done
                queue.appendleft(tile)
                if self._relieve(tile, error):
                    posterior = None
        core = block.core_in_window(plan.problem.factor)
        if plan.noise:
            mean = np.nan_to_num(canvas.mean[place].astype(np.float64))
            predicted = np.asarray(plan.problem.operator(None).apply(mean), np.float64)
            found = _joined(decided, core, plan.problem.factor, len(predicted))
            whole = (slice(None), *core)
            origin = tuple(side.start // plan.problem.factor for side in block.core)
            places: dict[str, Any] = {"plane": part[0], "origin": origin}
            self._tallies.append(tally(measurement, predicted, whole, found, is_hot, **places))
        as_it_is = measurement.unmeasured
        if as_it_is is not None:
            held = measurement.intensities[as_it_is]
            self._repeated.update(dict(zip(*_counted(held), strict=True)))
        if not plan.noise and plan.problem.keeps_observed:
            as_it_is = measurement.observed
        if as_it_is is not None:
            values, where = (
                self._measured_core(each, scaled(core, plan.problem.factor))
                for each in (measurement.intensities, as_it_is)
            )
            put = canvas.leave if plan.noise else canvas.keep
            put(place, values, where)

    def _passes_through(self, tile: Tile, measurement: Measurement) -> bool:
        """Whether nothing of a tile's core is to be inferred."""
        observed = measurement.observed
        if observed is None:
            return False
        if not self._plan.noise:
            keeps = self._plan.problem.keeps_observed
            return keeps and bool(observed[(slice(None), *tile.core)].all())
        unmeasured = measurement.unmeasured
        if unmeasured is None:
            return False
        return bool(self._measured_core(unmeasured, tile.core).all())

    def _measured_core(self, values: NDArray[Any], core: Rectangle) -> NDArray[Any]:
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
            self.n_passes += 1 + self._plan.n_samples
        return halves

    def _relieve(self, tile: Tile, error: Exception) -> bool:
        """After a tile that memory did not suffice for; whether the device changed."""
        device = _device(self._model)
        if (halves := self._halves(tile)) is not None:
            self.n_passes -= 1 + self._plan.n_samples  # it is halved when its turn comes
            self._most = max(map(_n_pixels, halves))
            height, width = (part.stop - part.start for part in halves[0].core)
            self._note(f"out of memory on {device}: went on with tiles of {height} x {width}")
            return False
        if device.type != "cpu":
            self._model = self._plan.model.on(torch.device("cpu"))
            self._most = math.inf
            self._note(f"out of memory on {device}: went on on the processor")
            return True
        raise RestorationError(
            "out of memory even with smaller tiles on the processor: close other programs, or "
            "take a part of the image"
        ) from error

    def _note(self, text: str) -> None:
        self.notes.append(text)
        _log.warning("%s", text)


def _counted(values: NDArray[Any]) -> tuple[list[float], list[int]]:
    """Different values and how often each comes; all that are not a number are one."""
    found, counts = np.unique(values, return_counts=True, equal_nan=True)
    return [math.nan if v != v else float(v) for v in found], counts.tolist()


def _joined(
    decided: list[tuple[Tile, Decided]], core: Rectangle, factor: int, n_channels: int
) -> Decided | None:
    """What was decided of a block's tiles, on the measurement's grid; None for nothing."""
    if not decided:
        return None
    top, left = core[0].start, core[1].start
    shape = n_channels, core[0].stop - top, core[1].stop - left
    whole = Decided(np.ones(shape), np.zeros(shape), np.zeros(shape), (top, left))
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


def _from(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def _moved(n: int, channels: slice, tile: Tile, rows: int, columns: int) -> Place:
    """A tile's place on the canvas: its window starts at (rows, columns) there."""
    return n, channels, _from(tile.core[0], -rows), _from(tile.core[1], -columns)
