"""Fit noise of any shape to pairs of signal and measurement.

The pairs come from repeated frames of one static scene, whose mean is the signal, or
from a pilot restoration. The likelihood is maximised; what no noise explains, such as hot
pixels, is counted first and left out.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import WHITE, Correlation
from napari_vae_restore.noise.estimation.residuals import signal_bins
from napari_vae_restore.noise.mixture import MixtureNoise
from napari_vae_restore.noise.numbers import FloatArray

MIN_PAIRS: Final = 2000
MIN_FRAMES: Final = 4

_COMPONENTS: Final = 3
_MAX_PAIRS: Final = 40_000  # a second of fitting
_KNOTS_BY_SHARE: Final = 5
_KNOTS_BY_RANGE: Final = 4
_MIN_GAP: Final = 0.02  # between knots, of the signal's range
_OUTLIER: Final = 8.0  # standard deviations
_LEAST_OUTLIERS: Final = 1e-6  # share that is expected where none was seen
_MOST_OUTLIERS: Final = 0.1
_ROUNDING: Final = 1 / math.sqrt(12)  # standard deviation of rounding, in steps
_STEPS: Final = 60  # of the optimiser
_PULL: Final = 1e-3  # nats, towards the start: keeps what the data do not tell finite
# Weight, and shift and standard deviation in units of the noise's, of each component.
_START: Final = ((0.7, 0.0, 0.8), (0.2, 0.3, 1.2), (0.1, -0.6, 2.0))


def frame_pairs(frames: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Pair each frame of a static scene (F, ..., H, W), at least 4, with the mean of all."""
    y = np.asarray(frames, dtype=np.float64)
    if y.ndim < 3 or len(y) < MIN_FRAMES:
        raise InputError(
            f"Calibration takes at least {MIN_FRAMES} frames of the same scene, stacked along "
            f"their own axis, not an array of shape {y.shape}."
        )
    n = len(y)
    mean = y.mean(axis=0)
    signal = np.broadcast_to(mean, y.shape)
    return signal.copy(), mean + (y - mean) * math.sqrt(n / (n - 1))


def fit_mixture(
    signal: ArrayLike, y: ArrayLike, *, step: float = 0.0, correlation: Correlation = WHITE
) -> MixtureNoise:
    """Fit a Gaussian mixture to pairs of clean signal and measurement, by maximum likelihood.

    Raises InputError if the shapes differ, there are fewer than 2000 pairs, or no noise is in
    them.
    """
    s, measured = (np.asarray(values, dtype=np.float64).ravel() for values in (signal, y))
    if s.shape != measured.shape:
        raise InputError(
            f"Signal and measurement pair pixel by pixel: expected the same shape, not "
            f"{np.shape(signal)} and {np.shape(y)}."
        )
    usable = np.isfinite(s) & np.isfinite(measured)
    s, measured = s[usable], measured[usable]
    if len(s) < MIN_PAIRS:
        raise InputError(
            f"A noise mixture is fitted to at least {MIN_PAIRS} pixels, not {len(s)}: give "
            'more frames or a larger image, or use noise="gaussian".'
        )
    low, high = np.percentile(s, (0.1, 99.9))
    inside = (s >= low) & (s <= high)  # hot pixels that are in every frame are not
    s, measured = s[inside], measured[inside]
    bins = signal_bins(s)
    floor = step * _ROUNDING
    sigma, usual = _robust(measured - s, bins, floor)
    if not sigma.max() > 0:
        raise InputError(
            "No noise is left between signal and measurement: give raw frames of the camera, "
            "or a noisier image."
        )
    outliers = float(np.clip(1 - usual.mean(), _LEAST_OUTLIERS, _MOST_OUTLIERS))
    chosen = _drawn_evenly(np.flatnonzero(usual), bins)
    knots = _knots(s[chosen])
    centres = np.array([s[bins == b].mean() for b in np.unique(bins)])
    at_knots = np.interp(knots, centres, np.maximum(sigma, 1e-3 * sigma.max()))
    tables = _maximised(s[chosen], measured[chosen], knots, at_knots, floor)
    weights, shifts, stds = (tuple(map(tuple, _rounded(table))) for table in tables)
    outliers = float(f"{outliers:.3g}")
    return MixtureNoise(tuple(_rounded(knots)), weights, shifts, stds, outliers, correlation)


def quantisation_step(y: NDArray[np.generic]) -> float:
    """The least difference between values: 1 for counts, 0 for continuous ones."""
    if y.dtype.kind in "ui":
        levels = np.unique(y)
        return float(np.diff(levels).min()) if len(levels) > 1 else 1.0
    sample = np.unique(y.ravel()[:_MAX_PAIRS])
    sample = sample[np.isfinite(sample)]
    if len(sample) < 2 or len(sample) > _MAX_PAIRS // 8:
        return 0.0
    return float(np.diff(sample).min())


def _robust(
    residual: FloatArray, bins: NDArray[np.intp], floor: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Standard deviation of each bin, deaf to outliers, and which pixels are none."""
    sigma, usual = [], np.ones(len(residual), bool)
    for index in np.unique(bins):
        members = np.flatnonzero(bins == index)
        values = residual[members]
        middle = np.median(values)
        quantiles = np.percentile(values, (2.3, 15.9, 84.1, 97.7))
        spread = max(
            (quantiles[2] - quantiles[1]) / 2, (quantiles[3] - quantiles[0]) / 4, floor
        )
        usual[members] = np.abs(values - middle) <= _OUTLIER * max(spread, 1e-12)
        sigma.append(max(float(values[usual[members]].std()), floor))
    return np.array(sigma), usual


def _drawn_evenly(indices: NDArray[np.intp], bins: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most so many pairs, as evenly over the signal as there are."""
    if len(indices) <= _MAX_PAIRS:
        return indices
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(indices)
    rank = np.empty(len(shuffled), np.intp)
    for index in np.unique(bins[shuffled]):
        members = np.flatnonzero(bins[shuffled] == index)
        rank[members] = np.arange(len(members))
    return np.asarray(shuffled[np.argsort(rank, kind="stable")[:_MAX_PAIRS]])


def _knots(signal: FloatArray) -> FloatArray:
    low, high = float(signal.min()), float(signal.max())
    if high <= low:  # a scene of one signal
        return np.array([low, low + max(1.0, abs(low))])
    share = np.linspace(0, 1, _KNOTS_BY_SHARE)
    grid = np.linspace(low, high, _KNOTS_BY_RANGE)
    knots = [low]
    for knot in np.union1d(np.quantile(signal, share), grid):
        if min(knot - knots[-1], high - knot) >= _MIN_GAP * (high - low):
            knots.append(float(knot))
    return np.array([*knots, high])


def _maximised(
    signal: FloatArray, y: FloatArray, knots: FloatArray, sigma: FloatArray, floor: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights, shifts and standard deviations at the knots, (M, K) each."""
    import torch

    # Everything is relative to the noise's own deviation, (M, 1), so that one step suits all.
    scale = torch.from_numpy(sigma)[:, None]
    start = torch.tensor(_START, dtype=torch.float64)
    first = torch.stack([start[:, 0].log(), start[:, 1], start[:, 2].log()])
    free = first[:, None].repeat(1, len(knots), 1).requires_grad_()  # (3, M, K)
    hats = torch.from_numpy(
        np.stack([np.interp(signal, knots, row) for row in np.eye(len(knots))], axis=-1)
    )
    residual = torch.from_numpy(y - signal)[:, None]

    def tables() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        weights = free[0].softmax(dim=-1)
        stds = (scale * free[2].clamp(-5, 5).exp()).square() + floor**2
        return weights, scale * free[1], stds.sqrt()

    def loss() -> torch.Tensor:
        weights, shifts, stds = (hats @ table for table in tables())
        shifts = shifts - (weights * shifts).sum(dim=-1, keepdim=True)
        logs = weights.log() - stds.log() - 0.5 * ((residual - shifts) / stds) ** 2
        pull = _PULL * (free - first[:, None]).square().mean()
        return pull - logs.logsumexp(dim=-1).mean()

    optimiser = torch.optim.LBFGS([free], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    weights, shifts, stds = (table.detach().numpy() for table in tables())
    return weights, shifts - (weights * shifts).sum(axis=-1, keepdims=True), stds


def _rounded(values: FloatArray) -> FloatArray:
    """Six digits: enough to be written down."""
    texts = [f"{value:.6g}" for value in values.ravel()]
    return np.array(texts, dtype=np.float64).reshape(values.shape)
