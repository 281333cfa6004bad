"""The README of a package, made from the model's report."""

from __future__ import annotations

from typing import Final

from napari_vae_restore.noise.models import PoissonGaussianNoise
from napari_vae_restore.reports.model_report import ModelReport
from napari_vae_restore.reports.model_words import Rows

# Of the sample that is packed by default.
SAMPLE_CREDIT: Final = (
    "The test image is the NEUBIAS training resources' "
    "`xy_calibrated_16bit__cells_eres_noisy.tif` "
    "(https://github.com/NEUBIAS/training-resources), CC BY 4.0, cropped."
)
_METHOD: Final = (
    "a hierarchical variational autoencoder in the line of Prakash et al., 2022, "
    "https://arxiv.org/abs/2104.01374"
)


def readme(report: ModelReport, title: str, description: str, image_credit: str) -> str:
    """Markdown with the sections that bioimage.io asks for; `image_credit` may be empty."""
    levels: Rows = [(f"KL, {label}", f"{kl:.4f}") for label, kl in report.kl_rows()]
    about = _table([*report.rows(), *levels, *report.figure_rows()])
    return f"""# {title}

{description}

The model is {_METHOD}, made with
napari-vae-restore. The TorchScript in this package is its mean path, one pass: raw
intensities in, denoised intensities out, in the same units. It needs no preprocessing.

{about}
## Limits

{_limits(report)}

The whole model is `model.safetensors`, for napari, Python and the command line:

```bash
pip install napari-vae-restore
vae-restore models import PACKAGE.zip -o model.safetensors
```

## Validation

Compare with a clean reference, such as the mean of many exposures of one field, by PSNR
and SSIM: `vae-restore evaluate restored.tif --reference clean.tif`. Without a reference,
look at the residual (input minus output): it should look like noise and hold no structure,
and its standard deviation should be that of the noise.

{image_credit}
"""


def _limits(report: ModelReport) -> str:
    limits = [
        _noise_limit(report),
        "Hot pixels stay in the image here; the library itself removes them.",
        "The model restores what is plausible. Structures that its training images did not "
        "have can come out wrong; do not diagnose from details.",
        "Uncertainty, samples and every other task of the model are not in the TorchScript.",
    ]
    if report.noise is None:
        limits.insert(
            1,
            "Noise and range are measured in each input by itself, each image of a batch "
            "apart. A tool that cuts an image into tiles gives each tile a noise level and a "
            "range of its own, so that tiles can differ at their borders: give whole images "
            "where memory allows.",
        )
    return "\n".join(f"- {limit}" for limit in limits)


def _noise_limit(report: ModelReport) -> str:
    if isinstance(report.noise, PoissonGaussianNoise):
        return (
            "The noise is taken to be that of the training images, in their intensity units "
            "(see the table): other gains or offsets of the camera are not detected."
        )
    if report.noise is not None:
        return (
            "The noise is taken to be white and Gaussian, of the standard deviation in the "
            "table, in the intensity units of the images it was trained on."
        )
    return (
        "The noise is taken to be white and Gaussian, the same everywhere; its standard "
        "deviation is measured in each input. Noise that depends on the signal is taken at "
        "the level of the flattest areas, and correlated noise is underestimated: "
        "napari-vae-restore itself models both."
    )


def _table(rows: Rows) -> str:
    lines = ["| | |", "|---|---|"]
    for row in rows:
        label, text = (" ".join(cell.replace("|", "\\|").split()) for cell in row)
        lines.append(f"| {label} | {text} |")
    return "\n".join(lines) + "\n"
