"""Simulated measurements: a clean patch and the condition that the network reads.

Each example is a task or a mixture of tasks, with noise from white to strongly
correlated, signal-dependent or not. Values are in network units, about [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.noise.correlation import WHITE
from napari_vae_restore.noise.models import GaussianNoise, PoissonGaussianNoise
from napari_vae_restore.operators.filling import smooth_fill
from napari_vae_restore.operators.resampling import enlargement, reduction, separable
from napari_vae_restore.training.holes import HOLES, draw_hole

Patch: TypeAlias = NDArray[np.float32]
Correlation: TypeAlias = tuple[float, float]

TASKS: Final = {
    "noise": 0.42,
    "hole": 0.22,
    "factor": 0.15,
    "noise+hole": 0.10,
    "noise+factor": 0.08,
    "hole+factor": 0.03,
}
"""Tasks and mixtures of tasks, and how often each is drawn."""
_PARTS: Final = {"denoise": "noise", "inpaint": "hole", "super-resolve": "factor"}

FACTORS: Final = (2, 3, 4)
PATCH_MULTIPLE: Final = math.lcm(*FACTORS)  # sides of patches are multiples of this

_SIGMAS: Final = (1 / 255, 65 / 255)
_WEAK: Final = (0.25 / 255, 10 / 255)
_P_WEAK: Final = 0.35  # weak noise, log-uniform: networks change such images too much at first
_LEVELS: Final = np.array([1, 3, 10, 20, 35, 50]) / 255
_CORRELATED: Final = 0.15
"""Lag-1 correlation from which noise counts as correlated, for the balance of the loss."""
_DENSE: Final = 0.65  # share of missing dots above which they have a bucket of their own

_P_SIGMA_WRONG: Final = 0.5
_SIGMA_ERROR: Final = 0.04
"""Standard deviation of the error in log sigma: noise is never known exactly."""

_P_WHITE: Final = 0.62
_P_ISOTROPIC: Final = 0.75
_P_BOTH_AXES: Final = 0.5
_WIDTHS: Final = (0.25, 1.3)
"""Pixels, standard deviation of the blur that correlates noise: lag-1 of 0.001 to 0.86."""

_P_PHOTONS: Final = 0.3
_PHOTONS: Final = (3.0, 400.0)  # photons expected at a value of 1
_READ_NOISE: Final = (0.05, 2.0)  # photons
_UNCORRELATED: Final = 0.02
"""Lag-1 correlation below which photons are drawn from a true Poisson distribution."""
_P_COARSE_CAMERA: Final = 0.5
_GREY_LEVELS: Final = (60, 255)
_CURVE_POINTS: Final = 256

_N_LEVELS: Final = len(_LEVELS) + 1
BUCKETS: Final = (
    *(f"noise, level {i}" for i in range(_N_LEVELS)),
    *(f"correlated noise, level {i}" for i in range(_N_LEVELS)),
    *(f"hole, {kind}" for kind in HOLES),
    "hole, dense dots",
    *(f"factor {factor}" for factor in FACTORS),
    *(f"noise+hole, level {i}" for i in range(_N_LEVELS)),
    *(f"noise+factor, level {i}" for i in range(_N_LEVELS)),
    *(f"hole+factor {factor}" for factor in FACTORS),
)
"""Kinds of example that the loss is balanced between; level 0 is the least noise."""
N_BUCKETS: Final = len(BUCKETS)


@dataclass(frozen=True, slots=True)
class Example:
    """A simulated measurement and its target."""

    condition: Patch  # (6, P, P) float32; see :data:`~.models.condition.CONDITION_CHANNELS`
    target: Patch  # (1, P, P) float32, what the mean head regresses on
    # (1, P, P) float32, 1 where the loss counts: inside the hole of a noise-free image,
    # everywhere else.
    weight: Patch
    bucket: int  # index into :data:`BUCKETS`


@dataclass(frozen=True, slots=True)
class _Noisy:
    """A patch with noise, by default none, and that noise's parameters.

    `clean_of` takes a clean patch to the units of the measurement.
    """

    measured: Patch
    clean_of: Callable[[Patch], Patch] = lambda clean: clean
    sigma: float = 0.0
    correlation: Correlation = WHITE


def kinds_of(tasks: Iterable[str]) -> dict[str, float]:
    """Shares, summing to 1, of the :data:`TASKS` that are mixtures of the given ones only."""
    known = {_PARTS[task] for task in tasks}
    kinds = {kind: share for kind, share in TASKS.items() if set(kind.split("+")) <= known}
    return {kind: share / sum(kinds.values()) for kind, share in kinds.items()}


def simulate(
    clean: Patch, rng: np.random.Generator, kinds: Mapping[str, float] = TASKS
) -> Example:
    """Degrade a clean patch by a random task or mixture of tasks.

    The patch is (P, P) float32, about [0, 1]; P is a multiple of 12.
    """
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    factor = int(rng.choice(FACTORS)) if "factor" in kind else 1
    small = clean
    if factor > 1:
        small = _along_both(reduction(len(clean), factor, "bicubic"), clean)
    noisy = _noisy(small, rng) if "noise" in kind else _Noisy(small)
    hole, hole_kind = np.zeros(small.shape, bool), ""
    if "hole" in kind:
        hole, hole_kind = draw_hole(len(small), rng)
    image = smooth_fill(noisy.measured, ~hole)
    if factor > 1:
        image = _along_both(enlargement(len(image), factor), image)
    observed = np.kron(~hole, np.ones((factor, factor))).astype(np.float32)
    constants = (_with_error(noisy.sigma, rng), *noisy.correlation, np.log2(factor))
    maps = [np.full(clean.shape, value, np.float32) for value in constants]
    weight = 1 - observed if kind == "hole" else np.ones_like(observed)
    return Example(
        condition=np.stack([image, observed, *maps]),
        target=noisy.clean_of(clean)[None].copy(),
        weight=weight[None],
        bucket=BUCKETS.index(_bucket(kind, noisy, hole_kind, float(hole.mean()), factor)),
    )


def _along_both(matrix: NDArray[np.float64], patch: Patch) -> Patch:
    return separable(matrix, matrix, patch).astype(np.float32)


def _with_error(sigma: float, rng: np.random.Generator) -> float:
    """Sigma with the error of an estimate."""
    if rng.random() < _P_SIGMA_WRONG:
        return sigma * float(np.exp(rng.normal(0, _SIGMA_ERROR)))
    return sigma


def _bucket(kind: str, noisy: _Noisy, hole_kind: str, missing: float, factor: int) -> str:
    level = int(np.searchsorted(_LEVELS, noisy.sigma))
    if kind == "noise":
        is_correlated = max(noisy.correlation) > _CORRELATED
        return f"{'correlated ' * is_correlated}noise, level {level}"
    if kind == "hole":
        is_dense = hole_kind == "dots" and missing > _DENSE
        return f"hole, {'dense ' * is_dense}{hole_kind}"
    if "noise" in kind:
        return f"{kind}, level {level}"
    return f"{kind} {factor}"


def _noisy(clean: Patch, rng: np.random.Generator) -> _Noisy:
    correlation = _correlation(rng)
    if rng.random() < _P_PHOTONS:
        return _with_photon_noise(clean, correlation, rng)
    if rng.random() < _P_WEAK:
        sigma = float(np.exp(rng.uniform(*np.log(_WEAK))))
    else:
        sigma = float(rng.uniform(*_SIGMAS))
    measured = GaussianNoise(sigma, correlation).sample(clean, rng)
    return _Noisy(measured.astype(np.float32), sigma=sigma, correlation=correlation)


def _correlation(rng: np.random.Generator) -> Correlation:
    """Lag-1 correlation of the noise along y and x."""
    if rng.random() < _P_WHITE:
        return WHITE
    one, other = rng.uniform(*_WIDTHS, 2)
    if rng.random() < _P_ISOTROPIC:
        return (_lag_1(one), _lag_1(one))
    return (_lag_1(one), _lag_1(other) if rng.random() < _P_BOTH_AXES else 0.0)


def _lag_1(width: float) -> float:
    """Lag-1 correlation of white noise after a Gaussian of this standard deviation."""
    offsets = np.arange(-8, 9)  # six standard deviations of the widest
    kernel = np.exp(-0.5 * (offsets / width) ** 2)
    return float(kernel[1:] @ kernel[:-1] / (kernel @ kernel))


def _with_photon_noise(
    clean: Patch, correlation: Correlation, rng: np.random.Generator
) -> _Noisy:
    """Poisson-Gaussian noise seen through its stabilising transform, scaled to about [0, 1]."""
    photons = float(np.exp(rng.uniform(*np.log(_PHOTONS))))
    read = float(rng.uniform(*_READ_NOISE))
    noise = PoissonGaussianNoise(a=1.0, b=read**2, correlation=correlation)
    expected = clean.clip(0, None).astype(np.float64) * photons
    if max(correlation) < _UNCORRELATED:
        counts = rng.poisson(expected) + read * rng.standard_normal(clean.shape)
    else:
        counts = noise.sample(expected, rng)
    if rng.random() < _P_COARSE_CAMERA:  # few grey levels, clipped at black
        step = photons / rng.uniform(*_GREY_LEVELS)
        counts = np.round(counts.clip(0, None) / step) * step
    black, white = noise.stabilise(np.array([0.0, photons]))
    scale = max(float(white - black), 1 / _SIGMAS[1])
    # The clean signal in stabilised units is what the exact unbiased inverse takes back.
    curve = np.linspace(0.0, 2 * np.sqrt(photons * 1.3 + read**2 + 1), _CURVE_POINTS)
    signal = noise.unstabilise(curve)

    def clean_of(patch: Patch) -> Patch:
        stabilised = np.interp(patch.clip(0, None) * photons, signal, curve)
        return np.asarray((stabilised - black) / scale, dtype=np.float32)

    measured = ((noise.stabilise(counts) - black) / scale).astype(np.float32)
    return _Noisy(measured, clean_of, 1 / scale, correlation)
