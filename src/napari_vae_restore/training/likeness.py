"""Fit of an out-of-distribution score to a training's images, at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch

from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.ood_score import LEAST_BLOCKS, OODScore
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.restoration.blocks.familiarity import probe_image
from napari_vae_restore.restoration.inference.description import Description
from napari_vae_restore.restoration.tasks import Denoise
from napari_vae_restore.training.error_calibration import drawn_sigma
from napari_vae_restore.training.sources import Clean, Loaded, Pairs, factor_between, items_of
from napari_vae_restore.training.supervision import Supervision
from napari_vae_restore.training.training_planes import NO_NOISE
from napari_vae_restore.training.windows import spread_out

_log = logging.getLogger(__name__)

_WINDOWS: Final = 20
"""Windows of at most 512 x 512 pixels; to describe them takes 3 s on two cores."""


def fit_likeness(
    model: Model, supervision: Supervision, device: str | torch.device
) -> OODScore | None:
    """Fit to the noisy images of a training; None where there are too few."""
    found: list[Description] = []
    for data, axes, noise in _noisy(supervision):
        try:
            glance = probe_image(data, model, Denoise(noise), axes=axes, device=str(device))
            found += glance.descriptions
        except VAERestoreError as error:  # a window without noise or without anything
            _log.debug("not described: %s", error)
    if sum(each.shape[0] * each.shape[1] for each in found) < LEAST_BLOCKS:
        return None
    return OODScore.fit(found)


def _noisy(supervision: Supervision) -> Iterator[tuple[Any, str, Any]]:
    """Windows of noisy images, their axes and their noise."""
    source, noise = supervision.source, supervision.noise
    if isinstance(source, Clean):
        if "denoise" in source.tasks:
            rng = np.random.default_rng([supervision.seed, 6])
            for window, *_ in spread_out(items_of(source), supervision.axes, _WINDOWS):
                yield _simulated(window, rng)
        return
    if noise == NO_NOISE:
        return
    known = None if noise == "auto" else noise  # as who restores says nothing of it
    for window, *others in spread_out(items_of(source), supervision.axes, _WINDOWS):
        if isinstance(source, Pairs) and factor_between(window, others[0]) > 1:
            return
        yield window.data, window.axes, known


def _simulated(window: Loaded, rng: np.random.Generator) -> tuple[Any, str, GaussianNoise]:
    planes = Layout.of(window.data, window.axes).to_planes(window.data)
    clean = planes[0, int(rng.integers(planes.shape[1]))].astype(np.float32)
    noise = GaussianNoise(drawn_sigma(clean, rng))
    return noise.sample(clean, rng).astype(np.float32), "YX", noise
