"""Blocks of a plan are computed here, whatever memory there is.

Where it runs out, a tile is cut in half, again and again, and in the end the processor
takes over from the graphics card: hours of work are not lost for a moment's want.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore.arrays import MAX_INTENSITY, is_usable
from napari_vae_restore.devices import choose_device, is_want_of_memory
from napari_vae_restore.errors import InputError, RestorationError, told
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.hot import without_hot_pixels
from napari_vae_restore.restoration.canvas import Canvas, Place
from napari_vae_restore.restoration.description import Description
from napari_vae_restore.restoration.halo import measured_halo
from napari_vae_restore.restoration.measurement import Mask, Measurement
from napari_vae_restore.restoration.parts import Scale, plane_posterior, plane_scale
from napari_vae_restore.restoration.plan import Block, Plan
from napari_vae_restore.restoration.posterior import LatentKeys
from napari_vae_restore.restoration.sampling import Window, read_window, side_by_side
from napari_vae_restore.tiling import Tile

_log = logging.getLogger(__name__)

_placed: WeakKeyDictionary[Model, dict[torch.device, Model]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Tally:
    """What is summed over blocks, for the diagnostics.

    Attributes
    ----------
    removed, expected : float
        Sums of squares: of what was taken away, and of the noise that was expected.
    n_hot : int
        Hot pixels.
    """

    removed: float = 0.0
    expected: float = 0.0
    n_hot: int = 0

    @classmethod
    def total(cls, parts: Sequence[Tally]) -> Tally:
        """The sum, rounded once: in whatever order blocks are done, it is the same."""
        return cls(
            math.fsum(part.removed for part in parts),
            math.fsum(part.expected for part in parts),
            sum(part.n_hot for part in parts),
        )

    @property
    def residual_std(self) -> float | None:
        """RMS of what was removed over that of the noise that was expected.

        The quotient of the sums, not the mean of quotients: where a signal-dependent
        model expects next to no noise, single dark pixels would outweigh the picture.
        """
        return math.sqrt(self.removed / self.expected) if self.expected else None


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
        self._model = placed(plan.model, choose_device(plan.device))
        self._most = math.inf
        self.notes: list[str] = []
        self.descriptions: dict[tuple[int, int], list[Description]] = {}
        self._tallies: list[Tally] = []
        self.n_passes = plan.n_tiles * (1 + plan.n_samples)

    @property
    def tally(self) -> Tally:
        """Over the blocks so far."""
        return Tally.total(self._tallies)

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

    def scale(self, group: slice, windows: list[Window]) -> Scale:
        """What is measured once for a plane, from windows of it."""
        parts = [measured(self._plan, group, *window)[0] for window in windows]
        seen = [part.observed for part in parts if part.observed is not None]
        sample = Measurement(
            side_by_side([part.intensities for part in parts]),
            side_by_side(seen) if seen else None,
            self._plan.noise[group],
        )
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
            As :func:`measured`, and :meth:`paint`.
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
        measurement, is_hot = measured(plan, group, *window)
        keys = LatentKeys(
            plan.seed,
            plane * plan.layout.planes_shape[1] + group.start,
            plan.model.network.config.strides,
        )
        first = [part.start * plan.problem.factor for part in block.window]
        queue = deque(block.tiles)
        posterior = None
        while queue:
            tile = queue.popleft()
            if _n_pixels(tile) > self._most and (halves := self._halves(tile)):
                queue.extendleft(reversed(halves))
                continue
            here = _moved(n, channels, tile, first[0] - top, first[1] - left)
            n_done = 0
            try:
                if self._passes_through(tile, measurement):
                    kept = (slice(None), *tile.core)
                    observed = np.ones(measurement.intensities[kept].shape, bool)
                    canvas.keep(here, measurement.intensities[kept], observed)
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
            except (MemoryError, RuntimeError) as error:
                if not is_want_of_memory(error):
                    raise RestorationError(f"the restoration failed: {told(error)}") from error
                canvas.drop()
                self.n_passes += n_done
                queue.appendleft(tile)
                if self._relieve(tile, error):
                    posterior = None
        core = (slice(None), *block.core_in_window(plan.problem.factor))
        if not plan.noise and plan.problem.keeps_observed and measurement.observed is not None:
            canvas.keep(place, measurement.intensities[core], measurement.observed[core])
        self._tallies.append(_tally(plan, group, measurement, core, canvas.mean[place], is_hot))

    def _passes_through(self, tile: Tile, measurement: Measurement) -> bool:
        """Whether nothing of a tile's core is missing, and what is there stays."""
        observed = measurement.observed
        if self._plan.noise or not self._plan.problem.keeps_observed or observed is None:
            return False
        return bool(observed[(slice(None), *tile.core)].all())

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
            self._model = placed(self._plan.model, torch.device("cpu"))
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


def placed(model: Model, device: torch.device) -> Model:
    """The model on a device, copied to it once."""
    copies = _placed.setdefault(model, {})
    if device not in copies:
        found = model.on(device)
        if found is model:
            return model
        copies[device] = found
    return copies[device]


def measured(
    plan: Plan, group: slice, values: NDArray[Any], missing: Mask | None
) -> tuple[Measurement, NDArray[np.bool_] | None]:
    """The measurement in a window (C, h, w), hot pixels taken out, and where they were.

    Raises
    ------
    InputError
        If a pixel that is not missing is not finite.
    """
    observed = None if missing is None else ~missing
    noise = plan.noise[group]
    if values.dtype.kind == "f":
        unusable = ~is_usable(values if observed is None else values[observed])
        if n_unusable := int(unusable.sum()):
            raise InputError(
                f"image: expected finite intensities, but {n_unusable} NaN or infinite, or "
                f"above {MAX_INTENSITY:g}, came: replace them, or inpaint them with a mask"
            )
    if not noise or observed is not None:
        # In an image with holes a pixel may have no surroundings.
        return Measurement(values, observed, noise), None
    found = [without_hot_pixels(y[None], model) for y, model in zip(values, noise, strict=True)]
    is_hot = np.concatenate([where for _, where in found])
    if is_hot.any():
        values = np.concatenate([calm for calm, _ in found]).astype(values.dtype)
    return Measurement(values, None, noise), is_hot


def _tally(
    plan: Plan,
    group: slice,
    measurement: Measurement,
    core: tuple[slice, ...],
    mean: NDArray[Any],
    is_hot: NDArray[np.bool_] | None,
) -> Tally:
    """What one block adds: the residual in its core, and the hot pixels there."""
    if not measurement.noise:
        return Tally()
    predicted = plan.problem.operator(None).apply(mean.astype(np.float64))
    removed = expected = 0.0
    for channel, model in enumerate(measurement.noise):
        seen = measurement.observed
        where: Any = True if seen is None else seen[core][channel]
        residual = measurement.intensities[core][channel].astype(np.float64)
        residual -= predicted[channel]
        removed += float(np.square(residual).sum(where=where))
        expected += float(model.variance(predicted[channel]).sum(where=where))
    return Tally(removed, expected, 0 if is_hot is None else int(is_hot[core].sum()))


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
