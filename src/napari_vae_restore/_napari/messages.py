"""What computations and the window exchange; plain values without Qt or torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore._napari.training.runs import Run
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.result import Diagnostics, Recipe

MAX_SEED = 2**31 - 1
"""Largest seed that a field of the window holds."""


@dataclass(frozen=True, slots=True)
class Source:
    """The pixels of a layer, taken when a button was pressed.

    Attributes
    ----------
    data : array
        numpy, or anything that is read by slicing, such as dask and zarr.
    axes : str
        One letter per dimension.
    """

    data: Any
    axes: str


@dataclass(frozen=True, slots=True)
class Update:
    """How far a computation is.

    Attributes
    ----------
    text : str
        In plain words.
    fraction : float or None
        Share that is done, 0 to 1; None where it is not known.
    seconds_left : float or None
        Estimate of the rest.
    """

    text: str
    fraction: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A restored part of a layer.

    Attributes
    ----------
    image : ndarray
        In the axes, dtype and intensities of the layer.
    start : tuple of int
        Its first pixel in the layer's data.
    noise : dict of int to NoiseModel
        The noise of each channel that was needed, for the next preview.
    diagnostics : Diagnostics
        Of the restoration.
    zoom : tuple of float or None
        Pixels for each pixel of the layer, along each dimension; None for one each.
    """

    image: NDArray[Any]
    start: tuple[int, ...]
    noise: dict[int, NoiseModel]
    diagnostics: Diagnostics
    zoom: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Filling:
    """One plausible filling of the holes of a layer.

    Attributes
    ----------
    image : ndarray
        The whole layer, in its axes, dtype and intensities.
    number : int
        Which one it is, from 1 on.
    recipe : Recipe
        How it was computed; its image is the part around the holes.
    """

    image: NDArray[Any]
    number: int
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """The images are prepared.

    Attributes
    ----------
    noise : str
        The noise of the images in the core's notation; empty where they do not share one.
    """

    noise: str


@dataclass(frozen=True, slots=True)
class TrainingUpdate:
    """What happened in the training since the last update.

    Attributes
    ----------
    seconds, losses : tuple of float
        Time and loss of each step, in seconds and nats per pixel.
    held_out : tuple of (float, float)
        Time and what held-out data said, nats per pixel, larger is better.
    held_out_first : float or None
        The same of the model that it started from.
    kl : tuple of (float, tuple of float)
        Time and KL of each level, finest first, nats per pixel; none where there are no
        latents.
    step : int
        Steps done.
    fraction : float
        Share of the run that is over.
    seconds_left : float or None
        Estimate of the rest.
    """

    seconds: tuple[float, ...]
    losses: tuple[float, ...]
    held_out: tuple[tuple[float, float], ...]
    held_out_first: float | None
    kl: tuple[tuple[float, tuple[float, ...]], ...]
    step: int
    fraction: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class TrainingSaved:
    """A file holds a checkpoint, or the model of the complete run."""

    path: Path
    is_complete: bool


@dataclass(frozen=True, slots=True)
class TrainingFailed:
    """Why there is no result."""

    text: str


@dataclass(frozen=True, slots=True)
class TrainingEnded:
    """A training that is over, for now or for good.

    Attributes
    ----------
    run : Run
        To go on with.
    model : Model or None
        The best so far; None if it was stopped before there was one.
    is_complete : bool
        Whether the time budget was used up.
    was_stopped : bool
        Whether its end was asked for.
    """

    run: Run
    model: Model | None
    is_complete: bool
    was_stopped: bool


class Stopwatch:
    """Says when the next message is due, so that no computation floods the window."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._started = self._last = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def is_due(self) -> bool:
        """Whether the interval is over; if so, the next one begins."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return False
        self._last = now
        return True


def duration(seconds: float) -> str:
    """A time in words, rounded as one would say it.

    Examples
    --------
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
