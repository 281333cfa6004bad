"""Examples from noisy images alone, and the windows that score the training.

Training uses recorrupted patches. The score is the unbiased risk in windows whose pixels are
never a target: in intensities, as users measure errors, with the noise as the camera gives
it. Where that clips, a pixel does not follow the noise, and its mean differs from the signal
by that of the tail which a Gaussian loses there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

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
from napari_vae_restore.training.examples import HeldOut, PlaneExamples, square
from napari_vae_restore.training.local_noise import Clipped, FloatArray, Plane

_MAX_PLATES: Final = 12
"""Scored patches: enough for a standard error, at half the cost of a step."""
_CELLS: Final = 4  # cells along each side of a plate; some of them are windows
_HELD_OUT_SHARE: Final = 0.25  # greatest share of all pixels in windows
_MARGIN: Final = 8
"""Part of a window's side that is left out at its border where noise is correlated."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskTerms:
    """Terms of the unbiased risk of a plane; (H, W), intensities."""

    units: Units  # between intensities and the network's
    measured: FloatArray  # y as the network sees it
    # y less the expected bias of clipping; NaN where nothing was measured.
    target: FloatArray
    spread: FloatArray  # standard deviation of the noise
    answers: NDArray[np.bool_]  # whether a pixel follows the noise; clipped ones do not

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
        """Mean variance of the noise."""
        return float(np.square(self.spread).mean())


@dataclass(frozen=True, slots=True, eq=False)
class RiskPatch:
    """A noisy patch, the same plus a probe, and the windows that are scored."""

    conditions: Tensor  # (2, 6, P, P), of y and of y + STEP b
    noise_probe: FloatArray  # (P, P), b in intensities
    target: FloatArray  # (P, P), intensities; see :class:`RiskTerms`
    variance: float  # of the noise, the unit of the risk
    units: Units  # of the plane
    windows: tuple[Window, ...]  # in the patch

    def risk(self, means: NDArray[np.floating]) -> WindowRisk:
        """Unbiased risk of a network's means for the two conditions, (2, P, P)."""
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


class SelfSupervisedExamples(PlaneExamples):
    """Recorrupted patches of noisy images, of a side that is a multiple of the stride."""

    def held_out(self, rng: np.random.Generator) -> Sequence[RiskPatch]:
        """Patches with held-out windows; `rng` draws the probes, one for each plane."""
        probes: dict[int, FloatArray] = {}
        patches = []
        for index, place, windows in self._held_out:
            plane = self._planes[index]
            terms = cast("RiskTerms", plane.terms)  # held-out windows have them
            if index not in probes:
                probes[index] = probe(terms.spread.shape, terms.spread, plane.correlation, rng)
            b = probes[index][place]
            moved = terms.measured[place] + STEP * b * terms.answers[place]
            images = np.stack([plane.image[place], terms.units.to_network(moved[None])[0]])
            observed = np.ones((2, 1, *b.shape), bool)
            conditions = condition_tensor(images[:, None], observed, plane.constants)
            patches.append(
                RiskPatch(
                    conditions.contiguous(memory_format=torch.channels_last),
                    b,
                    terms.target[place],
                    terms.variance,
                    terms.units,
                    windows,
                )
            )
        return patches

    def _hold_out(self, rng: np.random.Generator) -> list[HeldOut]:
        """Choose plates, and windows in them, and take these out of the weights."""
        side, cell = self._side, self._side // _CELLS
        places = [
            [
                (index, top, left)
                for top in range(0, plane.image.shape[0] - side + 1, side)
                for left in range(0, plane.image.shape[1] - side + 1, side)
            ]
            for index, plane in enumerate(self._planes)
        ]
        chosen: list[tuple[int, int, int]] = []
        shuffled = [[group[i] for i in rng.permutation(len(group))] for group in places]
        order = rng.permutation(len(shuffled))
        while len(chosen) < _MAX_PLATES and any(shuffled):
            for number in order:  # one of each plane in turn
                if shuffled[number] and len(chosen) < _MAX_PLATES:
                    chosen.append(shuffled[number].pop())
        most = _HELD_OUT_SHARE * self.n_pixels / cell**2 / len(chosen)
        n = int(np.clip(most, 1, _CELLS**2 // 2))
        plates: list[HeldOut] = []
        for index, top, left in chosen:
            margin = cell // _MARGIN if any(self._planes[index].constants[1:3]) else 0
            place, windows = square(top, left, side), []
            for number in rng.permutation(_CELLS**2)[:n]:
                i, j = (int(part) * cell for part in divmod(int(number), _CELLS))
                self._weights[index][place][square(i, j, cell)] = 0
                windows.append(square(i + margin, j + margin, cell - 2 * margin))
            plates.append((index, place, tuple(windows)))
        return plates


def _cut_off(above: FloatArray, deviation: FloatArray) -> FloatArray:
    """Mean that clipping from below adds to a value.

    E[low - u | u < low] of a normal u, with `above` = low - E[u]: the inverse Mills ratio.
    """
    z = above / deviation
    return np.asarray(above + deviation * np.exp(norm.logpdf(z) - norm.logcdf(z)))
