"""Supervision of a training: its source, and the objective made of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.config import HVAEConfig, ModelConfig, RestorationConfig
from napari_vae_restore.models.model import Model, build_network
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training.data import TrainingSet, planes_like, prepare
from napari_vae_restore.training.degradations import PATCH_MULTIPLE
from napari_vae_restore.training.examples import (
    Examples,
    PlaneExamples,
    PooledExamples,
    SimulatedExamples,
)
from napari_vae_restore.training.objective import NoisyELBO, Objective, Regression
from napari_vae_restore.training.pictures import picture_of
from napari_vae_restore.training.self_supervised import SelfSupervisedExamples
from napari_vae_restore.training.settings import TrainingSettings, settings_for
from napari_vae_restore.training.sources import (
    Clean,
    LoadedItems,
    Pairs,
    Shots,
    Source,
    items_of,
    load,
)
from napari_vae_restore.training.training_planes import (
    MIN_SIDE,
    NO_NOISE,
    measured_planes,
    planes_of_noisy,
    planes_of_pairs,
    planes_of_shots,
)
from napari_vae_restore.training.windows import WindowCache, WindowSampler, are_many

_SHARES: Final = (0.5, 0.25, 0.75, 1.0)
"""Shares of the way from the starting weights, for noisy images alone: half of the way is
mostly better than all of it, and does less harm where the noise model is inexact (Wortsman
et al., CVPR 2022, arXiv:2109.01903). The others are tried at the end."""

_KINDS: Final = {Shots: "two shots", Pairs: "pairs", Clean: "clean images"}


@dataclass(frozen=True, slots=True, eq=False)
class Supervision:
    """Images to learn from, and how they are to be read."""

    source: Source
    noise: NoiseModel | str = "auto"  # of the measurements
    axes: str | None = None  # of the arrays
    seed: int = 0  # of initialisation and of what is held out
    skip_unreadable: bool = False  # whether files that cannot be used are passed over

    @property
    def kind(self) -> str:
        """Kind of supervision in words, such as "pairs"."""
        return _KINDS.get(type(self.source), "noisy images")

    @property
    def is_noisy_alone(self) -> bool:
        """Whether the source is noisy images and nothing else."""
        return type(self.source) not in _KINDS

    def read(self) -> tuple[Sequence[LoadedItems], WindowSampler | None]:
        """All images; of too many to be read at once, the held-out windows, and a sampler."""
        items = items_of(self.source)
        if are_many(items):
            skip = self.skip_unreadable
            sampler = WindowSampler(items, self.axes, self.seed, skip_unreadable=skip)
            return sampler.held_out(), sampler
        images = load(
            items,
            self.axes,
            skip_unreadable=self.skip_unreadable,
            may_have_nan=self.is_noisy_alone,
        )
        return images, None


def make_objective(
    supervision: Supervision,
    start: Model | str | Path | None,
    config: ModelConfig | None,
    settings: TrainingSettings | None,
    device: torch.device,
) -> Objective:
    """Read the data, and make the objective: what is trained, on which data and how."""
    network = _network(supervision, start, config)
    settings = settings or settings_for(network.config)
    _check(settings, network.config)
    if isinstance(network, RestorationVAE):
        examples = _examples(supervision, network, settings)
        shares = _SHARES if start is not None and supervision.is_noisy_alone else (1.0,)
        return Regression(network, examples, settings, device, shares)
    return NoisyELBO(network, _noisy_data(supervision, network, settings), settings, device)


def _network(
    supervision: Supervision, start: Model | str | Path | None, config: ModelConfig | None
) -> VAEModule:
    """A copy of the starting network, or a fresh one; global random state is untouched."""
    if start is not None and config is not None:
        raise InputError("config: the model to start from has its own: give one of them")
    if start is not None:
        network = copy.deepcopy(find_model(start).network)
        is_general = isinstance(network, RestorationVAE)
        what = "one that was trained on noisy images"
    else:
        config = config or HVAEConfig()
        is_general = isinstance(config, RestorationConfig)
        what = f"a {type(config).__name__}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(supervision.seed)
            network = build_network(config)
    if not (is_general or supervision.is_noisy_alone):
        raise InputError(
            f"expected a model for every task, as the bundled one, to learn from "
            f"{supervision.kind}, and got {what}: leave start and config out"
        )
    return network


def _noisy_data(
    supervision: Supervision, network: VAEModule, settings: TrainingSettings
) -> TrainingSet:
    """Training set of noisy images for a VAE from nothing."""
    images, sampler = supervision.read()
    noise = _shared_noise(supervision, sampler, images)
    config = network.config
    # Half a training patch is held out where the network takes that: it costs less data.
    half = -(-settings.patch // (2 * config.stride)) * config.stride
    data = prepare(
        [image for (image,) in images],
        noise=noise,
        channels=config.channels,
        patch=settings.patch,
        held_out_side=config.fixed_size or half,
        seed=supervision.seed,
        symmetries=settings.symmetries,
    )
    if sampler is None:
        return data
    cache = WindowCache(lambda number: planes_like(data, sampler.window(number)[0], noise))
    return replace(
        data,
        cache=cache,
        n_planes=sampler.n_images,
        n_pixels=sampler.n_pixels,
        is_held_out=True,
    )


def _examples(
    supervision: Supervision, network: RestorationVAE, settings: TrainingSettings
) -> Examples:
    """Examples for the model of every task."""
    images, sampler = supervision.read()
    if sampler is None:
        return _examples_of(images, supervision, network, settings)
    noise = _shared_noise(supervision, sampler, images)
    # Windows are mirrored to the side of a patch: later ones may be smaller than these.
    make = partial(
        _examples_of,
        supervision=replace(supervision, noise=noise),
        network=copy.deepcopy(network),
        settings=settings,
        least=settings.patch,
    )
    cache = WindowCache(lambda number: make([sampler.window(number)]))
    return PooledExamples(
        make(images), cache, n_planes=sampler.n_images, n_pixels=sampler.n_pixels
    )


def _examples_of(
    images: Sequence[LoadedItems],
    supervision: Supervision,
    network: RestorationVAE,
    settings: TrainingSettings,
    least: int = MIN_SIDE,
) -> Examples:
    source, noise, seed = supervision.source, supervision.noise, supervision.seed
    stride = network.config.stride
    if isinstance(source, Clean):
        pictures = [picture_of(image.data, image.axes) for (image,) in images]
        smallest = min(min(picture.planes.shape[2:]) for picture in pictures)
        side = _side(settings.patch, smallest, math.lcm(stride, PATCH_MULTIPLE))
        return SimulatedExamples(pictures, source.tasks, side=side, seed=seed)
    kind = PlaneExamples
    if isinstance(source, Shots):
        planes, models = planes_of_shots(images, noise, least=least)
    elif isinstance(source, Pairs):
        planes, models = planes_of_pairs(images, noise, least=least)
    else:
        planes, models = planes_of_noisy(images, noise, network, seed=seed, least=least)
        kind = SelfSupervisedExamples
    shared = models[0] if len(set(models)) == 1 else None
    smallest = min(min(plane.image.shape) for plane in planes)
    side = _side(settings.patch, smallest, stride)
    return kind(planes, shared, side=side, stride=stride, seed=seed)


def _shared_noise(
    supervision: Supervision, sampler: WindowSampler | None, windows: Sequence[LoadedItems]
) -> NoiseModel | str:
    """Noise measured from windows if there is one image of one channel, else as given."""
    noise = supervision.noise
    is_one = sampler is not None and sampler.n_images == 1
    if not is_one or noise == NO_NOISE or isinstance(supervision.source, Clean):
        return noise
    planes = np.concatenate([Layout.of(w.data, w.axes).to_planes(w.data) for w, *_ in windows])
    return noise if planes.shape[1] > 1 else measured_planes(planes, noise)[1][0]


def _side(wanted: int, smallest: int, multiple: int) -> int:
    """Side of the patches: as set, or what the smallest image has room for."""
    side = min(wanted, smallest) // multiple * multiple
    if side == 0:
        raise InputError(
            f"expected clean images of at least {multiple} x {multiple} pixels, and the "
            f"smallest one has a side of {smallest}: take it out"
        )
    return side


def _check(settings: TrainingSettings, config: ModelConfig) -> None:
    if settings.patch % config.stride:
        raise InputError(
            f"settings.patch: expected a multiple of the network's stride "
            f"{config.stride}, got {settings.patch}"
        )
    if config.fixed_size not in (None, settings.patch):
        raise InputError(
            f"settings.patch: the network takes {config.fixed_size} x {config.fixed_size} "
            f"pixels only, got {settings.patch}"
        )
