"""The noise of one channel, from a first restoration or from frames of a static scene.

The blocks of the image give a first noise model. A restoration with it leaves a residual, whose
variance against the signal and whose autocorrelation are measured. Where that autocorrelation
contradicts the model, the model is changed. Frames of a static scene need no restoration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.correlation import WHITE, Correlation, autocorrelation, lag_one
from napari_vae_restore.noise.estimation.calibration import (
    fit_mixture,
    frame_pairs,
    quantisation_step,
)
from napari_vae_restore.noise.estimation.estimate import NoiseKind
from napari_vae_restore.noise.estimation.estimate import estimate_noise as estimate_from_blocks
from napari_vae_restore.noise.estimation.hot import without_hot_pixels
from napari_vae_restore.noise.estimation.residuals import (
    LAGS,
    VarianceCurve,
    choose_correlation,
    residual_autocorrelation,
    usual,
    variance_curve,
)
from napari_vae_restore.noise.estimation.unmeasured import repeat_side
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise
from napari_vae_restore.noise.words import describe_noise
from napari_vae_restore.restoration.blocks.mending import without_measurement
from napari_vae_restore.restoration.restore import denoise
from napari_vae_restore.restoration.trust.evidence import Evidence, evidence
from napari_vae_restore.restoration.trust.verdict import (
    KEEP,
    NoiseCheck,
    Verdict,
    check_noise,
    judged,
)

FloatArray: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["auto", "gaussian", "poisson-gaussian", "mixture"]
Neighbours: TypeAlias = Literal["auto", "white", "row", "column", "plane"]


_MAX_PLANES: Final = 4  # of a stack, that a pilot restores
_MAX_SIDE: Final = 1024  # pixels of each, about the centre
# Greatest difference between a model's autocorrelation and the residual's that leaves the
# model as it is: a pilot takes some noise for structure, and leaves some structure.
_AGREEMENT: Final = 0.2
_COMPARED_LAGS: Final = 2  # pixels
_DOUBTFUL: Final = 0.2  # difference of lag-1 autocorrelations that the report mentions
_MIN_GAIN: Final = 0.01  # nats per pixel, for which a mixture is worth its length
_MIN_DEPENDENCE: Final = 1.2  # variance ratio over the signals that calls for a line


@dataclass(frozen=True, slots=True, eq=False)
class ChannelNoise:
    """The noise of one channel."""

    noise: NoiseModel  # the model, in intensity units
    curve: VarianceCurve  # variance of the residual against the signal, as measured
    # (13, 13), of the residual over the model's standard deviation, lags up to 6 pixels along Y
    # and X; 1 at the centre.
    autocorrelation: FloatArray
    # Root mean square of that residual but for outliers: near 1 where the level is right and
    # structure is rare.
    level: float
    judged: Verdict = KEEP  # of the residual

    def __str__(self) -> str:
        y, x = self.lag_one
        text = (
            f"{describe_noise(self.noise)}; the residual has {self.level:.2f} of the noise's "
            f"standard deviation and a lag-1 autocorrelation of {y:.2f} along Y and {x:.2f} "
            "along X"
        )
        return f"{text}; {self.doubt}" if self.doubt else text

    @property
    def doubt(self) -> str:
        """What the residual says against the model, or nothing."""
        modelled = lag_one(self.noise.correlation)
        axes = [
            f"along {axis} by {found:.2f}, not {said:.2f}"
            for axis, found, said in zip("YX", self.lag_one, modelled, strict=True)
            if abs(found - said) > _DOUBTFUL
        ]
        if axes:
            alike = f"neighbours correlate {' and '.join(axes)}"
            return f"the residual contradicts this model: {alike}"
        text = self.judged.text
        return f"the image contradicts this model: {text[0].lower()}{text[1:]}" if text else ""

    @property
    def lag_one(self) -> tuple[float, float]:
        """The residual's lag-1 autocorrelation along Y and X."""
        lags = self.autocorrelation
        return float(lags[LAGS + 1, LAGS]), float(lags[LAGS, LAGS + 1])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        signal = self.curve.signal
        return {
            "type": self.noise.kind,
            "noise": str(self.noise),
            "words": describe_noise(self.noise),
            "parameters": self.noise.to_dict(),
            "lag_one": list(lag_one(self.noise.correlation)),
            "variance": {
                "signal": signal.tolist(),
                "measured": self.curve.variance.tolist(),
                "model": self.noise.variance(signal).tolist(),
                "pixels": self.curve.count.tolist(),
            },
            "residual": {
                "level": self.level,
                "lag_one": list(self.lag_one),
                "doubt": self.doubt,
                "autocorrelation": self.autocorrelation.tolist(),
            },
        }


# -- from a first restoration ------------------------------------------------------------


def planes_of(array: NDArray[Any], axes: str) -> list[NDArray[Any]]:
    """(N, H, W) for each channel; NaN where nothing was measured."""
    planes = Layout.of(array, axes).to_planes(array)
    side = repeat_side(planes.reshape(-1, *planes.shape[2:]))
    missing = without_measurement(planes, None, side)
    if missing is not None:  # what is not finite is left out of everything
        planes = np.where(missing, np.nan, planes)
    return [planes[:, channel] for channel in range(planes.shape[1])]


def from_first_pass(
    planes: NDArray[Any],
    kind: Kind,
    neighbours: Neighbours,
    model: Model | str | Path,
    device: str,
) -> ChannelNoise:
    level: NoiseKind = "auto" if kind == "mixture" else kind
    given = WHITE if neighbours == "white" else None
    noise = estimate_from_blocks(planes, level, correlation=given)
    part = _part(planes)
    signal = _restored(part, noise, model, device)
    measured = residual_autocorrelation(_where_flat(signal, part, noise))
    chosen = _chosen(measured, neighbours, noise.correlation)
    if chosen != noise.correlation:
        noise = estimate_from_blocks(planes, level, correlation=chosen)
        signal = _restored(part, noise, model, device)
    if kind == "mixture":
        step = quantisation_step(planes)
        seen = np.isfinite(part)
        noise = fit_mixture(signal[seen], part[seen], step=step, correlation=noise.correlation)
    found = check_noise(part[:, None], ~np.isfinite(part[:, None]), [noise])
    return _channel(signal, part, noise, found)


def _part(planes: NDArray[Any]) -> FloatArray:
    """A few planes of a stack, or their centres."""
    n = min(len(planes), _MAX_PLANES)
    chosen = planes[np.linspace(0, len(planes) - 1, n).round().astype(int)]
    for axis in (1, 2):
        side = min(chosen.shape[axis], _MAX_SIDE)
        start = (chosen.shape[axis] - side) // 2
        chosen = chosen.take(range(start, start + side), axis)
    return np.asarray(chosen, dtype=np.float64)


def _restored(
    part: FloatArray, noise: NoiseModel, model: Model | str | Path, device: str
) -> FloatArray:
    # In floating point: restored counts are not rounded.
    calm, _ = without_hot_pixels(part, noise)
    restored = denoise(calm.astype(np.float32), model, noise=noise, axes="ZYX", device=device)
    return np.asarray(restored.mean, dtype=np.float64)


def _chosen(measured: FloatArray, neighbours: Neighbours, first: Correlation) -> Correlation:
    """What to say of the neighbours: the first estimate, unless the residual objects."""
    if neighbours == "white":
        return WHITE
    if neighbours != "auto":
        return choose_correlation(measured, neighbours)
    near = slice(LAGS - _COMPARED_LAGS, LAGS + _COMPARED_LAGS + 1)
    difference = measured[near, near] - autocorrelation(first, _COMPARED_LAGS)
    if np.abs(difference).max() <= _AGREEMENT:
        return first
    return choose_correlation(measured)


# -- from frames of a static scene -------------------------------------------------------


def frames_of(array: NDArray[Any], axes: str, letter: str) -> list[NDArray[Any]]:
    """(F, N, H, W) for each channel."""
    if len(letter) != 1 or letter not in axes or letter in "CYXS":
        others = [axis for axis in axes if axis not in "CYXS"]
        raise InputError(
            "frames: expected the axis along which one scene was taken again and again, "
            f"{' or '.join(others) or 'which this image lacks'}, got {letter!r} for axes {axes}"
        )
    moved = np.moveaxis(array, axes.index(letter), 0)
    rest = axes.replace(letter, "")
    layout = Layout.of(moved[0], rest)
    planes = np.stack([layout.to_planes(frame) for frame in moved])
    return [planes[:, :, channel] for channel in range(planes.shape[2])]


def from_frames(frames: NDArray[Any], kind: Kind, neighbours: Neighbours) -> ChannelNoise:
    signal, y = frame_pairs(frames)
    curve = variance_curve(signal, y)
    if len(curve.signal) == 0 or not curve.variance.max() > 0:
        raise InputError(
            "The frames do not differ, so they hold no noise: give raw frames of the camera."
        )
    line = _line(curve, kind)
    if neighbours != "white":
        measured = residual_autocorrelation(_standardised(signal, y, line))
        direction = None if neighbours == "auto" else neighbours
        line = replace(line, correlation=choose_correlation(measured, direction))
    noise: NoiseModel = line
    if kind in ("auto", "mixture"):
        step = quantisation_step(frames)
        mixture = fit_mixture(signal, y, step=step, correlation=noise.correlation)
        gain = _log_likelihood(mixture, signal, y) - _log_likelihood(noise, signal, y)
        if kind == "mixture" or gain > _MIN_GAIN:
            noise = mixture
    return _channel(signal, y, noise)


def _line(curve: VarianceCurve, kind: Kind) -> GaussianNoise | PoissonGaussianNoise:
    """A constant variance or a line through a measured curve, by weighted least squares."""
    weight = np.sqrt(curve.count) / np.maximum(curve.variance, 1e-12 * curve.variance.max())
    mean = float(np.average(curve.variance, weights=curve.count))
    constant = GaussianNoise(math.sqrt(mean))
    if kind == "gaussian" or len(curve.signal) < 2:
        return constant
    slope, at_zero = np.polyfit(curve.signal, curve.variance, 1, w=weight)
    ends = slope * curve.signal[[0, -1]] + at_zero
    rises = slope > 0 and ends[1] > _MIN_DEPENDENCE * max(ends[0], 0)
    if kind == "poisson-gaussian" and slope <= 0:
        raise InputError(
            "The noise does not rise with the signal, as Poisson-Gaussian noise does; use "
            'kind="gaussian" or kind="mixture".'
        )
    if kind == "poisson-gaussian" or rises:
        return PoissonGaussianNoise(float(slope), float(at_zero))
    return constant


def _log_likelihood(noise: NoiseModel, signal: FloatArray, y: FloatArray) -> float:
    """Mean log-likelihood, in which no single pixel counts for more than ten nats."""
    import torch

    every = max(1, signal.size // 200_000)
    s, measured = (torch.from_numpy(values.ravel()[::every].copy()) for values in (signal, y))
    logs = noise.log_likelihood(measured, s)
    return float(logs.clamp(min=float(logs.median()) - 10).mean())


# -- either way --------------------------------------------------------------------------


def _channel(
    signal: FloatArray, y: FloatArray, noise: NoiseModel, found: NoiseCheck | None = None
) -> ChannelNoise:
    residual = _standardised(signal, y, noise)
    pairs = zip(*(each.reshape(-1, 1, *each.shape[-2:]) for each in (y, signal)), strict=True)
    parts = [evidence(before, after, [noise]) for before, after in pairs]
    return ChannelNoise(
        noise=noise,
        curve=variance_curve(signal, y),
        autocorrelation=residual_autocorrelation(_where_flat(signal, y, noise)),
        level=float(np.sqrt(np.mean(residual[usual(residual)] ** 2))),
        judged=judged(Evidence.total(parts), found),
    )


def _standardised(signal: FloatArray, y: FloatArray, noise: NoiseModel) -> FloatArray:
    return (y - signal) / np.sqrt(noise.variance(signal))


def _where_flat(signal: FloatArray, y: FloatArray, noise: NoiseModel) -> FloatArray:
    """The standardised residual, NaN in the half where the signal is steeper.

    What a restoration takes from structure, and leaves of it, is there.
    """
    along = [axis for axis in (-2, -1) if signal.shape[axis] > 1]
    slope = np.sqrt(sum(np.square(np.gradient(signal, axis=axis)) for axis in along))
    slope = slope / np.sqrt(noise.variance(signal))
    is_flat = slope <= np.nanmedian(slope)
    return np.where(is_flat, _standardised(signal, y, noise), np.nan)
