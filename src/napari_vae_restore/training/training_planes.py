"""Training planes: measurements on the output grid, with their targets.

Everything is in the units that `restoration.inference.units` gives a measurement, so that
training sees what restoring will see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.correlation import WHITE, lag_one, nearest_blur
from napari_vae_restore.noise.estimation.blocks import clipped_levels
from napari_vae_restore.noise.estimation.estimate import is_estimated, resolve_noise
from napari_vae_restore.noise.estimation.hot import without_hot_pixels
from napari_vae_restore.noise.estimation.neighbours import MIN_CORRELATION
from napari_vae_restore.noise.estimation.unmeasured import repeat_side, unmeasured
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.operators.filling import smooth_fill
from napari_vae_restore.restoration.inference.conditional import enlarged
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.training.examples import TrainingPlane
from napari_vae_restore.training.local_noise import (
    Clipped,
    FloatArray,
    NoiseLaw,
    Plane,
    Skewness,
    measure_local_noise,
    measure_skewness,
    restored,
)
from napari_vae_restore.training.pictures import block_means
from napari_vae_restore.training.self_supervised import RiskTerms
from napari_vae_restore.training.sources import Loaded, LoadedItems, factor_between

_CURVE_POINTS: Final = 4096
_REACH: Final = (-1.0, 3.0)  # network units beyond which no clean target lies
MIN_SIDE: Final = 64
"""Planes are mirrored to this side in pixels, so that one small image does not make all
patches small."""
_BLOCK: Final = 8
"""Side in pixels of the blocks whose means compare the brightness of two shots."""
_MAX_GAIN: Final = 4.0  # greatest plausible ratio of two shots' contrasts
_SAMPLED: Final = 4  # planes from which the chance of repeated values is estimated

_T = TypeVar("_T", bound=np.generic)
NoiseChoice = NoiseModel | str
"""A model, a name that `resolve_noise` takes, or "none" for pairs."""

NO_NOISE: Final = "none"


def measured_planes(
    planes: NDArray[Any], noise: NoiseChoice, *, may_drop: bool = True
) -> tuple[FloatArray, list[NoiseModel]]:
    """Planes (M <= N, C, H, W) without hot pixels, and the noise of each channel.

    Given are (N, C, H, W) intensities of any real dtype, NaN where nothing was measured. A
    margin of zeros or a lost frame would be learned as structure, and spoil the estimate of the
    noise. If planes may be dropped, those without a measured pixel are, and others get a smooth
    fill with noise of the same kind, which teaches nothing.
    """
    observed = _observed(planes) if may_drop else None
    if observed is not None:
        kept = observed.any(axis=(1, 2, 3))
        if not kept.any():
            raise InputError("expected images with measured pixels, but each holds one value")
        planes, observed = planes[kept], observed[kept]
    rng = np.random.default_rng([0, 6])
    channels = [
        (planes[:, c], None if observed is None else observed[:, c])
        for c in range(planes.shape[1])
    ]
    models = [resolve_noise(noise, values, observed=seen) for values, seen in channels]
    completed = [
        without_hot_pixels(_completed(values, seen, model, rng), model)[0]
        for (values, seen), model in zip(channels, models, strict=True)
    ]
    return np.stack(completed, axis=1), models


def planes_of_noisy(
    images: Iterable[LoadedItems],
    noise: NoiseChoice,
    network: RestorationVAE,
    *,
    seed: int,
    least: int = MIN_SIDE,
) -> tuple[list[TrainingPlane], list[NoiseModel]]:
    """Training planes of noisy images alone; `seed` chooses where the noise is measured."""
    rng = np.random.default_rng([seed, 2])
    made, models = [], []
    for (image,) in images:
        for plane, model in _noisy_planes(image, noise, may_drop=True):
            units = Units.of(Measurement(plane[None], None, (model,)))
            large = at_least(plane, least)
            values = units.to_network(large[None])[0]
            constants = (units.sigma, *nearest_blur(model.correlation), 0.0)
            clipped = _clipped(plane)
            ends = float(plane.min()), float(plane.max())
            law = NoiseLaw.of(model, units, ends, clipped)
            pilot = restored(network, values, constants)
            found = measure_local_noise(network, values, pilot, constants, rng, law)
            if isinstance(noise, str) and is_estimated(noise):
                skewness = measure_skewness(values - pilot, pilot, law, rng)
                _check_teachable(model, skewness, image.name)
            terms = RiskTerms.of(large, pilot, model, units, clipped)
            made.append(TrainingPlane(values, constants, found, None, model.correlation, terms))
            models.append(model)
    return made, models


def planes_of_shots(
    shots: Iterable[LoadedItems], noise: NoiseChoice, *, least: int = MIN_SIDE
) -> tuple[list[TrainingPlane], list[NoiseModel]]:
    """Training planes of pairs of shots, each the other's target."""
    made, models = [], []
    for first, second in shots:
        if first.data.shape != second.data.shape:
            raise InputError(
                f"expected shots of the same shape, got {first.data.shape} of {first.name} "
                f"and {second.data.shape} of {second.name}"
            )
        planes = zip(_noisy_planes(first, noise), _noisy_planes(second, noise), strict=True)
        for (one, model), (other, _) in planes:
            for y, target in ((one, other), (other, one)):
                gain, offset = _brightness(target, y, (first.name, second.name))
                units = Units.of(Measurement(y[None], None, (model,)))
                image, values = (
                    units.to_network(each[None])[0] for each in (y, (target - offset) / gain)
                )
                made.append(_with_target(units, model, image, values, least))
            models.append(model)
    return made, models


def planes_of_pairs(
    pairs: Iterable[LoadedItems], noise: NoiseChoice, *, least: int = MIN_SIDE
) -> tuple[list[TrainingPlane], list[NoiseModel]]:
    """Training planes of measured images with clean targets.

    A line, fitted by least squares, takes targets to the intensities of the measurement, so
    that restored images keep their scale.
    """
    made: list[TrainingPlane] = []
    models: list[NoiseModel] = []
    for measured, clean in pairs:
        factor = factor_between(measured, clean)
        references = Layout.of(clean.data, clean.axes).to_planes(clean.data).astype(np.float64)
        references = references.reshape(-1, *references.shape[2:])
        for (y, model), reference in zip(_planes(measured, noise), references, strict=True):
            known = () if model is None else (model,)
            units = Units.of(Measurement(y[None], None, known))
            image = enlarged(units.to_network(y[None]), factor)[0]
            target = _in_units(units, _fitted(reference, y, factor, measured.name))
            made.append(_with_target(units, model, image, target, least, factor))
            models += known
    return made, models


def at_least(planes: NDArray[_T], least: int) -> NDArray[_T]:
    """Planes (..., H, W), mirrored outwards until both of their sides are long enough."""
    missing = [(0, max(0, least - length)) for length in planes.shape[-2:]]
    if not np.any(missing):
        return planes
    return np.pad(planes, [(0, 0)] * (planes.ndim - 2) + missing, mode="symmetric")


def _with_target(
    units: Units,
    model: NoiseModel | None,
    image: Plane,
    target: Plane,
    least: int,
    factor: int = 1,
) -> TrainingPlane:
    correlation = WHITE if model is None else nearest_blur(model.correlation)
    constants = (units.sigma, *correlation, math.log2(factor))
    return TrainingPlane(at_least(image, least), constants, None, at_least(target, least))


def _noisy_planes(
    image: Loaded, noise: NoiseChoice, *, may_drop: bool = False
) -> Iterator[tuple[FloatArray, NoiseModel]]:
    """Each plane and channel, (H, W), with the noise model of its channel."""
    planes = Layout.of(image.data, image.axes).to_planes(image.data)
    try:
        planes, models = measured_planes(planes, noise, may_drop=may_drop)
    except InputError as error:
        raise InputError(f"{image.name}: {error}") from error
    for channels in planes:
        yield from zip(channels, models, strict=True)


def _planes(
    image: Loaded, noise: NoiseChoice
) -> Iterator[tuple[FloatArray, NoiseModel | None]]:
    """As :func:`_noisy_planes`; the model is None where the noise is "none"."""
    if noise != NO_NOISE:
        yield from _noisy_planes(image, noise)
        return
    planes = Layout.of(image.data, image.axes).to_planes(image.data).astype(np.float64)
    yield from ((channel, None) for plane in planes for channel in plane)


def _observed(planes: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Mask (N, C, H, W) of measured pixels; None where all were measured."""
    sample = planes[:: max(1, len(planes) // _SAMPLED)]
    side = repeat_side(sample.reshape(-1, *planes.shape[2:]))
    observed = np.ones(planes.shape, bool)
    for place in np.ndindex(planes.shape[:2]):
        found = unmeasured(planes[place], side)
        if found is not None:
            observed[place] = ~found
    return None if observed.all() else observed


def _completed(
    planes: NDArray[Any],
    observed: NDArray[np.bool_] | None,
    model: NoiseModel,
    rng: np.random.Generator,
) -> FloatArray:
    values = planes.astype(np.float64)
    if observed is None or observed.all():
        return values
    known = np.where(observed, values, 0.0)
    return np.where(observed, values, model.sample(smooth_fill(known, observed), rng))


def _clipped(plane: NDArray[np.generic]) -> Clipped:
    """Levels to which a plane was clipped, infinite where none can be found."""
    try:
        return clipped_levels(plane)
    except InputError:  # of too few pixels or values, whose noise was given
        return -math.inf, math.inf


def _check_teachable(model: NoiseModel, skewness: Skewness, name: str) -> None:
    """Refuse speckle: its neighbours correlate weakly, and it is skewed to the dark.

    Training would learn some of it as signal: OCT scans lost up to 3 dB, unnoticed by
    held-out pixels, whose noise can be predicted from their neighbours as well.
    """
    greatest = max(lag_one(model.correlation))
    is_weak = 0 < greatest < MIN_CORRELATION
    if is_weak or skewness.is_speckle:
        what = (
            f"neighbouring pixels share a little of their noise (correlation {greatest:.2f})"
            if is_weak
            else f"the noise has far longer tails to the dark (skewness {skewness.excess:.1f} "
            "beyond the noise model's)"
        )
        raise InputError(
            f"{name}: {what}, as in speckle; such an image cannot teach what is noise and "
            "what is not. Restore it as it is, train with two shots of each scene or with "
            "clean images, or give the noise if you know it"
        )


def _in_units(units: Units, signal: FloatArray) -> Plane:
    """A signal as its stabilised mean in network units: the inverse of `unstabilise`."""
    if not units.noise:
        return np.asarray(units.to_network(signal[None])[0])
    low, high = units.normalisation.from_network(np.array(_REACH))
    curve = np.linspace(float(low), float(high), _CURVE_POINTS)
    stabilised = np.interp(signal, units.noise[0].unstabilise(curve), curve)
    return np.asarray(units.normalisation.to_network(stabilised))


def _fitted(reference: FloatArray, y: FloatArray, factor: int, name: str) -> FloatArray:
    small = block_means(reference, factor)
    if np.ptp(small) == 0:
        raise InputError(f"{name}: its clean image is constant: there is nothing to learn")
    gain, offset = np.polyfit(small.ravel(), y.ravel(), 1)
    if gain <= 0:
        raise InputError(
            f"{name}: its clean image is not of the same scene, or inverted: where one is "
            "brighter, the other is darker"
        )
    return np.asarray(gain * reference + offset)


def _brightness(
    one: FloatArray, other: FloatArray, names: tuple[str, str]
) -> tuple[float, float]:
    """Gain and offset that take `other` to the brightness of `one`, by means of blocks."""
    means = [block_means(plane, _BLOCK) for plane in (one, other)]
    gain = float(means[0].std() / max(means[1].std(), 1e-12))
    if not 1 / _MAX_GAIN < gain < _MAX_GAIN:
        raise InputError(
            f"{names[0]} and {names[1]}: expected two shots of one scene under the same "
            f"conditions, but the contrast of one is {gain:.3g} times the other's"
        )
    return gain, float(means[0].mean() - gain * means[1].mean())
