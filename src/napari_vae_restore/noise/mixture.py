"""Noise of any shape: a Gaussian mixture whose parameters depend on the signal.

    p(y | s) = (1 - e) sum_k w_k(s) N(y; s + d_k(s), sigma_k(s)^2) + e Cauchy(y; s)

as in PN2V and PPN2V (Krull et al. 2020, arXiv:1906.00651; Prakash et al. 2020,
arXiv:1911.12291), but with parameters that are linear between a few knots of the signal,
and with a small share e of outliers, so that hot pixels neither break a likelihood nor
widen what is fitted to all others. The mean of y is s by construction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import (
    WHITE,
    Correlation,
    checked_correlation,
    correlated_noise,
    json_form,
    written,
)
from napari_vae_restore.noise.numbers import FloatArray, finite, positive, widened

if TYPE_CHECKING:
    from torch import Tensor

Table: TypeAlias = tuple[tuple[float, ...], ...]

_TABLES: Final = ("weights", "shifts", "stds")
_MAX_COMPONENTS: Final = 8
_MAX_KNOTS: Final = 64
_MAX_OUTLIERS: Final = 0.2
_OUTLIER_WIDTH: Final = 10.0  # of the noise's standard deviation, scale of the Cauchy
_LEAST_WEIGHT: Final = 1e-6  # keeps its logarithm finite
_SUM_TOLERANCE: Final = 1e-3
_GRID: Final = 1024  # points of the stabilising transform
_HERMITE_NODES: Final = 24
_REACH: Final = 7.0  # standard deviations, more than the nodes' 6.6


@dataclass(frozen=True, slots=True)
class MixtureNoise:
    """Noise whose distribution, not its variance alone, depends on the signal.

    Parameters
    ----------
    knots : tuple of float
        (M,) signals in intensity units, rising; beyond them the noise stays the same.
    weights : tuple of tuple of float
        (M, K) weights of the components at each knot, each row with the sum 1.
    shifts : tuple of tuple of float
        (M, K) means of the components less the signal, intensity units. Their weighted
        mean is taken away, so that the mean of y is the signal.
    stds : tuple of tuple of float
        (M, K) standard deviations of the components, intensity units.
    outliers : float, optional
        Share of pixels with any value, such as hot ones, 0 to 0.2. They count in
        `log_likelihood`, and neither in `variance` nor in `sample`.
    correlation : (float, float) or Autoregression, optional
        Of neighbouring pixels.

    Raises
    ------
    InputError
        If the knots do not rise, a table has another shape, or a number is unusable.

    Examples
    --------
    >>> same = [(0.9, 0.1), (0.0, 0.0), (3.0, 9.0)]
    >>> noise = MixtureNoise((0.0, 100.0), *((row, row) for row in same))
    >>> noise.variance(50.0).round(2).item()
    16.2
    """

    knots: tuple[float, ...]
    weights: Table
    shifts: Table
    stds: Table
    outliers: float = 0.0
    correlation: Correlation = WHITE
    kind: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        knots = tuple(finite("knots", value) for value in _listed("knots", self.knots))
        if not 2 <= len(knots) <= _MAX_KNOTS or min(np.diff(knots)) <= 0:
            raise InputError(
                f"The knots of a noise mixture are 2 to {_MAX_KNOTS} rising signals, not "
                f"{self.knots!r}."
            )
        tables = {
            name: _checked_table(name, getattr(self, name), len(knots)) for name in _TABLES
        }
        n, *others = (len(table[0]) for table in tables.values())
        if others != [n, n] or n > _MAX_COMPONENTS:
            raise InputError(
                "A noise mixture has weights, shifts and stds of the same 1 to "
                f"{_MAX_COMPONENTS} components, not {n}, {others[0]} and {others[1]}."
            )
        for row in tables["weights"]:
            if min(row) < 0 or abs(sum(row) - 1) > _SUM_TOLERANCE:
                raise InputError(
                    f"The weights of a noise mixture are at least 0, with the sum 1, not {row}."
                )
        for std in chain.from_iterable(tables["stds"]):
            positive("stds", std)
        outliers = finite("outliers", self.outliers)
        if not 0 <= outliers <= _MAX_OUTLIERS:
            raise InputError(
                f"The share of outliers is a number from 0 to {_MAX_OUTLIERS}, not {outliers}."
            )
        correlation = checked_correlation(self.correlation)
        checked = {"knots": knots, "outliers": outliers, "correlation": correlation, **tables}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        form = {k: v for k, v in self.to_dict().items() if k not in ("kind", "correlation")}
        suffix = written(self.correlation)
        return f"{self.kind}:{json.dumps(form, separators=(',', ':'))}{suffix}"

    def variance(self, signal: ArrayLike) -> FloatArray:
        """Return the variance without outliers; see :class:`~.models.NoiseModel`."""
        weights, shifts, stds = self._at(signal)
        return np.asarray((weights * (stds**2 + shifts**2)).sum(axis=-1))

    def log_likelihood(self, y: Tensor, signal: Tensor) -> Tensor:
        """Return log p(y | s) in nats per element; see :class:`~.models.NoiseModel`."""
        y, signal = widened(y), widened(signal)
        knots = signal.new_tensor(self.knots)
        table = signal.new_tensor(np.concatenate([self.weights, self.shifts, self.stds], 1))
        inside = signal.clamp(self.knots[0], self.knots[-1])
        interval = (inside[..., None] >= knots[1:-1]).sum(dim=-1)
        low, high = knots[interval], knots[interval + 1]
        share = ((inside - low) / (high - low))[..., None]
        found = table[interval] * (1 - share) + table[interval + 1] * share
        weights, shifts, stds = found.chunk(3, dim=-1)
        shifts = shifts - (weights * shifts).sum(dim=-1, keepdim=True)
        residual = y - signal
        # Divided before it is squared, so that no float32 overflows.
        z = (residual[..., None] - shifts) / stds
        logs = weights.clamp(min=_LEAST_WEIGHT).log() - stds.log() - 0.5 * z**2
        density = logs.logsumexp(dim=-1) - 0.5 * math.log(2 * math.pi)
        if self.outliers == 0:
            return density
        width = _OUTLIER_WIDTH * (weights * (stds**2 + shifts**2)).sum(dim=-1).sqrt()
        cauchy = -((residual / width) ** 2).log1p() - width.log() - math.log(math.pi)
        return (density + math.log1p(-self.outliers)).logaddexp(
            cauchy + math.log(self.outliers)
        )

    def sample(self, signal: ArrayLike, rng: np.random.Generator) -> FloatArray:
        """Draw y without outliers; see :class:`~.models.NoiseModel`.

        The components are drawn independently: of correlated noise, only what is within
        the components is correlated.
        """
        signal = np.asarray(signal, dtype=np.float64)
        weights, shifts, stds = self._at(signal)
        drawn = rng.random(signal.shape)[..., None] * weights.sum(axis=-1, keepdims=True)
        component = (drawn > weights.cumsum(axis=-1)[..., :-1]).sum(axis=-1)[..., None]
        shift = np.take_along_axis(shifts, component, axis=-1)[..., 0]
        std = np.take_along_axis(stds, component, axis=-1)[..., 0]
        return signal + shift + std * correlated_noise(signal.shape, self.correlation, rng)

    def stabilise(self, y: ArrayLike) -> FloatArray:
        """Return the integral of dy / sigma(y); see :class:`~.models.NoiseModel`."""
        levels, stabilised, _ = _tables(self)
        return _extended(y, levels, stabilised)

    def unstabilise(self, t: ArrayLike) -> FloatArray:
        """Invert E[t | s], which is tabulated; see :class:`~.models.NoiseModel`."""
        levels, _, means = _tables(self)
        return _extended(t, means, levels)

    def stabilised(self, offset: float, scale: float) -> MixtureNoise:
        """Return the noise of measurements that are stabilised, then (t - offset) / scale."""
        levels, stabilised, _ = _tables(self)
        _, shifts, stds = self._at(self.knots)
        centres = np.array(self.knots)[:, None] + shifts
        shifted, widths = _moments(levels, stabilised, centres, stds)
        means = (np.array(self.weights) * shifted).sum(axis=-1)
        return MixtureNoise(
            tuple((_rising(means) - offset) / scale),
            self.weights,
            _rows((shifted - means[:, None]) / scale),
            _rows(widths / scale),
            self.outliers,
            self.correlation,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; see :class:`~.models.NoiseModel`."""
        form: dict[str, Any] = {"kind": self.kind, "knots": list(self.knots)}
        form |= {name: [list(row) for row in getattr(self, name)] for name in _TABLES}
        return form | {"outliers": self.outliers} | json_form(self.correlation)

    def _at(self, signal: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weights, centred shifts and standard deviations at signals, (..., K) each."""
        s = np.asarray(signal, dtype=np.float64)
        weights, shifts, stds = (
            np.stack([np.interp(s, self.knots, column) for column in np.transpose(table)], -1)
            for table in (self.weights, self.shifts, self.stds)
        )
        return weights, shifts - (weights * shifts).sum(axis=-1, keepdims=True), stds


@lru_cache(maxsize=16)
def _tables(noise: MixtureNoise) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Signals, their stabilised values t, and the means E[t | s].

    They reach so far beyond the knots that a component's noise does not: from there on t is
    a straight line in s, and its inverse the line back.
    """
    _, shifts, stds = noise._at(noise.knots)
    low, high = (float((np.abs(shifts) + _REACH * stds)[i].max()) for i in (0, -1))
    levels = np.linspace(noise.knots[0] - low, noise.knots[-1] + high, _GRID)
    slope = 1 / np.sqrt(noise.variance(levels))
    steps = np.diff(levels) * (slope[1:] + slope[:-1]) / 2
    stabilised = np.concatenate([[0.0], steps.cumsum()])
    weights, shifts, stds = noise._at(levels)
    within, _ = _moments(levels, stabilised, levels[:, None] + shifts, stds)
    return levels, stabilised, _rising((weights * within).sum(axis=-1))


def _moments(
    levels: FloatArray, stabilised: FloatArray, centres: FloatArray, stds: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of t within each component, (M, K) each."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_HERMITE_NODES)
    t = _extended(centres[..., None] + stds[..., None] * nodes, levels, stabilised)
    weights = weights / weights.sum()
    mean = t @ weights
    return mean, np.sqrt(np.maximum((t - mean[..., None]) ** 2 @ weights, 1e-12))


def _extended(values: ArrayLike, x: FloatArray, y: FloatArray) -> FloatArray:
    """Interpolate a table, and go on along its end slopes."""
    at = np.asarray(values, dtype=np.float64)
    first, last = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
    beyond = first * np.minimum(at - x[0], 0) + last * np.maximum(at - x[-1], 0)
    return np.asarray(np.interp(at, x, y) + beyond)


def _rising(values: FloatArray) -> FloatArray:
    """Make a table rise strictly, where quantised noise bends it."""
    least = 1e-6 * max(float(np.ptp(values)), 1e-6) / len(values)
    ramp = least * np.arange(len(values))
    return np.asarray(np.maximum.accumulate(values - ramp) + 2 * ramp)


def _listed(name: str, values: Any) -> Sequence[Any]:
    if isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0:
        return values
    raise InputError(f"The noise parameter {name} must be a list of numbers, not {values!r}.")


def _checked_table(name: str, table: Any, n_knots: int) -> Table:
    rows = tuple(
        tuple(finite(name, value) for value in _listed(name, row))
        for row in _listed(name, table)
    )
    if len(rows) != n_knots or len({len(row) for row in rows}) != 1:
        raise InputError(
            f"The noise parameter {name} has one row for each of {n_knots} knots, all of one "
            f"length, not {table!r}."
        )
    return rows


def _rows(table: FloatArray) -> Table:
    return tuple(tuple(map(float, row)) for row in table)
