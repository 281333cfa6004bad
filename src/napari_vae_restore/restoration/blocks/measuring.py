"""The first stage of the walk: the noise of an image, and the defects of its detector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.noise.estimation.hot import (
    MIN_FRAMES,
    persistent_hot_pixels,
    rise_beyond_texture,
)
from napari_vae_restore.noise.estimation.unmeasured import repeat_side
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.numbers import Mask
from napari_vae_restore.restoration.blocks.mending import Defects, without_measurement
from napari_vae_restore.restoration.blocks.windows import (
    Rectangle,
    in_memory,
    stack_fits,
    stack_windows,
)
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.trust.verdict import NoiseCheck, check_noise

_SERIES: Final = 9  # planes of a series whose median shows hot pixels
_SERIES_PIXELS: Final = 2**24  # a series of more pixels is not looked at for them
_REPEAT_PLANES: Final = 4  # planes in which repeated values are looked for


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredNoise:
    """The noise of each channel; empty for an image that is taken as noise-free."""

    noise: tuple[NoiseModel, ...] = ()
    defects: Defects = field(default_factory=Defects)
    stated: NoiseCheck | None = None  # what the image says of noise that was stated
    grain: tuple[NoiseModel, ...] = ()  # noise that stays, and that a drawn fill needs as well


def measure_noise(planes: Any, problem: Problem, model: Model) -> MeasuredNoise:
    """Measure the noise of planes (N, C, H, W), or take the stated one; find defects.

    Of a large image a few megapixels are read. Raises InputError if the noise cannot be seen.
    """
    if problem.denoising is None:
        return MeasuredNoise(grain=_grain(planes, problem) if problem.draws else ())
    # Noise that is known needs no pixels, only what departs from it does.
    n_windows = len(stack_windows(planes.shape))
    step = 1 if problem.measures_noise(model) else max(1, n_windows // _REPEAT_PLANES)
    whole = planes
    planes, missing = _sampled(planes, problem.missing, step)
    sample = planes[:: max(1, len(planes) // _REPEAT_PLANES)]
    side = repeat_side(sample.reshape(-1, *planes.shape[2:]))
    missing = without_measurement(planes, missing, side)
    noise = problem.noise_models(planes, missing, model)
    rises = []
    for channel, found in enumerate(noise):
        values = planes[:, channel]
        measured = values if missing is None else values[~missing[:, channel]]
        if measured.dtype.kind == "f":  # blocks with infinite values are refused when met
            measured = measured[np.isfinite(measured)]
        rises.append(rise_beyond_texture(measured, found))
    stated = None if problem.measures_noise(model) else check_noise(planes, missing, noise)
    excess = 1.0 if stated is None else stated.excess
    persistent = _persistent(whole, problem.missing, noise)
    return MeasuredNoise(noise, Defects(side, tuple(rises), persistent, excess), stated)


def _sampled(planes: Any, missing: Any, step: int) -> tuple[NDArray[Any], Mask | None]:
    """Every so many planes or windows of an image."""
    is_here = isinstance(planes, np.ndarray) and isinstance(missing, np.ndarray | None)
    if is_here and stack_fits(planes.shape):
        return planes[::step], None if missing is None else missing[::step]
    windows = stack_windows(planes.shape)[::step]
    return _read(planes, windows), None if missing is None else _read(missing, windows)


def _grain(planes: Any, problem: Problem) -> tuple[NoiseModel, ...]:
    """The noise of an image that is only filled; none where it cannot be seen."""
    if problem.factor > 1 or problem.blur is not None:
        return ()
    planes, missing = _sampled(planes, problem.missing, 1)
    found = []
    for channel in range(planes.shape[1]):
        observed = None if missing is None else ~missing[:, channel]
        try:
            found.append(estimate_noise(planes[:, channel], observed=observed))
        except InputError:
            return ()
    return tuple(found)


def _persistent(
    planes: Any, missing: Any, noise: tuple[NoiseModel, ...]
) -> tuple[NDArray[np.bool_], ...]:
    """Pixels, (H, W) of each channel, that are hot in all planes; empty for none."""
    n, _, height, width = planes.shape
    count = min(n, _SERIES)
    if n < MIN_FRAMES or count * height * width > _SERIES_PIXELS or missing is not None:
        return ()
    chosen = np.linspace(0, n - 1, count).round().astype(int)
    whole = slice(0, height), slice(0, width)
    frames = _read(planes, [(int(index), whole) for index in chosen])
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        return ()
    found = [persistent_hot_pixels(frames[:, c], model) for c, model in enumerate(noise)]
    return tuple(found) if any(each.any() for each in found) else ()


def _read(planes: Any, windows: list[tuple[int, Rectangle]]) -> NDArray[Any]:
    """(K, C, h, w), windows of planes."""
    return np.stack([in_memory(planes[(n, slice(None), *place)]) for n, place in windows])
