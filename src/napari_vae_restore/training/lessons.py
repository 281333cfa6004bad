"""From what a user gives and starts from to the objective of a training."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

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
from napari_vae_restore.training.crops import Crops, are_many
from napari_vae_restore.training.data import PooledSet, TrainingSet, planes_like, prepare
from napari_vae_restore.training.degradations import PATCH_MULTIPLE
from napari_vae_restore.training.examples import (
    Examples,
    PooledExamples,
    SceneExamples,
    SimulatedExamples,
)
from napari_vae_restore.training.measured_planes import measured_planes
from napari_vae_restore.training.objective import NoisyELBO, Objective, Regression
from napari_vae_restore.training.pictures import picture_of
from napari_vae_restore.training.pool import Pool
from napari_vae_restore.training.scenes import (
    MIN_SIDE,
    NO_NOISE,
    noisy_scenes,
    pair_scenes,
    shot_scenes,
)
from napari_vae_restore.training.self_taught import RiskTerms, SelfTaughtExamples
from napari_vae_restore.training.settings import TrainingSettings, settings_for
from napari_vae_restore.training.sources import (
    Clean,
    Item,
    Loaded,
    Pairs,
    Shots,
    Source,
    listed,
    load_images,
    load_matched,
    matched,
)

_SHARES: Final = (0.5, 0.25, 0.75, 1.0)
"""Of the way from the weights gone on from, where noisy images teach themselves: half of the
way mostly goes further than all of it, and does less harm where the noise is not quite what
it was taken for (Wortsman et al., CVPR 2022, arXiv:2109.01903). The others are tried at the
end."""

_SUPERVISION: Final = {Shots: "two shots", Pairs: "pairs", Clean: "clean images"}


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What is learned from.

    Attributes
    ----------
    source : Source
        Noisy images, :class:`~.sources.Shots`, :class:`~.sources.Pairs` or
        :class:`~.sources.Clean`.
    noise : NoiseModel or str
        Of the measurements.
    axes : str or None
        Of the arrays.
    seed : int
        Of initialisation and of what is held out.
    skip_unreadable : bool
        Whether files that cannot be used are passed over.
    """

    source: Source
    noise: NoiseModel | str = "auto"
    axes: str | None = None
    seed: int = 0
    skip_unreadable: bool = False

    @property
    def supervision(self) -> str:
        """What the source teaches by, in words."""
        return _SUPERVISION.get(type(self.source), "noisy images")

    @property
    def is_noisy_alone(self) -> bool:
        """Whether there are noisy images and nothing else."""
        return not isinstance(self.source, Shots | Pairs | Clean)

    def items(self) -> list[tuple[Item, ...]]:
        """The images, unread, each with its second shot or clean image if there is one."""
        if isinstance(self.source, Shots):
            return [*matched(self.source.first, self.source.second)]
        if isinstance(self.source, Pairs):
            return [*matched(self.source.measured, self.source.clean)]
        images = self.source.images if isinstance(self.source, Clean) else self.source
        return [(item,) for item in listed(images)]

    def load(self) -> list[tuple[Loaded, ...]]:
        """The images, read at once."""
        how = partial(load_matched, axes=self.axes, skip_unreadable=self.skip_unreadable)
        if isinstance(self.source, Shots):
            return [*how(self.source.first, self.source.second)]
        if isinstance(self.source, Pairs):
            return [*how(self.source.measured, self.source.clean)]
        images = self.source.images if isinstance(self.source, Clean) else self.source
        loaded = load_images(
            images,
            self.axes,
            skip_unreadable=self.skip_unreadable,
            may_have_nan=self.is_noisy_alone,
        )
        return [(image,) for image in loaded]

    def crops(self, items: Sequence[tuple[Item, ...]]) -> Crops:
        """Windows of images that are too many to be read at once."""
        return Crops(items, self.axes, self.seed, skip_unreadable=self.skip_unreadable)


def make_objective(
    lesson: Lesson,
    start: Model | str | Path | None,
    config: ModelConfig | None,
    settings: TrainingSettings | None,
    device: torch.device,
) -> Objective:
    """Read the data and make of them what is to be trained, on what and how.

    Parameters
    ----------
    lesson : Lesson
        What is learned from.
    start : Model, str, Path or None
        Model to start from.
    config : ModelConfig or None
        Of fresh weights, in place of `start`.
    settings : TrainingSettings or None
        Of the optimisation.
    device : torch.device
        Where it runs.

    Returns
    -------
    Objective
        Ready for its first step. Without `start` and `config`, a VAE of noisy images.

    Raises
    ------
    InputError
        For unusable images, or a model or settings that do not suit them.
    ImageFileError, ModelFileError
        For files that cannot be read.
    """
    network = _network(lesson, start, config)
    settings = settings or settings_for(network.config)
    _check(settings, network.config)
    if isinstance(network, RestorationVAE):
        examples = _examples(lesson, network, settings)
        shares = _SHARES if start is not None and lesson.is_noisy_alone else (1.0,)
        return Regression(network, examples, settings, device, shares)
    return NoisyELBO(network, _noisy_data(lesson, network, settings), settings, device)


def _network(
    lesson: Lesson, start: Model | str | Path | None, config: ModelConfig | None
) -> VAEModule:
    """The network to go on from, or a fresh one; neither touches the global generator."""
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
            torch.manual_seed(lesson.seed)
            network = build_network(config)
    if not (is_general or lesson.is_noisy_alone):
        raise InputError(
            f"expected a model for every task, as the bundled one, to learn from "
            f"{lesson.supervision}, and got {what}: leave start and config out"
        )
    return network


def _noisy_data(
    lesson: Lesson, network: VAEModule, settings: TrainingSettings
) -> TrainingSet | PooledSet:
    """Noisy images to train a VAE on from nothing."""
    held_out_side = _held_out_side(network.config, settings.patch)
    make = partial(
        prepare,
        channels=network.config.channels,
        patch=settings.patch,
        held_out_side=held_out_side,
        seed=lesson.seed,
        symmetries=settings.symmetries,
    )
    items = lesson.items()
    if not are_many(items):
        return make([image for (image,) in lesson.load()], noise=lesson.noise)
    crops = lesson.crops(items)
    held_out = [image for (image,) in crops.held_out()]
    noise = _shared_noise(lesson, crops, held_out)
    unseen = make(held_out, noise=noise)
    pool = Pool(lambda number: planes_like(unseen, crops.crop(number)[0], noise))
    return PooledSet(unseen, pool, crops.n_images, crops.n_pixels)


def _examples(lesson: Lesson, network: RestorationVAE, settings: TrainingSettings) -> Examples:
    """Examples for the model of every task."""
    items = lesson.items()
    if not are_many(items):
        return _examples_of(lesson.load(), lesson, network, settings)
    crops = lesson.crops(items)
    held_out = crops.held_out()
    noise = _shared_noise(lesson, crops, [measured for measured, *_ in held_out])
    # Windows are mirrored to the side of a patch: later ones may be smaller than these.
    make = partial(
        _examples_of,
        lesson=replace(lesson, noise=noise),
        network=copy.deepcopy(network),
        settings=settings,
        least=settings.patch,
    )
    pool = Pool(lambda number: make([crops.crop(number)]))
    return PooledExamples(
        make(held_out), pool, n_planes=crops.n_images, n_pixels=crops.n_pixels
    )


def _examples_of(
    images: Sequence[tuple[Loaded, ...]],
    lesson: Lesson,
    network: RestorationVAE,
    settings: TrainingSettings,
    least: int = MIN_SIDE,
) -> Examples:
    stride = network.config.stride
    if isinstance(lesson.source, Clean):
        pictures = [picture_of(image.data, image.axes) for (image,) in images]
        smallest = min(min(picture.planes.shape[2:]) for picture in pictures)
        side = _side(settings.patch, smallest, math.lcm(stride, PATCH_MULTIPLE))
        return SimulatedExamples(pictures, lesson.source.tasks, side=side, seed=lesson.seed)
    terms: list[RiskTerms] = []
    if isinstance(lesson.source, Shots):
        shots = [(first, second) for first, second in images]
        scenes, models = shot_scenes(shots, lesson.noise, least=least)
    elif isinstance(lesson.source, Pairs):
        pairs = [(measured, clean) for measured, clean in images]
        scenes, models = pair_scenes(pairs, lesson.noise, least=least)
    else:
        alone = [image for (image,) in images]
        scenes, terms, models = noisy_scenes(
            alone, network, lesson.noise, seed=lesson.seed, least=least
        )
    shared = models[0] if len(set(models)) == 1 else None
    smallest = min(min(scene.image.shape) for scene in scenes)
    how: Any = {"side": _side(settings.patch, smallest, stride), "stride": stride}
    if terms:
        return SelfTaughtExamples(scenes, terms, shared, seed=lesson.seed, **how)
    return SceneExamples(scenes, shared, seed=lesson.seed, **how)


def _shared_noise(lesson: Lesson, crops: Crops, windows: Sequence[Loaded]) -> NoiseModel | str:
    """The noise of the only image's windows, or what was said of it."""
    if crops.n_images > 1 or lesson.noise == NO_NOISE or isinstance(lesson.source, Clean):
        return lesson.noise
    planes = np.concatenate([Layout.of(w.data, w.axes).to_planes(w.data) for w in windows])
    if planes.shape[1] > 1:
        return lesson.noise
    return measured_planes(planes, lesson.noise)[1][0]


def _side(wanted: int, smallest: int, multiple: int) -> int:
    """Side of the patches: as wanted, or what the smallest image has room for."""
    side = min(wanted, smallest) // multiple * multiple
    if side == 0:
        raise InputError(
            f"expected clean images of at least {multiple} x {multiple} pixels, and the "
            f"smallest one has a side of {smallest}: take it out"
        )
    return side


def _held_out_side(config: ModelConfig, patch: int) -> int:
    """Half a training patch where the network takes that: it costs less data."""
    return config.fixed_size or -(-patch // (2 * config.stride)) * config.stride


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
