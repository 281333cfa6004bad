"""A trained VAE with what it needs to be used: normalisation, noise model, record."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch

from napari_vae_restore.models.config import ModelConfig
from napari_vae_restore.models.error_calibration import ErrorCalibration
from napari_vae_restore.models.hvae import HVAE
from napari_vae_restore.models.ood_score import OODScore
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.models.vanilla_vae import FlatVAE
from napari_vae_restore.noise.models import NoiseModel


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Affine map between stabilised intensities t and network units (t - offset) / scale.

    t is the result of the noise model's `stabilise`: its noise has a standard deviation of 1,
    so ``1 / scale`` is the noise's in network units, whatever the image's units.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    offset: float
    scale: float  # above 0, as `offset` in stabilised units

    def to_network(self, stabilised: np.ndarray) -> np.ndarray:
        """float32 network units, same shape."""
        return ((stabilised - self.offset) / self.scale).astype(np.float32)

    def from_network(self, units: np.ndarray) -> np.ndarray:
        """float64 stabilised intensities, same shape."""
        return units.astype(np.float64) * self.scale + self.offset

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise in network units."""
        return 1.0 / self.scale


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """Record of a model's training; empty for a network that was never trained."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    n_steps: int = 0  # up to the weights that were kept
    seconds: float = 0.0  # wall time of these steps
    seed: int = 0
    # Held-out ELBO of the kept weights, nats per pixel, of intensities in network units.
    elbo: float | None = None
    kl: tuple[float, ...] = ()  # held-out KL per level, nats per pixel, finest level first
    # False where there was too little data: `elbo`, `kl` and `held_out` are then of training
    # pixels.
    is_held_out: bool = True
    n_planes: int = 0
    n_pixels: int = 0
    package_version: str = ""  # that trained it
    # Held-out score of the kept weights and of the first ones, nats per pixel, larger is
    # better: the ELBO, or the log-likelihood of targets.
    held_out: float | None = None
    held_out_first: float | None = None
    sources: tuple[str, ...] = ()  # names of files, layers or arrays
    supervision: str = ""  # such as "noisy images" or "pairs"
    start: str = ""  # name of the starting model; empty for random weights
    # Other measurements by name, in the order for display.
    figures: tuple[tuple[str, float | str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Model:
    """A VAE ready to restore images.

    Attributes
    ----------
    network : VAEModule
        In evaluation mode.
    normalisation : Normalisation or None
        Between stabilised intensities and network units; None for a model that takes any
        image, whose range is then measured.
    noise : NoiseModel or None
        The noise of the images it was trained on, in their intensity units; None
        where they differed, so that it has to be estimated for each image.
    record : TrainingRecord
        How it was trained.
    name : str
        For recipes and menus: the file's stem, or "untitled".
    spreads : mapping of str to ErrorCalibration
        By kind of task, what the standard deviation of samples is worth; see
        :mod:`~napari_vae_restore.restoration.trust.intervals`.
    ood_score : OODScore or None
        The out-of-distribution score of noisy images, fitted to those that it was trained on;
        None if it was not trained to remove noise, or on too few pixels.
    """

    network: VAEModule
    normalisation: Normalisation | None
    noise: NoiseModel | None
    record: TrainingRecord = TrainingRecord()
    name: str = "untitled"
    spreads: Mapping[str, ErrorCalibration] = field(default_factory=dict)
    ood_score: OODScore | None = None

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a `.safetensors` file; see :func:`~.files.save`."""
        from napari_vae_restore.models.files import save

        save(self, path, overwrite=overwrite)

    def on(self, device: torch.device) -> Model:
        """This model on a device, laid out for fast convolutions; itself if it is there.

        It is copied there once, so that caches by model find the copy again.
        """
        # "cuda" is the current one of several, and as tensors name it, "cuda:0".
        device = torch.empty(0, device=device).device
        if next(self.network.parameters()).device == device:
            return self
        copies = _copies.setdefault(self, {})
        if device not in copies:
            network = copy.deepcopy(self.network).to(device)
            copies[device] = replace(self, network=channels_last(network))
        return copies[device]

    @property
    def likeness(self) -> OODScore | None:
        """The old name of `ood_score`."""
        text = "Model.likeness is now Model.ood_score; the old name will be removed"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return self.ood_score

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickling between processes: weights without code, unpacked there once."""
        from napari_vae_restore.models.bundled import bundled, is_bundled
        from napari_vae_restore.models.files import packed, unpacked

        if is_bundled(self):  # every installation has its weights
            return bundled, (self.sha256,)
        return unpacked, packed(self)

    @property
    def sha256(self) -> str:
        """Hash of configuration, normalisation, noise model and weights: of all that affects
        the pixels of a result."""
        from napari_vae_restore.models.files import model_hash

        return model_hash(self)


# Copies of each model, by device.
_copies: WeakKeyDictionary[Model, dict[torch.device, Model]] = WeakKeyDictionary()


def channels_last(network: VAEModule) -> VAEModule:
    """The network, its convolutions laid out as CPUs and GPUs compute them fastest."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def build_network(config: ModelConfig) -> VAEModule:
    """A freshly initialised network; draws from torch's global generator.

    Callers that promise reproducibility fork that generator around the call.
    """
    networks: dict[str, type[VAEModule]] = {
        "hvae": HVAE,
        "flat": FlatVAE,
        "restoration": RestorationVAE,
    }
    return networks[config.kind](config)
