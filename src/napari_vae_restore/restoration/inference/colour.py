"""Noisy colour pictures, restored as luminance and chroma.

Red, green and blue of a picture are much alike, so their normalised sum has most of the
signal and the noise of one of them; what is left, the chroma, is smooth and almost all
noise (Dabov et al. 2007, "Color image denoising via sparse 3D collaborative filtering
with grouping constraint in luminance-chrominance space", ICIP,
doi:10.1109/ICIP.2007.4378954). An orthonormal transform of stabilised intensities keeps
their unit noise. Without noise it gains nothing, and colours are restored apart; so are
colours that have little in common, such as stains that share a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.correlation import nearest_blur
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.noise.numbers import Mask
from napari_vae_restore.restoration.inference.blend import TileDecision
from napari_vae_restore.restoration.inference.conditional import ConditionalPosterior
from napari_vae_restore.restoration.inference.description import Description
from napari_vae_restore.restoration.inference.keys import LatentKeys
from napari_vae_restore.restoration.inference.units import Units, stabilised, unstabilised
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.problem import Problem

N_COLOURS: Final = 3

_ROWS: Final = np.array([[1, 1, 1], [1, 0, -1], [0.5, -1, 0.5]])
# Rows: luminance, red against blue, both against green; orthonormal.
LUMINANCE_CHROMA: Final = _ROWS / np.linalg.norm(_ROWS, axis=1, keepdims=True)

# Mean correlation of the colours from which they are those of one picture.
_MIN_ALIKENESS: Final = 0.6
# Noise variance of a component, relative to that of independent noise in the colours, between
# which it is taken for independent.
_INDEPENDENT: Final = (0.6, 1.6)
_LEAST_VARIANCE: Final = 1e-3
_LEAST_SIGNAL: Final = 0.02  # of a colour's variance; with less it shows nothing but noise
_MIN_DETAILS: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class ColourScale:
    """How the colours of a plane are mixed, and the units of their components."""

    mixing: NDArray[np.float64]  # (3, 3), a component in each row
    noise: tuple[GaussianNoise, ...]  # of the components of stabilised intensities
    units: tuple[Units, ...]  # of each component


class ColourPosterior:
    """q(x | c) of one plane of three noisy colours (3, H, W), observed at the same pixels."""

    def __init__(
        self, model: Model, problem: Problem, measurement: Measurement, scale: ColourScale
    ) -> None:
        self._noise, self._mixing = measurement.noise, scale.mixing
        self._intensities, self._factor = measurement.intensities, problem.factor
        self.decided: TileDecision | None = None
        mixed = _mixed(scale.mixing, stabilised(self._noise, measurement.intensities))
        self._components = [
            ConditionalPosterior(model, problem, part, units)
            for part, units in zip(
                _components(mixed, measurement, scale.noise), scale.units, strict=True
            )
        ]

    @classmethod
    def scale_of(cls, model: Model, sample: Measurement) -> ColourScale:
        """Mixing, noise and units of the components, from a plane or a sample of it."""
        values = stabilised(sample.noise, sample.intensities)
        seen = None if sample.observed is None else sample.observed[:1]
        alike = alikeness(values, seen) >= _MIN_ALIKENESS
        mixing = LUMINANCE_CHROMA if alike else np.eye(N_COLOURS)
        mixed = _mixed(mixing, values)
        variances = component_variances(values, mixed, mixing, seen)
        correlations = mixing**2 @ np.array(
            [nearest_blur(each.correlation) for each in sample.noise]
        )
        noise = tuple(
            GaussianNoise(float(np.sqrt(variance)), (float(rho_y), float(rho_x)))
            for variance, (rho_y, rho_x) in zip(variances, correlations, strict=True)
        )
        units = tuple(
            ConditionalPosterior.scale_of(model, part)
            for part in _components(mixed, sample, noise)
        )
        return ColourScale(mixing, noise, units)

    @property
    def description(self) -> Description | None:
        """Of the luminance, or of the first colour."""
        return self._components[0].description

    def signals(
        self, tile: Tile, n_samples: int, keys: LatentKeys
    ) -> Iterator[NDArray[np.float64]]:
        """See :meth:`~.posterior.PlanePosterior.signals`."""
        runs = [
            posterior.signals(tile, n_samples, replace(keys, plane=keys.plane + i))
            for i, posterior in enumerate(self._components)
        ]
        for number, components in enumerate(zip(*runs, strict=True)):
            if number == 0:
                self.decided = self._decided()
            colours = _mixed(self._mixing.T, np.concatenate(components))
            yield self._as_measured(unstabilised(self._noise, colours), tile)

    def _decided(self) -> TileDecision | None:
        """Of the colours, from what was decided of the components."""
        found = [component.decided for component in self._components]
        known = next((each for each in found if each is not None), None)
        if known is None:
            return None
        nothing = np.zeros_like(known.taken)
        whole = TileDecision(nothing + 1, nothing, nothing, known.origin)
        parts = [whole if each is None else each for each in found]
        taken, before, after = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("taken", "before", "after")
        )
        taken = _mixed(np.square(self._mixing.T), taken)
        return TileDecision(taken, before, after, known.origin)

    def _as_measured(self, signal: NDArray[np.float64], tile: Tile) -> NDArray[np.float64]:
        """What was kept of the measurement is kept as it is.

        Unstabilising is for means: it moves single measurements by a fraction of a photon.
        """
        if self.decided is None or self._factor > 1:
            return signal
        inside, place = tile.within(self._intensities.shape[1:])
        y = self._intensities[(slice(None), *place)].astype(np.float64)
        back = unstabilised(self._noise, stabilised(self._noise, y))
        signal[(slice(None), *inside)] += (1 - self.decided.taken) * (y - back)
        return signal


def alikeness(values: NDArray[np.float64], observed: Mask | None) -> float:
    """Mean correlation, −0.5 to 1, of the signals of colours (3, H, W) with unit noise."""
    values = values.reshape(N_COLOURS, -1)
    covariance = np.cov(values if observed is None else values[:, observed.ravel()])
    signal = np.diag(covariance) - 1
    if (signal < _LEAST_SIGNAL * np.diag(covariance)).any():
        return 0.0
    correlation = covariance / np.sqrt(np.outer(signal, signal))
    return float(correlation[np.triu_indices(N_COLOURS, 1)].mean())


def component_variances(
    values: NDArray[np.float64],
    mixed: NDArray[np.float64],
    mixing: NDArray[np.float64],
    observed: Mask | None,
) -> NDArray[np.float64]:
    """Noise variances (3,) of components (3, H, W); ones if the colours' noise is apart.

    `values` (3, H, W) have unit noise. Cameras with a mosaic of colours, and grey pictures
    saved as RGB, have common noise. Finest diagonal details (Haar) are compared, robustly, with
    what independent noise would give; both contain the same traces of texture.
    """
    expected = mixing**2 @ _detail_variances(values, observed)
    if not expected.all():  # rounded away, as in a picture of few levels
        return np.ones(N_COLOURS)
    ratio = _detail_variances(mixed, observed) / expected
    least, most = _INDEPENDENT
    return np.where((ratio > least) & (ratio < most), 1.0, np.maximum(ratio, _LEAST_VARIANCE))


def _components(
    mixed: NDArray[np.float64], measurement: Measurement, noise: tuple[GaussianNoise, ...]
) -> list[Measurement]:
    """Each component as a measurement of one channel."""
    seen = None if measurement.observed is None else measurement.observed[:1]
    parts = zip(mixed, noise, strict=True)
    return [Measurement(component[None], seen, (known,)) for component, known in parts]


def _mixed(mixing: NDArray[np.float64], colours: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ic,chw->ihw", mixing, colours))


def _detail_variances(
    planes: NDArray[np.float64], observed: Mask | None
) -> NDArray[np.float64]:
    """Robust variances, (C,), of the diagonal details of (C, H, W); zeros if unknown."""
    details = planes[:, :-1, :-1] - planes[:, :-1, 1:] - planes[:, 1:, :-1] + planes[:, 1:, 1:]
    if observed is not None:
        seen = observed[0]
        whole = seen[:-1, :-1] & seen[:-1, 1:] & seen[1:, :-1] & seen[1:, 1:]
        details = details[:, whole]
    details = details.reshape(len(planes), -1)
    if details.shape[1] < _MIN_DETAILS:
        return np.zeros(len(planes))
    return np.asarray(np.median(np.abs(details), axis=1) ** 2)
