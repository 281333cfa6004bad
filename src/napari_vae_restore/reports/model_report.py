"""A model's report: what it is, what it saw, what it reached, and what it imagines.

This module computes and words it. :mod:`~.model_page` makes a page of it, the command
line prints it, and the window shows it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.util import montage

from napari_vae_restore.models.bundled import DEFAULT, WEIGHTS
from napari_vae_restore.models.config import ModelConfig, RestorationConfig
from napari_vae_restore.models.latents import random_noise
from napari_vae_restore.models.model import Model, TrainingRecord
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.words import describe_noise
from napari_vae_restore.reports.model_words import (
    NOT_RECORDED,
    Rows,
    describe_bound,
    describe_course,
    describe_gain,
    rounded,
)

_KIND_WORDS: Final = {
    "hvae": "hierarchical VAE, trained on noisy images",
    "flat": "textbook VAE with one latent vector",
    "restoration": "hierarchical VAE for every task",
}
_EVERY_TASK: Final = ("denoise", "inpaint", "super-resolve", "deblur")
_NOISE_ONLY: Final = ("denoise",)

_SHEET: Final = 4  # samples along each side of the sheet
_SAMPLE_SIDE: Final = 64  # pixels; rounded up to what the network takes
_SEED: Final = 0
_GAP: Final = 2  # pixels between the samples of a sheet
_BLACK_WHITE: Final = (0.5, 99.5)  # percentiles that a sheet shows as black and white
_HASH_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class ModelReport:
    """What is to be known of a model."""

    name: str  # the model's
    file: Path | None  # where it was read from
    sha256: str  # hash of configuration, normalisation, noise model and weights
    kind: str  # "hvae", "flat" or "restoration", as in the header of model files
    n_parameters: int  # of the network
    channels: int  # image channels that it sees jointly
    strides: tuple[int, ...]  # pixels per latent cell of each level, finest first
    tasks: tuple[str, ...]  # what it can undo, as in recipes
    noise: NoiseModel | None  # of the images it was trained on; None where it differed
    record: TrainingRecord  # how it was trained
    # (16, C, h, w) float32 in network units, drawn from its prior with seed 0.
    samples: NDArray[np.float32]

    def rows(self) -> Rows:
        """Everything but KL, figures and samples in words: a label and its text each."""
        record = self.record
        rows = [
            ("Model", self.name),
            *([] if self.file is None else [("File", self.file.name)]),
            ("Kind", _KIND_WORDS[self.kind]),
            ("Size", self._size()),
            ("Does", ", ".join(self.tasks) + (", mixtures" if len(self.tasks) > 1 else "")),
            ("Noise", describe_noise(self.noise)),
            *describe_course(record),
            *(describe_bound(record) or describe_gain(record) or [("ELBO", NOT_RECORDED)]),
        ]
        if record.n_steps:
            rows.append(("Seed", str(record.seed)))
        if record.package_version:
            rows.append(("Version", f"napari-vae-restore {record.package_version}"))
        rows.append(("Hash", self.sha256[:_HASH_DIGITS]))
        return rows

    def kl_rows(self) -> list[tuple[str, float]]:
        """Each level, finest first, with its KL in nats per pixel; none if not recorded."""
        levels = zip(self.strides, self.record.kl, strict=False)
        return [(f"every {stride} px", kl) for stride, kl in levels]

    def figure_rows(self) -> Rows:
        """The figures that training recorded, numbers with four digits."""
        return [
            (name, value if isinstance(value, str) else f"{value:.4g}")
            for name, value in self.record.figures
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; the samples by number, size and seed alone."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "file": self.file and str(self.file),
            "strides": list(self.strides),
            "tasks": list(self.tasks),
            "noise": self.noise and self.noise.to_dict(),
            "record": asdict(self.record) | {"figures": dict(self.record.figures)},
            "samples": {"shape": list(self.samples.shape), "seed": _SEED},
        }

    def _size(self) -> str:
        grids = ", ".join(str(stride) for stride in self.strides)
        channels = f"; {self.channels} channels jointly" if self.channels > 1 else ""
        return f"{rounded(self.n_parameters)} parameters; latents every {grids} px{channels}"


def report_of(model: Model, file: Path | None = None) -> ModelReport:
    """Report on a model; draws samples from its prior, which takes about a second."""
    network = model.network
    config = network.config
    return ModelReport(
        name=model.name,
        file=WEIGHTS if file is None and model.name == DEFAULT else file,
        sha256=model.sha256,
        kind=config.kind,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        channels=config.channels,
        strides=config.strides,
        tasks=tasks_of(config),
        noise=model.noise,
        record=model.record,
        samples=_samples(model),
    )


def tasks_of(config: ModelConfig) -> tuple[str, ...]:
    """What a network of this configuration can undo, as in recipes."""
    return _EVERY_TASK if isinstance(config, RestorationConfig) else _NOISE_ONLY


def sheet(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay samples out in a square to look at.

    Samples (n, C, h, w) to a sheet (H, W), or (H, W, 3), with one contrast for all: three
    channels are shown as colours, of others the first.
    """
    channels = samples.shape[1]
    black, white = np.percentile(samples, _BLACK_WHITE)
    grey = np.clip((samples - black) / max(float(white - black), 1e-6), 0, 1)
    shown = grey if channels == 3 else grey[:, :1]
    white_gaps = [1.0] * shown.shape[1]
    page = np.asarray(montage(shown, fill=white_gaps, padding_width=_GAP, channel_axis=1))
    pixels = np.round(255 * page[_GAP:-_GAP, _GAP:-_GAP]).astype(np.uint8)
    return pixels if channels == 3 else pixels[..., 0]


def _samples(model: Model) -> NDArray[np.float32]:
    config = model.network.config
    side = config.fixed_size or -(-_SAMPLE_SIDE // config.stride) * config.stride
    noise = random_noise(torch.Generator().manual_seed(_SEED))
    with torch.inference_mode():
        drawn = model.network.generate(_SHEET**2, side, side, noise).signal
    return np.asarray(drawn.float().cpu(), np.float32)
