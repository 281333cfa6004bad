"""Examples for the model of every task: a condition, and what its mean head should say.

Whatever the supervision, training sees one kind of example. `SceneExamples` cuts them out
of a user's measurements, with a target that is a clean image, another shot, or the
measurement itself recorrupted; `SimulatedExamples` makes them from clean images.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.models.condition import CONDITION_CHANNELS
from napari_vae_restore.noise.correlation import WHITE, Correlation, correlated_noise
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training.degradations import kinds_of, simulate
from napari_vae_restore.training.local_noise import LocalNoise, Plane
from napari_vae_restore.training.pictures import PatchSource, Picture
from napari_vae_restore.training.pool import Pool
from napari_vae_restore.training.recorruption import ALPHA, Slow, recorrupt

if TYPE_CHECKING:
    from napari_vae_restore.training.self_taught import RiskPatch

_HELD_OUT_SHARE: Final = 0.1
_MAX_HELD_OUT: Final = 32
_MIN_SCALE: Final = 0.01
"""Least error that another one is relative to, in network units."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples, stacked.

    Attributes
    ----------
    condition : Tensor
        (N, 6, P, P) float32; see :func:`~.condition.condition_tensor`.
    target : Tensor
        (N, 1, P, P) float32, network units.
    weight : Tensor
        (N, 1, P, P) float32, 0 where the error does not count.
    scale : Tensor
        (N,) float32, the error that is to be expected: the noise's standard deviation, or
        what is wrong before anything is done.
    """

    condition: Tensor
    target: Tensor
    weight: Tensor
    scale: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device, laid out for convolutions."""
        condition, target, weight = (
            t.to(device, memory_format=torch.channels_last)
            for t in (self.condition, self.target, self.weight)
        )
        return Batch(condition, target, weight, self.scale.to(device))


Arrays = tuple[Plane, Plane, Plane, float]
"""Condition (6, P, P), target (P, P), weight (P, P), scale of one example."""


class Examples(Protocol):
    """Where a regression takes its examples from.

    Attributes
    ----------
    n_planes, n_pixels : int
        How much there is to learn from.
    noise : NoiseModel or None
        Of all measurements if they share it, in intensity units.
    is_held_out : bool
        False where there was too little to hold any out, so that `held_out` has been seen.
    """

    n_planes: int
    n_pixels: int
    noise: NoiseModel | None
    is_held_out: bool

    def draw(self, n: int, rng: np.random.Generator, step: int) -> Batch:
        """n examples to learn from in a step of the training."""
        ...

    def held_out(self, rng: np.random.Generator) -> list[Batch]:
        """Examples that training never draws; noise and simulation are `rng`'s."""
        ...

    def risk_patches(self, rng: np.random.Generator) -> list[RiskPatch]:
        """Patches to be judged by their risk, where there are no targets; else none."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A measured plane on the output grid, and what is known of it.

    Attributes
    ----------
    image : numpy.ndarray
        (H, W) float32, network units.
    slow : tuple of float
        Noise sigma, its correlation along y and x, log2 of the factor.
    noise : LocalNoise or None
        How to draw it, relative to sigma, for a scene whose only teacher is itself; None for
        one with a target.
    target : numpy.ndarray or None
        (H, W) float32, network units; None for one that is its own teacher.
    correlation : Correlation
        Of the noise, as it is drawn.
    """

    image: Plane
    slow: Slow
    noise: LocalNoise | None
    target: Plane | None
    correlation: Correlation = WHITE


class SceneExamples:
    """Patches of a user's measurements; see :class:`Examples`.

    Parameters
    ----------
    scenes : sequence of Scene
        Sides at least `side`.
    noise : NoiseModel or None
        That they share.
    side : int
        Of the patches, pixels, a multiple of the network's stride.
    stride : int
        The network's.
    seed : int
        Chooses the windows that are held out. They are seen as surroundings; they are
        never a target.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        noise: NoiseModel | None,
        *,
        side: int,
        stride: int,
        seed: int,
    ) -> None:
        self.noise = noise
        self.n_planes = len(scenes)
        self.n_pixels = sum(scene.image.size for scene in scenes)
        self._scenes, self._side = scenes, side
        areas = np.array([scene.image.size for scene in scenes], np.float64)
        self._shares = areas / areas.sum()
        self._window = max(stride, side // 2 // stride * stride)
        self._weights = [np.ones(scene.image.shape, np.float32) for scene in scenes]
        self._windows = self._hold_out(np.random.default_rng([seed, 1]))
        self.is_held_out = self.n_pixels > 4 * self._window**2

    def draw(self, n: int, rng: np.random.Generator, step: int = 0) -> Batch:
        """See :meth:`Examples.draw`."""
        chosen = rng.choice(len(self._scenes), size=n, p=self._shares)
        return _stacked(self._random_patch(int(index), rng) for index in chosen)

    def held_out(self, rng: np.random.Generator) -> list[Batch]:
        """See :meth:`Examples.held_out`; one batch for each window."""
        batches = []
        for index, top, left in self._windows:
            rows, columns = self._around(index, top, left)
            weight = np.zeros((self._side, self._side), np.float32)
            inner = (
                slice(top - rows.start, top - rows.start + self._window),
                slice(left - columns.start, left - columns.start + self._window),
            )
            weight[inner] = 1
            batches.append(_stacked([self._patch(index, rows, columns, weight, rng)]))
        return batches

    def risk_patches(self, rng: np.random.Generator) -> list[RiskPatch]:
        """None: there are targets."""
        del rng
        return []

    def _hold_out(self, rng: np.random.Generator) -> list[tuple[int, int, int]]:
        """Choose windows, (scene, top, left), and take them out of the weights."""
        size = self._window
        n = int(np.clip(_HELD_OUT_SHARE * self.n_pixels / size**2, 1, _MAX_HELD_OUT))
        windows = []
        for index in rng.choice(len(self._scenes), size=n, p=self._shares):
            height, width = self._weights[index].shape
            top, left = (int(rng.integers(length - size + 1)) for length in (height, width))
            windows.append((int(index), top, left))
            if self.n_pixels > 4 * size**2:
                self._weights[index][top : top + size, left : left + size] = 0
        return windows

    def _around(self, index: int, top: int, left: int) -> tuple[slice, slice]:
        """The patch with a window as near to its middle as the borders let it."""
        margin = (self._side - self._window) // 2
        starts = [
            min(max(0, start - margin), length - self._side)
            for start, length in zip((top, left), self._scenes[index].image.shape, strict=True)
        ]
        rows, columns = (slice(start, start + self._side) for start in starts)
        return rows, columns

    def _random_patch(self, index: int, rng: np.random.Generator) -> Arrays:
        height, width = self._scenes[index].image.shape
        top, left = (int(rng.integers(n - self._side + 1)) for n in (height, width))
        rows, columns = (slice(start, start + self._side) for start in (top, left))
        weight = self._weights[index][rows, columns]
        return _turned(self._patch(index, rows, columns, weight, rng), rng)

    def _patch(
        self, index: int, rows: slice, columns: slice, weight: Plane, rng: np.random.Generator
    ) -> Arrays:
        scene = self._scenes[index]
        sigma, rho_y, rho_x, scale = scene.slow
        image = scene.image[rows, columns]
        if scene.target is not None:
            target = scene.target[rows, columns]
            error = math.sqrt(float(np.square(target - image).mean()))
        else:
            assert scene.noise is not None
            normal = correlated_noise(image.shape, scene.correlation, rng)
            noise = sigma * scene.noise.shaped(normal, rows, columns)
            image, target = recorrupt(image, noise)
            error, sigma = sigma, sigma * math.sqrt(1 + ALPHA**2)
        condition = np.empty((CONDITION_CHANNELS, *image.shape), np.float32)
        condition[0], condition[1] = image, 1
        condition[2:] = np.array([sigma, rho_y, rho_x, scale])[:, None, None]
        return condition, target, weight, max(error, _MIN_SCALE)


class SimulatedExamples:
    """Degraded patches of clean images; see :class:`Examples`.

    Parameters
    ----------
    pictures : sequence of Picture
        Clean, scaled to about [0, 1].
    tasks : sequence of str
        What is simulated; see :class:`~.sources.Clean`.
    side : int
        Of the patches, pixels, a multiple of 12 and of the network's stride.
    seed : int
        Chooses what is held out.
    """

    noise: NoiseModel | None = None

    def __init__(
        self, pictures: Sequence[Picture], tasks: Sequence[str], *, side: int, seed: int
    ) -> None:
        self.n_planes = sum(len(picture.planes) for picture in pictures)
        self.n_pixels = sum(picture.planes.size for picture in pictures)
        self._kinds = kinds_of(tasks)
        kept, held_out = _split(pictures, side, np.random.default_rng([seed, 1]))
        self.is_held_out = bool(held_out)
        self._source = PatchSource(kept, side)
        self._unseen = PatchSource(held_out, side) if held_out else self._source

    def draw(self, n: int, rng: np.random.Generator, step: int = 0) -> Batch:
        """See :meth:`Examples.draw`."""
        return _stacked(self._simulated(self._source, rng) for _ in range(n))

    def held_out(self, rng: np.random.Generator) -> list[Batch]:
        """See :meth:`Examples.held_out`."""
        return [_stacked([self._simulated(self._unseen, rng)]) for _ in range(_MAX_HELD_OUT)]

    def risk_patches(self, rng: np.random.Generator) -> list[RiskPatch]:
        """None: there are targets."""
        del rng
        return []

    def _simulated(self, source: PatchSource, rng: np.random.Generator) -> Arrays:
        example = simulate(source.draw(rng), rng, self._kinds)
        weight, target = example.weight[0], example.target[0]
        squares = np.square(example.condition[0] - target) * weight
        error = math.sqrt(float(squares.sum() / max(weight.sum(), 1)))
        return example.condition, target, weight, max(error, _MIN_SCALE)


class PooledExamples:
    """Examples out of a changing part of what there is; see :class:`Examples`.

    Parameters
    ----------
    unseen : Examples
        Of which the held-out ones are taken.
    pool : Pool of Examples
        Of which all others are.
    n_planes, n_pixels : int
        How much there is.
    """

    is_held_out = True

    def __init__(
        self, unseen: Examples, pool: Pool[Examples], *, n_planes: int, n_pixels: int
    ) -> None:
        self.n_planes, self.n_pixels = n_planes, n_pixels
        self.noise = unseen.noise
        self._unseen, self._pool = unseen, pool

    def draw(self, n: int, rng: np.random.Generator, step: int) -> Batch:
        """See :meth:`Examples.draw`."""
        parts = self._pool.at(step)
        chosen = rng.integers(len(parts), size=n)
        drawn = [parts[index].draw(1, rng, step) for index in chosen]
        return Batch(
            *(
                torch.cat([getattr(one, field.name) for one in drawn])
                for field in dataclasses.fields(Batch)
            )
        )

    def held_out(self, rng: np.random.Generator) -> list[Batch]:
        """See :meth:`Examples.held_out`."""
        return self._unseen.held_out(rng)

    def risk_patches(self, rng: np.random.Generator) -> list[RiskPatch]:
        """See :meth:`Examples.risk_patches`."""
        return self._unseen.risk_patches(rng)


def _split(
    pictures: Sequence[Picture], side: int, rng: np.random.Generator
) -> tuple[list[Picture], list[Picture]]:
    """Pictures to learn from and others, or the lower ends of large ones."""
    if len(pictures) > 1 / _HELD_OUT_SHARE:
        n = round(_HELD_OUT_SHARE * len(pictures))
        unseen = {int(index) for index in rng.choice(len(pictures), size=n, replace=False)}
        return (
            [picture for i, picture in enumerate(pictures) if i not in unseen],
            [pictures[i] for i in sorted(unseen)],
        )
    kept: list[Picture] = []
    held_out: list[Picture] = []
    for picture in pictures:
        height = picture.planes.shape[2]
        rows = max(side, int(_HELD_OUT_SHARE * height))
        if height < 3 * rows:
            kept.append(picture)
            continue
        for part, into in ((slice(0, -rows), kept), (slice(-rows, None), held_out)):
            into.append(Picture(picture.planes[:, :, part], picture.weight, picture.is_colour))
    return kept, held_out


def _turned(arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """One of the eight orientations, of what is told of the noise too."""
    condition, target, weight, scale = arrays
    turns, mirrored = divmod(int(rng.integers(8)), 2)
    planes: list[NDArray[np.float32]] = []
    for plane in (condition, target, weight):
        turned = np.rot90(plane, turns, (-2, -1))
        planes.append(turned[..., ::-1] if mirrored else turned)
    if turns % 2:
        planes[0] = planes[0][[0, 1, 2, 4, 3, 5]]
    return planes[0], planes[1], planes[2], scale


def _stacked(examples: Iterable[Arrays]) -> Batch:
    conditions, targets, weights, scales = zip(*examples, strict=True)
    return Batch(
        condition=torch.from_numpy(np.stack(conditions)),
        target=torch.from_numpy(np.stack(targets)[:, None]),
        weight=torch.from_numpy(np.stack(weights)[:, None]),
        scale=torch.tensor(scales, dtype=torch.float32),
    )
