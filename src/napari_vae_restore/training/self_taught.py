"""Examples of noisy images that are their own teachers, and the windows that judge them.

Learned from are recorrupted patches. Judged is by the unbiased risk in windows whose pixels
are never a target: in intensities, as users measure errors, with the noise as it is behind
the camera. Where that clips, a pixel does not answer to the noise, and is on average brighter
or darker than the signal by what a Gaussian that is cut off there has lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor

from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.noise.correlation import WHITE
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.risk import (
    STEP,
    Window,
    WindowRisk,
    divergence,
    probe,
    share_of_texture,
    window_means,
)
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.training.examples import Batch, Scene, SceneExamples
from napari_vae_restore.training.local_noise import Clipped, FloatArray, Plane

_MAX_PLATES: Final = 12
"""Patches with windows: enough for a standard error, and half as dear as a step."""
_CELLS: Final = 4
"""Along each side of a plate; some of them are windows."""
_HELD_OUT_SHARE: Final = 0.25
"""Of all pixels, at most: small images need windows, large ones have plenty."""
_MARGIN: Final = 8
"""Part of a window's side at its border that is not judged where neighbours share noise."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskTerms:
    """What the risk of an answer needs to know of a scene; (H, W), intensities.

    Attributes
    ----------
    units : Units
        Between intensities and the network's.
    measured : numpy.ndarray
        y as the network sees it.
    target : numpy.ndarray
        y without what clipping is expected to have added; NaN where nothing was measured.
    spread : numpy.ndarray
        Standard deviation of the noise.
    answers : numpy.ndarray of bool
        Whether a pixel follows the noise: not where it is clipped.
    """

    units: Units
    measured: FloatArray
    target: FloatArray
    spread: FloatArray
    answers: NDArray[np.bool_]

    @classmethod
    def of(
        cls, y: FloatArray, pilot: Plane, model: NoiseModel, units: Units, clipped: Clipped
    ) -> RiskTerms:
        """The terms of a plane, from its first restoration `pilot` in network units.

        A count's variance is taken half way between those at the signal and at the count:
        that is right to the second order of the noise, its skewness included.
        """
        signal = units.from_network(pilot[None])[0]
        deviation = np.sqrt(model.variance(signal))
        low, high = clipped
        below, above = y <= low, y >= high
        added = np.zeros_like(y)
        added[below] = _cut_off(low - signal[below], deviation[below])
        added[above] = -_cut_off(signal[above] - high, deviation[above])
        spread = np.sqrt(model.variance((signal + y) / 2))
        return cls(units, y, y - added, spread, ~(below | above))

    @property
    def variance(self) -> float:
        """Of the noise, its mean."""
        return float(np.square(self.spread).mean())


@dataclass(frozen=True, slots=True, eq=False)
class RiskPatch:
    """A noisy patch, the same moved by a probe, and the windows that are judged.

    Attributes
    ----------
    conditions : Tensor
        (2, 6, P, P), of y and of y + STEP b.
    noise_probe : numpy.ndarray
        (P, P), b in intensities.
    target : numpy.ndarray
        (P, P), intensities; see :class:`RiskTerms`.
    variance : float
        Of the noise, the unit of the risk.
    units : Units
        Of the scene.
    windows : tuple of (slice, slice)
        In the patch.
    """

    conditions: Tensor
    noise_probe: FloatArray
    target: FloatArray
    variance: float
    units: Units
    windows: tuple[Window, ...]

    def risk(self, means: NDArray[np.floating]) -> WindowRisk:
        """The risk of what a network makes of the two conditions, (2, P, P)."""
        answer, moved = (self.units.from_network(mean[None])[0] for mean in means)
        residual = np.square(answer - self.target) / self.variance
        trace = divergence(self.noise_probe, answer, moved) / self.variance
        correlated = any(model.correlation != WHITE for model in self.units.noise)
        doubt = share_of_texture(self.units.sigma, is_correlated=correlated)
        return WindowRisk(
            window_means(residual, self.windows),
            window_means(trace, self.windows),
            np.ones(len(self.windows)),
            np.full(len(self.windows), doubt),
        )


class SelfTaughtExamples(SceneExamples):
    """Recorrupted patches of noisy images; see :class:`~.examples.Examples`.

    Parameters
    ----------
    scenes : sequence of Scene
        Without targets, with sides at least `side`.
    terms : sequence of RiskTerms
        One for each scene.
    noise : NoiseModel or None
        That they share.
    side : int
        Of the patches, pixels, a multiple of the network's stride.
    stride : int
        The network's.
    seed : int
        Chooses the windows.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        terms: Sequence[RiskTerms],
        noise: NoiseModel | None,
        *,
        side: int,
        stride: int,
        seed: int,
    ) -> None:
        self._terms = terms
        super().__init__(scenes, noise, side=side, stride=stride, seed=seed)
        self.is_held_out = True

    def held_out(self, rng: np.random.Generator) -> list[Batch]:
        """None: there are no targets."""
        del rng
        return []

    def risk_patches(self, rng: np.random.Generator) -> list[RiskPatch]:
        """Patches with held-out windows; `rng` draws the probes."""
        whole = {
            index: probe(
                self._terms[index].spread.shape,
                self._terms[index].spread,
                self._scenes[index].correlation,
                rng,
            )
            for index in dict.fromkeys(index for index, *_ in self._plates)
        }
        return [
            self._risk_patch(index, place, windows, whole[index])
            for index, place, windows in self._plates
        ]

    def _hold_out(self, rng: np.random.Generator) -> list[tuple[int, int, int]]:
        """Choose plates, and windows in them, and take these out of the weights."""
        side, cell = self._side, self._side // _CELLS
        places = [
            [
                (index, top, left)
                for top in range(0, scene.image.shape[0] - side + 1, side)
                for left in range(0, scene.image.shape[1] - side + 1, side)
            ]
            for index, scene in enumerate(self._scenes)
        ]
        chosen: list[tuple[int, int, int]] = []
        shuffled = [[group[i] for i in rng.permutation(len(group))] for group in places]
        order = rng.permutation(len(shuffled))
        while len(chosen) < _MAX_PLATES and any(shuffled):
            for number in order:  # one of each scene in turn
                if shuffled[number] and len(chosen) < _MAX_PLATES:
                    chosen.append(shuffled[number].pop())
        most = _HELD_OUT_SHARE * self.n_pixels / cell**2 / len(chosen)
        n = int(np.clip(most, 1, _CELLS**2 // 2))
        self._plates: list[tuple[int, Window, tuple[Window, ...]]] = []
        for index, top, left in chosen:
            margin = cell // _MARGIN if any(self._scenes[index].slow[1:3]) else 0
            windows = []
            for number in rng.permutation(_CELLS**2)[:n]:
                i, j = (int(part) * cell for part in divmod(int(number), _CELLS))
                weights = self._weights[index][top : top + side, left : left + side]
                weights[i : i + cell, j : j + cell] = 0
                windows.append(
                    (slice(i + margin, i + cell - margin), slice(j + margin, j + cell - margin))
                )
            place = slice(top, top + side), slice(left, left + side)
            self._plates.append((index, place, tuple(windows)))
        return []

    def _risk_patch(
        self, index: int, place: Window, windows: tuple[Window, ...], noise_probe: FloatArray
    ) -> RiskPatch:
        scene, terms = self._scenes[index], self._terms[index]
        b = noise_probe[place]
        moved = terms.measured[place] + STEP * b * terms.answers[place]
        images = np.stack([scene.image[place], terms.units.to_network(moved[None])[0]])
        observed = np.ones((2, 1, *b.shape), bool)
        conditions = condition_tensor(images[:, None], observed, scene.slow)
        return RiskPatch(
            conditions.contiguous(memory_format=torch.channels_last),
            b,
            terms.target[place],
            terms.variance,
            terms.units,
            windows,
        )


def _cut_off(above: FloatArray, deviation: FloatArray) -> FloatArray:
    """What clipping adds on average to a value that was clipped from below.

    E[low - u | u < low] of a normal u, with `above` = low - E[u]: the inverse Mills ratio.
    """
    z = above / deviation
    return np.asarray(above + deviation * np.exp(norm.logpdf(z) - norm.logcdf(z)))
