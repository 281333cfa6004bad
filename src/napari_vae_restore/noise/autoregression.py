"""Correlated noise as a causal linear autoregression: drawn, fitted and whitened.

    e[i, j] = sum over the context of a[k, l] e[i - k, j - l] + tau n[i, j]

with n white and tau such that e has a variance of 1. The context holds pixels that come
before (i, j) when rows are read from left to right: of its row, of its column, or of
both over a few pixels (the non-symmetric half plane). By the chain rule the density of
a field is the product of the densities of its innovations n, which is what a likelihood of
correlated noise needs (COSDD: Salmon & Krull 2024, arXiv:2403.14381).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

FloatArray: TypeAlias = NDArray[np.float64]
Direction: TypeAlias = Literal["row", "column", "plane"]

DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)

_MAX_ORDER: Final = {"row": 8, "column": 8, "plane": 3}
_USEFUL: Final = 0.01  # of the innovations' variance, that one order more must explain
# Pixels of the period on which a spectrum is computed, along Y and X.
_PERIODS: Final = {"row": (1, 1024), "column": (1024, 1), "plane": (128, 128)}
_MIN_INNOVATION: Final = 1e-4  # variance; less is a pattern, not noise
# White noise mixed in until a stable process follows.
_LOADINGS: Final = (0.0, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3)


@dataclass(frozen=True, slots=True)
class Autoregression:
    """A stationary Gaussian field of variance 1 with a causal context.

    Parameters
    ----------
    direction : {"row", "column", "plane"}
        Where the context lies: before the pixel in its row (along X), above it in its
        column (along Y), or both: before it and in the rows above.
    coefficients : tuple of float
        Weights of the context, nearest pixel first. For "plane" the 4, 12 or 24 of
        radius 1, 2 or 3: the row's own, nearest first, then each row above, nearest row
        first, from left to right.

    Raises
    ------
    InputError
        If the direction is unknown, the number of coefficients does not suit it, or no
        stable process has these coefficients.

    Examples
    --------
    >>> noise = Autoregression("row", (0.8,))
    >>> str(noise), float(noise.autocorrelation(2)[2, 4].round(3))
    ('row:0.8', 0.64)
    """

    direction: Direction
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise InputError(
                f"The direction of correlated noise is one of {', '.join(DIRECTIONS)}, not "
                f"{self.direction!r}."
            )
        try:
            coefficients = tuple(float(value) for value in self.coefficients)
        except (TypeError, ValueError):
            coefficients = ()
        object.__setattr__(self, "coefficients", coefficients)
        orders = {
            len(_context(self.direction, order)): order
            for order in range(1, _MAX_ORDER[self.direction] + 1)
        }
        if len(coefficients) not in orders or not np.isfinite(coefficients).all():
            raise InputError(
                f"Noise correlated along the {self.direction} takes "
                f"{', '.join(map(str, orders))} finite coefficients, for example 'row:0.8', "
                f"not {coefficients}."
            )
        if not _is_stable(self.direction, coefficients):
            raise InputError(
                f"No noise of constant variance has the coefficients {coefficients} along the "
                f"{self.direction}: use smaller ones, whose sum is well below 1."
            )

    @property
    def order(self) -> int:
        """Pixels that the context reaches back."""
        if self.direction == "plane":
            return round((math.sqrt(1 + 2 * len(self.coefficients)) - 1) / 2)
        return len(self.coefficients)

    def __str__(self) -> str:
        return f"{self.direction}:{','.join(map(repr, self.coefficients))}"

    def autocorrelation(self, reach: int) -> FloatArray:
        """Return the autocorrelation at lags up to some pixels along both axes.

        Parameters
        ----------
        reach : int
            Greatest lag in pixels, at most 32.

        Returns
        -------
        numpy.ndarray of float64
            (2 reach + 1, 2 reach + 1), 1 at the centre, where the lag is zero.
        """
        lags = np.arange(-reach, reach + 1)
        covariance = _covariance(self)
        if self.direction == "row":
            return np.outer(lags == 0, covariance[0, lags])
        if self.direction == "column":
            return np.outer(covariance[lags, 0], lags == 0)
        return np.asarray(covariance[np.ix_(lags, lags)])

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Draw a field of this noise.

        Parameters
        ----------
        shape : tuple of int
            (..., Y, X); a single axis is taken as X. All other axes are independent.
        rng : numpy.random.Generator
            Source of the randomness.

        Returns
        -------
        numpy.ndarray of float64
            Mean 0, variance 1, stationary up to the borders.
        """
        height, width = (1, 1, *shape)[-2:]
        # White noise through the amplitude of the spectrum, on a period so much longer
        # than the field that its ends do not meet.
        pad_y, pad_x = (0 if n == 1 else n // 2 for n in _PERIODS[self.direction])
        rows, columns = height + pad_y, width + pad_x
        amplitude = np.sqrt(_spectrum(self.direction, self.coefficients, (rows, columns)))
        white = rng.standard_normal((*shape[:-2], rows, columns))
        coloured = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(rows, columns))
        return np.asarray(coloured[..., :height, :width].reshape(shape))

    def whiten(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Turn noise into its innovations, which are white.

        Each pixel is predicted, by least squares, from that part of its context which
        lies inside the image: the first pixel has none, and is its own innovation.

        Parameters
        ----------
        noise : torch.Tensor
            (..., H, W), floating.

        Returns
        -------
        innovations : torch.Tensor
            (..., H, W), standard normal and independent for noise of this kind,
            differentiable.
        log_scale : torch.Tensor
            (H, W), logarithm of the standard deviation that each innovation was divided
            by. The log-density of a field is that of the innovations less its sum.
        """
        import torch

        n = self.order
        reach = {"row": (0, n, 0), "column": (n, 0, 0), "plane": (n, n, n)}
        above, left, right = reach[self.direction]
        height, width = noise.shape[-2:]
        columns = _runs(width, left, right)
        bands, scales = [], []
        for i0, i1, up, _ in _runs(height, above, 0):
            parts, logs = [], []
            for j0, j1, before, after in columns:
                offsets, weights, log_std = _predictor(self, up, before, after)
                innovation = noise[..., i0:i1, j0:j1]
                for (k, m), weight in zip(offsets, weights, strict=True):
                    innovation = (
                        innovation - weight * noise[..., i0 - k : i1 - k, j0 - m : j1 - m]
                    )
                parts.append(innovation / math.exp(log_std))
                logs.append(noise.new_full((i1 - i0, j1 - j0), log_std))
            bands.append(torch.cat(parts, dim=-1))
            scales.append(torch.cat(logs, dim=-1))
        return torch.cat(bands, dim=-2), torch.cat(scales, dim=-2)


def geometric(y: float, x: float) -> Autoregression:
    """Return the noise whose autocorrelation decays geometrically along both axes.

    Examples
    --------
    >>> geometric(0.0, 0.8)
    Autoregression(direction='row', coefficients=(0.8,))
    """
    if y == 0:
        return Autoregression("row", (x,))
    if x == 0:
        return Autoregression("column", (y,))
    return Autoregression("plane", (x, round(-x * y, 4), y, 0.0))


def fit_autoregression(autocorrelation: FloatArray, direction: Direction) -> Autoregression:
    """Fit an autoregression to an autocorrelation, by the Yule-Walker equations.

    The order grows as long as one more explains a hundredth of the innovations' variance.
    """
    symmetric = (autocorrelation + autocorrelation[:, ::-1]) / 2
    symmetric = (symmetric + symmetric[::-1]) / 2
    radius = len(symmetric) // 2
    allowed = radius if direction != "plane" else radius // 2
    most = min(allowed, _MAX_ORDER[direction])
    best: Autoregression | None = None
    remaining = 1.0
    for order in range(1, most + 1):
        found, innovation = _solved(symmetric, direction, order)
        if best is not None and innovation > (1 - _USEFUL) * remaining:
            break
        best, remaining = found, innovation
    if best is None:
        raise InputError(
            f"An autocorrelation of {autocorrelation.shape} lags is too small to fit noise "
            f"along the {direction}: measure more lags."
        )
    return best


def _solved(
    autocorrelation: FloatArray, direction: Direction, order: int
) -> tuple[Autoregression, float]:
    """The process of one order, and the variance of its innovations."""
    context = _context(direction, order)
    for loading in _LOADINGS:
        loaded = autocorrelation / (1 + loading)
        loaded[tuple(n // 2 for n in loaded.shape)] = 1.0
        weights, innovation = _least_squares(loaded, context)
        if innovation > _MIN_INNOVATION and _is_stable(direction, tuple(weights)):
            rounded = tuple(round(float(weight), 4) for weight in weights)
            return Autoregression(direction, rounded), innovation
    return Autoregression(direction, (0.0,) * len(context)), 1.0


def _least_squares(
    autocorrelation: FloatArray, context: Sequence[tuple[int, int]]
) -> tuple[FloatArray, float]:
    """Weights that predict a pixel from a context, and the variance that remains."""
    if not context:
        return np.empty(0), 1.0
    centre = len(autocorrelation) // 2
    where = np.array(context)
    differences = where[:, None] - where[None]
    gram = autocorrelation[centre + differences[..., 0], centre + differences[..., 1]]
    cross = autocorrelation[centre + where[:, 0], centre + where[:, 1]]
    weights = np.linalg.lstsq(gram, cross, rcond=None)[0]
    return weights, float(1 - weights @ cross)


def _context(direction: str, order: int) -> list[tuple[int, int]]:
    """How far back along Y and X the pixels of the context lie."""
    before = [(0, step) for step in range(1, order + 1)]
    if direction == "row":
        return before
    if direction == "column":
        return [(step, 0) for step in range(1, order + 1)]
    above = itertools.product(range(1, order + 1), range(order, -order - 1, -1))
    return [*before, *above]


def _runs(length: int, before: int, after: int) -> list[tuple[int, int, int, int]]:
    """Start, stop, and pixels within reach before and after, of alike positions."""
    first, last = min(before, length), max(length - after, before, 0)
    edges = [*range(first + 1), *range(max(last, first + 1), length + 1)]
    return [
        (start, stop, min(start, before), min(length - 1 - start, after))
        for start, stop in itertools.pairwise(edges)
    ]


@lru_cache(maxsize=1024)
def _predictor(
    model: Autoregression, above: int, before: int, after: int
) -> tuple[tuple[tuple[int, int], ...], tuple[float, ...], float]:
    """Context inside the image, its weights, and log of the innovation's deviation."""
    inside = tuple(
        (k, m)
        for k, m in _context(model.direction, model.order)
        if k <= above and -after <= m <= before
    )
    weights, innovation = _least_squares(model.autocorrelation(2 * model.order), inside)
    return inside, tuple(map(float, weights)), 0.5 * math.log(max(innovation, _MIN_INNOVATION))


def _transfer(
    direction: str, coefficients: tuple[float, ...], period: tuple[int, int]
) -> NDArray[np.complex128]:
    """1 - A at the frequencies of a real transform, (rows, columns // 2 + 1)."""
    rows, columns = period
    order = max(n for n in range(1, 9) if len(_context(direction, n)) <= len(coefficients))
    y = np.fft.fftfreq(rows)[:, None]
    x = np.fft.rfftfreq(columns)[None]
    transfer = np.ones((rows, columns // 2 + 1), np.complex128)
    for (k, m), weight in zip(_context(direction, order), coefficients, strict=True):
        transfer -= weight * np.exp(-2j * np.pi * (k * y + m * x))
    return transfer


def _spectrum(
    direction: str, coefficients: tuple[float, ...], period: tuple[int, int]
) -> FloatArray:
    """Power at the frequencies of a real transform, its mean over all of them 1."""
    power = 1 / np.abs(_transfer(direction, coefficients, period)) ** 2
    doubled = np.full(power.shape[1], 2.0)  # of a real field, but for the edge columns
    doubled[0] = 1
    if period[1] % 2 == 0:
        doubled[-1] = 1
    return np.asarray(power / ((power * doubled).sum() / (period[0] * period[1])))


def _is_stable(direction: str, coefficients: tuple[float, ...]) -> bool:
    """Whether the process has a finite variance and is not all but determined."""
    polynomial = [1.0, *(-a for a in coefficients)]
    if direction != "plane" and np.abs(np.roots(polynomial)).max() > 0.99:
        return False
    squared = np.abs(_transfer(direction, coefficients, _PERIODS[direction])) ** 2
    return bool(squared.min() > _MIN_INNOVATION)


@lru_cache(maxsize=32)
def _covariance(model: Autoregression) -> FloatArray:
    """Autocorrelation on a period, lag zero first."""
    period = _PERIODS[model.direction]
    covariance = np.fft.irfft2(_spectrum(model.direction, model.coefficients, period), s=period)
    covariance.setflags(write=False)
    return np.asarray(covariance)
