"""From what a user gives and starts from to the objective of a training."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from napari_vae_restore.errors import InputError
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.config import HVAEConfig, ModelConfig, RestorationConfig
from napari_vae_restore.models.model import Model, build_network
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training.data import prepare
from napari_vae_restore.training.degradations import PATCH_MULTIPLE
from napari_vae_restore.training.examples import Examples, SceneExamples, SimulatedExamples
from napari_vae_restore.training.objective import NoisyELBO, Objective, Regression
from napari_vae_restore.training.pictures import picture_of
from napari_vae_restore.training.scenes import noisy_scenes, pair_scenes, shot_scenes
from napari_vae_restore.training.settings import FINE_TUNING, TrainingSettings
from napari_vae_restore.training.sources import Clean, Pairs, Shots, Source, load_images

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
    if isinstance(network, RestorationVAE):
        settings = settings or FINE_TUNING
        _check(settings, network.config)
        examples = _examples(lesson, network, settings)
        return Regression(network, examples, settings, device)
    settings = settings or TrainingSettings()
    _check(settings, network.config)
    data = prepare(
        lesson.source,
        axes=lesson.axes,
        noise=lesson.noise,
        channels=network.config.channels,
        patch=settings.patch,
        held_out_side=_held_out_side(network.config, settings.patch),
        seed=lesson.seed,
        skip_unreadable=lesson.skip_unreadable,
    )
    return NoisyELBO(network, data, settings, device)


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


def _examples(lesson: Lesson, network: RestorationVAE, settings: TrainingSettings) -> Examples:
    source, axes, skip = lesson.source, lesson.axes, lesson.skip_unreadable
    stride = network.config.stride
    if isinstance(source, Clean):
        images = load_images(source.images, axes, skip_unreadable=skip)
        pictures = [picture_of(image.data, image.axes) for image in images]
        smallest = min(min(picture.planes.shape[2:]) for picture in pictures)
        side = _side(settings.patch, smallest, math.lcm(stride, PATCH_MULTIPLE))
        return SimulatedExamples(pictures, source.tasks, side=side, seed=lesson.seed)
    if isinstance(source, Shots):
        found = shot_scenes(source, lesson.noise, axes=axes, skip_unreadable=skip)
    elif isinstance(source, Pairs):
        found = pair_scenes(source, lesson.noise, axes=axes, skip_unreadable=skip)
    else:
        found = noisy_scenes(
            source, network, lesson.noise, axes=axes, seed=lesson.seed, skip_unreadable=skip
        )
    scenes, models = found
    shared = models[0] if len(set(models)) == 1 else None
    smallest = min(min(scene.image.shape) for scene in scenes)
    side = _side(settings.patch, smallest, stride)
    return SceneExamples(scenes, shared, side=side, stride=stride, seed=lesson.seed)


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
