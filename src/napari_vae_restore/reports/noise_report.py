"""What the noise of an image is, and the evidence for it.

The blocks of the image tell a first noise model; a pilot restoration with it then leaves
a residual, whose variance against the signal and whose autocorrelation are measured.
Where that autocorrelation contradicts the model, the model is changed. Repeated frames
of a static scene need no pilot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.bundled import DEFAULT
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.autoregression import DIRECTIONS, Direction
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
from napari_vae_restore.reports.noise_plot import draw
from napari_vae_restore.restoration.blocks.mending import without_measurement
from napari_vae_restore.restoration.restore import denoise
from napari_vae_restore.restoration.trust.evidence import Evidence, evidence
from napari_vae_restore.restoration.trust.verdict import (
    KEEP,
    Found,
    Verdict,
    found_noise,
    judged,
)

FloatArray: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["auto", "gaussian", "poisson-gaussian", "mixture"]
Neighbours: TypeAlias = Literal["auto", "white", "row", "column", "plane"]

_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_NEIGHBOURS: Final[tuple[Neighbours, ...]] = get_args(Neighbours)

_MAX_PLANES: Final = 4  # of a stack, that a pilot restores
_MAX_SIDE: Final = 1024  # pixels of each, about the centre
_AGREEMENT: Final = 0.2
"""Greatest difference between a model's autocorrelation and the residual's that leaves the
model as it is: a pilot takes some noise for structure, and leaves some structure."""
_COMPARED_LAGS: Final = 2  # pixels
_DOUBTFUL: Final = 0.2  # difference of lag-1 autocorrelations that is told to the user
_MIN_GAIN: Final = 0.01  # nats per pixel, for which a mixture is worth its length
_MIN_DEPENDENCE: Final = 1.2  # variance ratio over the signals that calls for a line


@dataclass(frozen=True, slots=True, eq=False)
class ChannelNoise:
    """The noise of one channel.

    Attributes
    ----------
    noise : NoiseModel
        The model, in intensity units.
    curve : VarianceCurve
        Variance of the residual against the signal, as measured.
    autocorrelation : numpy.ndarray of float64
        (13, 13), of the residual over the model's standard deviation, lags up to 6 pixels
        along Y and X; 1 at the centre.
    level : float
        Root mean square of that residual but for outliers: near 1 where the level is right
        and structure is rare.
    judged : Verdict
        Of the residual.
    """

    noise: NoiseModel
    curve: VarianceCurve
    autocorrelation: FloatArray
    level: float
    judged: Verdict = KEEP

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
        told = lag_one(self.noise.correlation)
        axes = [
            f"along {axis} by {found:.2f}, not {said:.2f}"
            for axis, found, said in zip("YX", self.lag_one, told, strict=True)
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


@dataclass(frozen=True, slots=True, eq=False)
class NoiseReport:
    """The noise of an image; ``str`` gives a line for each channel.

    Attributes
    ----------
    channels : tuple of ChannelNoise
        One for each channel of the image.
    source : str
        "pilot" or "frames": where the signal came from.
    """

    channels: tuple[ChannelNoise, ...]
    source: str

    def __str__(self) -> str:
        if len(self.channels) == 1:
            return str(self.channels[0])
        return "\n".join(f"channel {n}: {each}" for n, each in enumerate(self.channels, 1))

    @property
    def noise(self) -> tuple[NoiseModel, ...]:
        """The models, as :class:`~.tasks.Denoise` takes them."""
        return tuple(channel.noise for channel in self.channels)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "source": self.source,
            "channels": [channel.to_dict() for channel in self.channels],
        }

    def plot(self, path: str | Path | None = None) -> str:
        """Draw variance against signal, and the residual's autocorrelation.

        Parameters
        ----------
        path : str or Path, optional
            Where to write it, ending in ``.svg``; an existing file is replaced.

        Returns
        -------
        str
            The picture, as SVG.

        Raises
        ------
        InputError
            If the path ends otherwise.
        """
        picture = draw(
            [(each.noise, each.curve, each.autocorrelation) for each in self.channels]
        )
        if path is not None:
            path = Path(path)
            if path.suffix.lower() != ".svg":
                raise InputError(
                    f"path: expected a name that ends in .svg, got {path.name!r}: change it"
                )
            with atomic_write(path) as temporary:
                temporary.write_text(picture, encoding="utf-8")
        return picture


def estimate_noise(
    image: Any,
    *,
    axes: str | None = None,
    kind: Kind = "auto",
    correlation: Neighbours = "auto",
    model: Model | str | Path = DEFAULT,
    frames: str | None = None,
    device: str = "auto",
) -> NoiseReport:
    """Tell what the noise of an image is: type, parameters, and the evidence.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        Noisy, any real dtype but bool, any axes. NaN, and regions of one repeated value,
        were not measured and are left out; with `frames` all is finite.
    axes : str, optional
        One letter per dimension, such as "TZCYX"; read or guessed by default. Each
        channel (C, S) has a noise model of its own, which all other axes share.
    kind : {"auto", "gaussian", "poisson-gaussian", "mixture"}
        Type of the noise. "auto" takes Poisson-Gaussian if the variance rises clearly
        with the signal, else Gaussian; with `frames`, a mixture where that explains the
        frames better by 0.01 nats per pixel.
    correlation : {"auto", "white", "row", "column", "plane"}
        Which neighbours correlate. "auto" asks the residual's autocorrelation; the others
        fit an autoregression along X, along Y, or in both directions, or none.
    model : Model, str or Path
        Makes the pilot restoration: "default", a model file, or a trained model.
    frames : str, optional
        The axis, such as "T", along which one static scene was taken at least 4 times.
        The signal is then the mean of the frames, and no pilot is needed.
    device : str
        "auto", "cpu", "cuda" or "mps", for the pilot.

    Returns
    -------
    NoiseReport
        One entry for each channel. ``denoise(image, noise=report.noise)`` uses it.

    Raises
    ------
    InputError
        For an unusable image or parameter, or noise that cannot be estimated.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the pilot fails.
    """
    _check("kind", kind, _KINDS)
    _check("correlation", correlation, _NEIGHBOURS)
    array, axes = as_image(image, axes, min_side=1, may_have_nan=frames is None)
    stacks = _frames(array, axes, frames) if frames else _planes(array, axes)
    channels = []
    for stack in stacks:
        if frames:
            found = _from_frames(stack, kind, correlation)
        else:
            found = _from_pilot(stack, kind, correlation, model, device)
        channels.append(found)
    return NoiseReport(tuple(channels), "frames" if frames else "pilot")


# -- from a pilot restoration ------------------------------------------------------------


def _planes(array: NDArray[Any], axes: str) -> list[NDArray[Any]]:
    """(N, H, W) for each channel; NaN where nothing was measured."""
    planes = Layout.of(array, axes).to_planes(array)
    side = repeat_side(planes.reshape(-1, *planes.shape[2:]))
    missing = without_measurement(planes, None, side)
    if missing is not None:  # what is not finite is left out of everything
        planes = np.where(missing, np.nan, planes)
    return [planes[:, channel] for channel in range(planes.shape[1])]


def _from_pilot(
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
    signal = _pilot(part, noise, model, device)
    measured = residual_autocorrelation(_where_flat(signal, part, noise))
    chosen = _chosen(measured, neighbours, noise.correlation)
    if chosen != noise.correlation:
        noise = estimate_from_blocks(planes, level, correlation=chosen)
        signal = _pilot(part, noise, model, device)
    if kind == "mixture":
        step = quantisation_step(planes)
        seen = np.isfinite(part)
        noise = fit_mixture(signal[seen], part[seen], step=step, correlation=noise.correlation)
    found = found_noise(part[:, None], ~np.isfinite(part[:, None]), [noise])
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


def _pilot(
    part: FloatArray, noise: NoiseModel, model: Model | str | Path, device: str
) -> FloatArray:
    # In floating point: restored counts are not rounded.
    calm, _ = without_hot_pixels(part, noise)
    restored = denoise(calm.astype(np.float32), model, noise=noise, axes="ZYX", device=device)
    return np.asarray(restored.mean, dtype=np.float64)


def _chosen(measured: FloatArray, neighbours: Neighbours, first: Correlation) -> Correlation:
    """What to say of the neighbours: the first estimate, unless the residual objects."""
    direction = _direction(neighbours)
    if neighbours == "white":
        return WHITE
    if direction is not None:
        return choose_correlation(measured, direction)
    near = slice(LAGS - _COMPARED_LAGS, LAGS + _COMPARED_LAGS + 1)
    difference = measured[near, near] - autocorrelation(first, _COMPARED_LAGS)
    if np.abs(difference).max() <= _AGREEMENT:
        return first
    return choose_correlation(measured)


# -- from frames of a static scene -------------------------------------------------------


def _frames(array: NDArray[Any], axes: str, letter: str) -> list[NDArray[Any]]:
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


def _from_frames(frames: NDArray[Any], kind: Kind, neighbours: Neighbours) -> ChannelNoise:
    signal, y = frame_pairs(frames)
    curve = variance_curve(signal, y)
    if len(curve.signal) == 0 or not curve.variance.max() > 0:
        raise InputError(
            "The frames do not differ, so they hold no noise: give raw frames of the camera."
        )
    noise = _line(curve, kind)
    if neighbours == "white":
        correlation: Correlation = WHITE
    else:
        measured = residual_autocorrelation(_standardised(signal, y, noise))
        correlation = choose_correlation(measured, _direction(neighbours))
    noise = _line(curve, kind, correlation)
    if kind in ("auto", "mixture"):
        step = quantisation_step(frames)
        mixture = fit_mixture(signal, y, step=step, correlation=correlation)
        gain = _log_likelihood(mixture, signal, y) - _log_likelihood(noise, signal, y)
        if kind == "mixture" or gain > _MIN_GAIN:
            noise = mixture
    return _channel(signal, y, noise)


def _line(curve: VarianceCurve, kind: Kind, correlation: Correlation = WHITE) -> NoiseModel:
    """A constant variance or a line through a measured curve, by weighted least squares."""
    weight = np.sqrt(curve.count) / np.maximum(curve.variance, 1e-12 * curve.variance.max())
    mean = float(np.average(curve.variance, weights=curve.count))
    constant = GaussianNoise(math.sqrt(mean), correlation)
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
        return PoissonGaussianNoise(float(slope), float(at_zero), correlation)
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
    signal: FloatArray, y: FloatArray, noise: NoiseModel, found: Found | None = None
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


def _direction(neighbours: Neighbours) -> Direction | None:
    return next((each for each in DIRECTIONS if each == neighbours), None)


def _check(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")
