"""Training planes: measurements on the output grid, with their targets.

Everything is in the units that `restoration.inference.units` gives a measurement, so that
training sees what restoring will see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

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
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.conditional import enlarged
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.training.examples import TrainingPlane
from napari_vae_restore.training.local_noise import Clipped, NoiseLaw, Plane
from napari_vae_restore.training.measured_planes import measured_planes
from napari_vae_restore.training.recorruption import local_noise, restored
from napari_vae_restore.training.self_supervised import RiskTerms
from napari_vae_restore.training.sources import Loaded, factor_between
from napari_vae_restore.training.speckle import Skewness, measure_skewness

_CURVE_POINTS: Final = 4096
_REACH: Final = (-1.0, 3.0)
"""Network units beyond which no clean target lies."""
MIN_SIDE: Final = 64
"""Planes are mirrored to this side in pixels, so that one small image does not make all
patches small."""
_BLOCK: Final = 8
"""Side in pixels of the blocks whose means compare the brightness of two shots."""
_MAX_GAIN: Final = 4.0
"""Greatest plausible ratio of two shots' contrasts."""

_T = TypeVar("_T", bound=np.generic)
NoiseChoice = NoiseModel | str
"""A model, a name that `resolve_noise` takes, or "none" for pairs."""

NO_NOISE: Final = "none"


def planes_of_noisy(
    images: Iterable[Loaded],
    network: RestorationVAE,
    noise: NoiseChoice,
    *,
    seed: int,
    least: int = MIN_SIDE,
) -> tuple[list[TrainingPlane], list[RiskTerms], list[NoiseModel]]:
    """Training planes of noisy images alone; `seed` chooses where the noise is measured."""
    rng = np.random.default_rng([seed, 2])
    made, terms, models = [], [], []
    for image in images:
        for plane, model in _noisy_planes(image, noise, may_drop=True):
            units = Units.of(Measurement(plane[None], None, (model,)))
            large = _at_least(plane.astype(np.float64), least)
            values = units.to_network(large[None])[0]
            constants = (units.sigma, *nearest_blur(model.correlation), 0.0)
            clipped = _clipped(plane)
            ends = float(plane.min()), float(plane.max())
            law = NoiseLaw.of(model, units, ends, clipped)
            pilot = restored(network, values, constants)
            found = local_noise(network, values, pilot, constants, rng, law)
            if isinstance(noise, str) and is_estimated(noise):
                skewness = measure_skewness(values - pilot, pilot, law, rng)
                _check_teachable(model, skewness, image.name)
            made.append(TrainingPlane(values, constants, found, None, model.correlation))
            terms.append(RiskTerms.of(large, pilot, model, units, clipped))
            models.append(model)
    return made, terms, models


def planes_of_shots(
    shots: Iterable[tuple[Loaded, Loaded]], noise: NoiseChoice, *, least: int = MIN_SIDE
) -> tuple[list[TrainingPlane], list[NoiseModel]]:
    """Training planes of pairs of shots, each the other's target."""
    made, models = [], []
    for first, second in shots:
        if first.data.shape != second.data.shape:
            raise InputError(
                f"expected shots of the same shape, got {first.data.shape} of {first.name} "
                f"and {second.data.shape} of {second.name}"
            )
        for (one, model), (other, _) in zip(
            _noisy_planes(first, noise), _noisy_planes(second, noise), strict=True
        ):
            for y, target in ((one, other), (other, one)):
                gain, offset = _brightness(target, y, (first.name, second.name))
                units = Units.of(Measurement(y[None], None, (model,)))
                values = units.to_network(((target - offset) / gain)[None])[0]
                constants = (units.sigma, *nearest_blur(model.correlation), 0.0)
                image = _at_least(units.to_network(y[None])[0], least)
                made.append(TrainingPlane(image, constants, None, _at_least(values, least)))
            models.append(model)
    return made, models


def planes_of_pairs(
    pairs: Iterable[tuple[Loaded, Loaded]], noise: NoiseChoice, *, least: int = MIN_SIDE
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
            correlation = WHITE if model is None else nearest_blur(model.correlation)
            constants = (units.sigma, *correlation, math.log2(factor))
            target = _in_units(units, _fitted(reference, y, factor, measured.name))
            made.append(
                TrainingPlane(
                    _at_least(image, least), constants, None, _at_least(target, least)
                )
            )
            models += known
    return made, models


def _noisy_planes(
    image: Loaded, noise: NoiseChoice, *, may_drop: bool = False
) -> Iterator[tuple[NDArray[np.float64], NoiseModel]]:
    """Each plane and channel, (H, W), with the noise model of its channel.

    If planes may be dropped, empty ones are, and others are filled; see
    :func:`~.measured_planes.measured_planes`.
    """
    planes = Layout.of(image.data, image.axes).to_planes(image.data)
    try:
        if may_drop:
            planes, models = measured_planes(planes, noise)
        else:
            models = [resolve_noise(noise, planes[:, c]) for c in range(planes.shape[1])]
    except InputError as error:
        raise InputError(f"{image.name}: {error}") from error
    if not may_drop:
        calm = [without_hot_pixels(planes[:, c], model)[0] for c, model in enumerate(models)]
        planes = np.stack(calm, axis=1)
    for channels in planes:
        yield from zip(channels, models, strict=True)


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


def _planes(
    image: Loaded, noise: NoiseChoice
) -> Iterator[tuple[NDArray[np.float64], NoiseModel | None]]:
    """As :func:`_noisy_planes`; the model is None where the noise is "none"."""
    if noise != NO_NOISE:
        yield from _noisy_planes(image, noise)
        return
    planes = Layout.of(image.data, image.axes).to_planes(image.data).astype(np.float64)
    yield from ((channel, None) for plane in planes for channel in plane)


def _in_units(units: Units, signal: NDArray[np.float64]) -> Plane:
    """A signal as its stabilised mean in network units: the inverse of `unstabilise`."""
    if not units.noise:
        return np.asarray(units.to_network(signal[None])[0])
    low, high = units.normalisation.from_network(np.array(_REACH))
    curve = np.linspace(float(low), float(high), _CURVE_POINTS)
    stabilised = np.interp(signal, units.noise[0].unstabilise(curve), curve)
    return np.asarray(units.normalisation.to_network(stabilised))


def _fitted(
    reference: NDArray[np.float64], y: NDArray[np.float64], factor: int, name: str
) -> NDArray[np.float64]:
    height, width = y.shape
    small = reference.reshape(height, factor, width, factor).mean(axis=(1, 3))
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
    one: NDArray[np.float64], other: NDArray[np.float64], names: tuple[str, str]
) -> tuple[float, float]:
    """Gain and offset that take `other` to the brightness of `one`, by means of blocks."""
    means = []
    for plane in (one, other):
        height, width = (side - side % _BLOCK for side in plane.shape)
        blocks = plane[:height, :width].reshape(
            height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK
        )
        means.append(blocks.mean(axis=(1, 3)))
    gain = float(means[0].std() / max(means[1].std(), 1e-12))
    if not 1 / _MAX_GAIN < gain < _MAX_GAIN:
        raise InputError(
            f"{names[0]} and {names[1]}: expected two shots of one scene under the same "
            f"conditions, but the contrast of one is {gain:.3g} times the other's"
        )
    return gain, float(means[0].mean() - gain * means[1].mean())


def _at_least(plane: NDArray[_T], least: int) -> NDArray[_T]:
    """Mirror a plane outwards until both of its sides are long enough."""
    missing = [(0, max(0, least - length)) for length in plane.shape]
    return np.pad(plane, missing, mode="symmetric") if np.any(missing) else plane
