"""Messages between computations and the window: plain values without Qt or torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.result import Diagnostics, Recipe

MAX_SEED = 2**31 - 1  # the largest that a field of the window holds


@dataclass(frozen=True, slots=True)
class Source:
    """The pixels of a layer, taken when a button was pressed."""

    data: Any  # numpy, or anything that is read by slicing, such as dask and zarr
    axes: str  # one letter per dimension


@dataclass(frozen=True, slots=True)
class Update:
    """Progress of a computation in plain words."""

    text: str
    fraction: float | None = None  # 0 to 1; None where it is not known
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A restored part of a layer, in its axes, dtype and intensities."""

    image: NDArray[Any]
    start: tuple[int, ...]  # its first pixel in the layer's data
    noise: dict[int, NoiseModel]  # by channel, for the next preview
    diagnostics: Diagnostics
    zoom: tuple[float, ...] | None = None  # pixels for each of the layer; None for one each


@dataclass(frozen=True, slots=True)
class Filling:
    """A whole layer with one plausible filling of its holes."""

    image: NDArray[Any]  # in the layer's axes, dtype and intensities
    number: int  # from 1 on
    recipe: Recipe  # its image is the part around the holes


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """The images are prepared."""

    noise: str  # of the images, in the core's notation; empty where they do not share one


@dataclass(frozen=True, slots=True)
class TrainingUpdate:
    """Progress of a training since the last update; losses and KL in nats per pixel."""

    seconds: tuple[float, ...]  # of each step
    losses: tuple[float, ...]  # of each step
    held_out: tuple[tuple[float, float], ...]  # seconds, score on held-out data: more is better
    held_out_first: float | None  # the score of the model that it started from
    kl: tuple[tuple[float, tuple[float, ...]], ...]  # seconds, KL of each level, finest first
    step: int  # number of steps done
    fraction: float  # of the run
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class TrainingSaved:
    """A file holds a checkpoint, or the model of the complete run."""

    path: Path
    is_complete: bool


@dataclass(frozen=True, slots=True)
class TrainingFailed:
    """The reason why a training has no result."""

    text: str


class Stopwatch:
    """Measures time, and says when the next message is due: none may flood the window."""

    def __init__(self, interval: float = 0.2) -> None:
        self._interval = interval
        self._started = self._last = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def is_due(self) -> bool:
        """Whether the interval is over; if so, the next one begins."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return False
        self._last = now
        return True

    def update(self, text: str, fraction: float) -> Update | None:
        """Progress with an estimate of the seconds left; None while no message is due."""
        if not self.is_due():
            return None
        left = self.elapsed * (1 - fraction) / fraction if fraction else None
        return Update(text, fraction, left)


def duration(seconds: float) -> str:
    """A time in words, rounded as people say it.

    >>> duration(0.42), duration(42.3), duration(75), duration(4000)
    ('0.4 s', '42 s', '1 min 15 s', '1 h 7 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min"
