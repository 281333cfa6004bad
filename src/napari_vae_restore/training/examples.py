"""Examples for the model of every task: conditions and the targets of its mean head.

Whatever the supervision, training sees one kind of example. `PlaneExamples` cuts them out
of a user's measurements, with a target that is a clean image, another shot, or the
measurement itself recorrupted; `SimulatedExamples` makes them from clean images.

To recorrupt, noise n, drawn like the camera's, is added and subtracted, which gives two
measurements,

    y1 = y + alpha n,    y2 = y - n / alpha,

whose noises are independent if y's is Gaussian: regression of y2 on y1 then has the same
minimum as regression of the clean signal (Recorrupted-to-Recorrupted; Pang et al., CVPR
2021, equations 6 to 9). With alpha = 1 that holds for noise e of any distribution, if n has
the same: e and n can change places, so that E[e - n | e + n] = 0. Noise is therefore drawn
with the strength and the shape measured in the image. In the dark of a photon counter it is
far weaker than after ideal stabilisation, and noise drawn too strong would teach the network
to undo it twice; speckle is skewed, and Gaussian noise in its place would leave some of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.models.condition import CONDITION_CHANNELS
from napari_vae_restore.noise.correlation import WHITE, Correlation, correlated_noise
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.risk import Window
from napari_vae_restore.training.degradations import kinds_of, simulate
from napari_vae_restore.training.local_noise import LocalNoise, Plane, PlaneConstants
from napari_vae_restore.training.pictures import PatchSource, Picture
from napari_vae_restore.training.windows import WindowCache

if TYPE_CHECKING:
    from napari_vae_restore.training.self_supervised import RiskPatch, RiskTerms

ALPHA: Final = 1.0
"""Both measurements are equally noisy, which non-Gaussian noise needs. At 0.5 the second is so
noisy that adapting for two minutes gains less than half as much (four fluorescence images)."""

_HELD_OUT_SHARE: Final = 0.1
_MAX_HELD_OUT: Final = 32
_MIN_SCALE: Final = 0.01  # smallest `scale` of an example, in network units


class Batch(NamedTuple):
    """Stacked examples."""

    condition: Tensor  # (N, 6, P, P) float32; see :func:`~.condition.condition_tensor`
    target: Tensor  # (N, 1, P, P) float32, network units
    weight: Tensor  # (N, 1, P, P) float32, 0 where the error does not count
    # (N,) float32, expected error: the noise's standard deviation, or the error before
    # restoring.
    scale: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, laid out for convolutions."""
        condition, target, weight = (
            t.to(device, memory_format=torch.channels_last)
            for t in (self.condition, self.target, self.weight)
        )
        return Batch(condition, target, weight, self.scale.to(device))


Arrays = tuple[Plane, Plane, Plane, float]
"""Condition (6, P, P), target (P, P), weight (P, P), scale of one example."""


class Examples(Protocol):
    """A source of examples for regression; `noise` is that of all measurements, if shared."""

    n_planes: int
    n_pixels: int
    noise: NoiseModel | None
    is_held_out: bool

    def draw(self, n: int, rng: np.random.Generator, step: int) -> Batch:
        """Draw n training examples for a step."""
        ...

    def held_out(self, rng: np.random.Generator) -> Sequence[Batch | RiskPatch]:
        """Examples that training never draws; `rng` draws their noise and degradations.

        Where there are no targets, patches to judge by unbiased risk.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPlane:
    """A measured plane on the output grid, with its noise and, perhaps, a target."""

    image: Plane  # (H, W) float32, network units
    constants: PlaneConstants
    noise: LocalNoise | None  # relative to sigma; None where there is a target
    target: Plane | None  # (H, W) float32, network units; None for noisy images alone
    correlation: Correlation = WHITE  # of the noise that is drawn
    terms: RiskTerms | None = None  # by which noisy images alone are judged


HeldOut = tuple[int, Window, tuple[Window, ...]]
"""Number of a plane, a patch of it, and the windows in that patch which are held out."""


class PlaneExamples:
    """Patches of measurements, of a side that is a multiple of the network's stride."""

    def __init__(
        self,
        planes: Sequence[TrainingPlane],
        noise: NoiseModel | None,
        *,
        side: int,
        stride: int,
        seed: int,
    ) -> None:
        self.noise = noise
        self.n_planes = len(planes)
        self.n_pixels = sum(plane.image.size for plane in planes)
        self._planes, self._side = planes, side
        areas = np.array([plane.image.size for plane in planes], np.float64)
        self._shares = areas / areas.sum()
        self._window = max(stride, side // 2 // stride * stride)
        self._weights = [np.ones(plane.image.shape, np.float32) for plane in planes]
        self.is_held_out = True
        self._held_out = self._hold_out(np.random.default_rng([seed, 1]))

    def draw(self, n: int, rng: np.random.Generator, step: int = 0) -> Batch:
        chosen = rng.choice(len(self._planes), size=n, p=self._shares)
        return _stacked(self._random_patch(int(index), rng) for index in chosen)

    def held_out(self, rng: np.random.Generator) -> Sequence[Batch | RiskPatch]:
        """One batch for each window."""
        batches = []
        for index, place, windows in self._held_out:
            weight = np.zeros((self._side, self._side), np.float32)
            for window in windows:
                weight[window] = 1
            batches.append(_stacked([self._patch(index, place, weight, rng)]))
        return batches

    def _hold_out(self, rng: np.random.Generator) -> list[HeldOut]:
        """Choose windows, and take them out of the weights where enough remains."""
        size = self._window
        self.is_held_out = self.n_pixels > 4 * size**2
        n = int(np.clip(_HELD_OUT_SHARE * self.n_pixels / size**2, 1, _MAX_HELD_OUT))
        chosen: list[HeldOut] = []
        for index in rng.choice(len(self._planes), size=n, p=self._shares):
            height, width = self._weights[index].shape
            top, left = (int(rng.integers(length - size + 1)) for length in (height, width))
            rows, columns = place = self._around(index, top, left)
            window = square(top - rows.start, left - columns.start, size)
            chosen.append((int(index), place, (window,)))
            if self.is_held_out:
                self._weights[index][square(top, left, size)] = 0
        return chosen

    def _around(self, index: int, top: int, left: int) -> Window:
        """The patch with a window as near to its middle as the borders allow."""
        margin = (self._side - self._window) // 2
        height, width = self._planes[index].image.shape
        return square(
            min(max(0, top - margin), height - self._side),
            min(max(0, left - margin), width - self._side),
            self._side,
        )

    def _random_patch(self, index: int, rng: np.random.Generator) -> Arrays:
        height, width = self._planes[index].image.shape
        top, left = (int(rng.integers(n - self._side + 1)) for n in (height, width))
        place = square(top, left, self._side)
        return _turned(self._patch(index, place, self._weights[index][place], rng), rng)

    def _patch(
        self, index: int, place: Window, weight: Plane, rng: np.random.Generator
    ) -> Arrays:
        plane = self._planes[index]
        sigma, *others = plane.constants
        image = plane.image[place]
        if plane.target is not None:
            target = plane.target[place]
            error = math.sqrt(float(np.square(target - image).mean()))
        else:
            noise = cast("LocalNoise", plane.noise)  # measured where there is no target
            normal = correlated_noise(image.shape, plane.correlation, rng)
            image, target = recorrupt(image, sigma * noise.shaped(normal, place))
            error, sigma = sigma, sigma * math.sqrt(1 + ALPHA**2)
        condition = np.empty((CONDITION_CHANNELS, *image.shape), np.float32)
        condition[0], condition[1] = image, 1
        condition[2:] = np.array([sigma, *others])[:, None, None]
        return condition, target, weight, max(error, _MIN_SCALE)


class SimulatedExamples:
    """Degraded patches of clean images; their side is a multiple of 12 and of the stride."""

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
        return _stacked(self._simulated(self._source, rng) for _ in range(n))

    def held_out(self, rng: np.random.Generator) -> Sequence[Batch]:
        return [_stacked([self._simulated(self._unseen, rng)]) for _ in range(_MAX_HELD_OUT)]

    def _simulated(self, source: PatchSource, rng: np.random.Generator) -> Arrays:
        example = simulate(source.draw(rng), rng, self._kinds)
        weight, target = example.weight[0], example.target[0]
        squares = np.square(example.condition[0] - target) * weight
        error = math.sqrt(float(squares.sum() / max(weight.sum(), 1)))
        return example.condition, target, weight, max(error, _MIN_SCALE)


class PooledExamples:
    """Examples from images that do not fit into memory: a changing part is loaded."""

    is_held_out = True

    def __init__(
        self, unseen: Examples, cache: WindowCache[Examples], *, n_planes: int, n_pixels: int
    ) -> None:
        self.n_planes, self.n_pixels = n_planes, n_pixels
        self.noise = unseen.noise
        self._unseen, self._cache = unseen, cache

    def draw(self, n: int, rng: np.random.Generator, step: int) -> Batch:
        parts = self._cache.at(step)
        chosen = rng.integers(len(parts), size=n)
        drawn = [parts[index].draw(1, rng, step) for index in chosen]
        return Batch(*map(torch.cat, zip(*drawn, strict=True)))

    def held_out(self, rng: np.random.Generator) -> Sequence[Batch | RiskPatch]:
        return self._unseen.held_out(rng)


def recorrupt(image: Plane, noise: Plane, alpha: float = ALPHA) -> tuple[Plane, Plane]:
    """Split a measurement into two, y + alpha n and y - n / alpha."""
    return image + alpha * noise, image - noise / alpha


def square(top: int, left: int, side: int) -> Window:
    """Rows and columns of a square."""
    return slice(top, top + side), slice(left, left + side)


def _split(
    pictures: Sequence[Picture], side: int, rng: np.random.Generator
) -> tuple[list[Picture], list[Picture]]:
    """Pictures to learn from, and held-out ones or the lower ends of large ones."""
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
    """Turn an example to one of eight orientations; the correlations of its noise too."""
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
