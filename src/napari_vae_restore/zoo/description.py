"""The description of a package: a plain mapping in the terms of bioimage.io's format 0.5.

See https://github.com/bioimage-io/spec-bioimage-io; ``bioimageio.spec`` checks it.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, Final

import torch

from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.words import describe_noise
from napari_vae_restore.reports.model_report import ModelReport
from napari_vae_restore.zoo.archive import CONFIG_KEY, Attachment
from napari_vae_restore.zoo.credit import Credit

WEIGHTS: Final = "model.safetensors"
SCRIPT: Final = "weights.torchscript.pt"
README: Final = "README.md"
REPORT: Final = "model.report.html"
TEST_INPUT: Final = "test_input.npy"
TEST_OUTPUT: Final = "test_output.npy"
SAMPLE_INPUT: Final = "sample_input.tif"
SAMPLE_OUTPUT: Final = "sample_output.tif"

# Relative to a value of the test output and to its range: processors round differently.
_TOLERANCE: Final = 1e-3
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_+\- ()]+")


def describe(
    model: Model,
    credit: Credit,
    *,
    name: str,
    description: str,
    digest: str,
    cover: str,
    spread: float,
) -> dict[str, Any]:
    """The package's description in JSON, without the version of its format.

    `digest` is that of the packed model file, `spread` the range of the test output.
    """
    attachment = Attachment(WEIGHTS, digest, model.sha256)
    return {
        "type": "model",
        "name": name,
        "description": description,
        "authors": [author.to_dict() for author in credit.authors],
        "license": credit.licence,
        "cite": credit.citations(),
        "documentation": {"source": README},
        "covers": [{"source": cover}],
        "attachments": [{"source": WEIGHTS, "sha256": digest}, {"source": REPORT}],
        "tags": ["denoising", "image-restoration", "2d", "pytorch", "variational-autoencoder"],
        "inputs": [_tensor(model, "noisy", TEST_INPUT, SAMPLE_INPUT)],
        "outputs": [_tensor(model, "denoised", TEST_OUTPUT, SAMPLE_OUTPUT)],
        "weights": {
            "torchscript": {
                "source": SCRIPT,
                "pytorch_version": torch.__version__.split("+")[0],
                "comment": "The mean path; the whole model is attached as safetensors.",
            }
        },
        "config": {
            "bioimageio": {
                "reproducibility_tolerance": [
                    {
                        "relative_tolerance": _TOLERANCE,
                        "absolute_tolerance": min(_TOLERANCE * spread, 0.5),
                    }
                ],
                "architecture_type": "hierarchical VAE",
                "task": "denoising",
                "model_parameter_count": sum(p.numel() for p in model.network.parameters()),
            },
            CONFIG_KEY: asdict(attachment),
        },
    }


def package_name(name: str) -> str:
    """A model's name as bioimage.io allows it.

    >>> package_name("my cells: 2nd day")
    'my cells 2nd day (VAE denoising)'
    """
    plain = " ".join(_NOT_IN_NAMES.sub(" ", name).split())[:40]
    return f"{plain} (VAE denoising)".strip()


def _tensor(model: Model, name: str, test: str, sample: str) -> dict[str, Any]:
    config = model.network.config
    size: Any = config.fixed_size or {"min": least_side(model), "step": config.stride}
    about = "raw intensities with noise, in any unit, as they are measured"
    sides = [{"type": "space", "id": axis, "size": size} for axis in "yx"]
    if name != "noisy":
        about = "denoised intensities, same units"
        for side in sides:
            side["size"] = {"tensor_id": "noisy", "axis_id": side["id"]}
    channels = [f"channel{n}" for n in range(config.channels)]
    return {
        "id": name,
        "description": about,
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": channels}, *sides],
        "data": {"type": "float32"},
        "test_tensor": {"source": test},
        "sample_tensor": {"source": sample},
    }


def least_side(model: Model) -> int:
    """Least side of an input in pixels: the mirrored border and the noise's blocks fit in."""
    stride = model.network.config.stride
    return max(4 * stride, -(-64 // stride) * stride)


def default_description(report: ModelReport) -> str:
    """One or two sentences, for authors who give none."""
    known = report.noise
    noise = (
        "white and Gaussian, measured in each image" if known is None else describe_noise(known)
    )
    return (
        "Denoises images by a variational autoencoder, raw intensities in and out. "
        f"Noise: {noise}."
    )
