"""The parts of an image that are inferred one by one, and the posterior of each.

Which channels belong together, which tiles a plane has, and who infers them: here, and
nowhere else, a problem and a model choose their way.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.images.tiling import Tile, tiles
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.restoration.blocks.halo import measured_halo
from napari_vae_restore.restoration.inference.colour import (
    N_COLOURS,
    ColourPosterior,
    ColourScale,
)
from napari_vae_restore.restoration.inference.conditional import (
    ConditionalPosterior,
    conditional_network,
)
from napari_vae_restore.restoration.inference.plug_and_play import PlugAndPlayPosterior
from napari_vae_restore.restoration.inference.posterior import (
    DenoisingPosterior,
    PlanePosterior,
)
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.problem import Problem

Scale: TypeAlias = Units | ColourScale


def channel_groups(
    model: Model, problem: Problem, layout: Layout, *, is_noisy: bool
) -> list[slice]:
    """Channels that are restored together: what the network takes, or noisy colours.

    Raises InputError if the network takes several channels, and the image has another number.
    """
    n_channels = layout.planes_shape[1]
    width = model.network.config.channels
    if width not in (1, n_channels):
        raise InputError(
            f"the model takes {width} channels jointly, and the image has {n_channels}: use a "
            "one-channel model, or give the axes with C or S where the channels are"
        )
    is_general = isinstance(model.network, RestorationVAE) and problem.blur is None
    if is_general and is_noisy and layout.is_rgb and problem.loses_all_channels_alike:
        width = N_COLOURS
    return [slice(start, start + width) for start in range(0, n_channels, width)]


def tile_grid(
    model: Model, shape: tuple[int, int], problem: Problem, size: int
) -> tuple[list[Tile], int]:
    """Tiles of the output plane, their cores of `size` pixels a side, and their halo in pixels.

    Borders fall between the input's pixels. The halo is measured where one tile does not hold
    the plane.
    """
    config = model.network.config
    height, width = shape
    if config.fixed_size is not None:
        side = config.fixed_size
        return tiles(height, width, size=side, halo=0, stride=side, margin=0), 0
    stride = math.lcm(config.stride, problem.factor)
    if problem.blur is not None:
        # Each turn of plug-and-play inference needs the whole plane.
        size = max(height, width)
    if max(height, width) <= size:
        return tiles(height, width, size=size, halo=0, stride=stride, margin=stride), 0
    halo = measured_halo(model)
    return tiles(height, width, size=size, halo=halo, stride=stride, margin=stride), halo


def plane_scale(model: Model, problem: Problem, sample: Measurement) -> Scale:
    """What parts of a plane share, measured on the plane or on windows side by side.

    Raises InputError if the model cannot solve the problem.
    """
    kind = _posterior_kind(model, problem, sample)
    scale: Scale = kind.scale_of(model, _without_hidden(sample))
    return scale


def plane_posterior(
    model: Model, problem: Problem, measurement: Measurement, scale: Scale
) -> PlanePosterior:
    """The posterior of one group of channels of a plane, or of a window of it."""
    kind = _posterior_kind(model, problem, measurement)
    posterior: PlanePosterior = kind(model, problem, _without_hidden(measurement), scale)
    return posterior


def _posterior_kind(model: Model, problem: Problem, measurement: Measurement) -> Any:
    """The class that solves a problem; each has a scale of its own."""
    noise = measurement.noise
    if problem.blur is not None:
        return PlugAndPlayPosterior
    if len(noise) == N_COLOURS > model.network.config.channels:
        return ColourPosterior
    is_general = isinstance(model.network, RestorationVAE) or not problem.is_denoising_alone
    if is_general or not noise:
        conditional_network(model)
        return ConditionalPosterior
    return DenoisingPosterior


def _without_hidden(measurement: Measurement) -> Measurement:
    """The same, so that nothing can depend on what lies under the mask."""
    y, observed = measurement.intensities, measurement.observed
    if observed is None:
        return measurement
    shown = y[observed]
    hidden = shown[0] if shown.size else np.zeros((), y.dtype)
    return replace(measurement, intensities=np.where(observed, y, hidden))
