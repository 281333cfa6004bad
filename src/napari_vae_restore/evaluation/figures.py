"""The figures of an evaluation with their units, in words and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.evaluation import metrics
from napari_vae_restore.evaluation.coverage import Calibration
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.reports.model_words import Rows

_SHOWN: Final = 128  # pixels, at most, along each side of an example
_BLACK_WHITE: Final = (0.5, 99.5)
_SHOWN_COVERAGE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close two images are; see :mod:`~.metrics`."""

    mse: float  # over all pixels and channels, squared intensity units
    psnr: float  # dB
    ssim: float  # at most 1
    data_range: float  # of the intensities, for PSNR and SSIM

    @classmethod
    def of(
        cls, x: NDArray[Any], y: NDArray[Any], axes: str, data_range: float | None
    ) -> Closeness:
        """The closeness of an image x to y; the range is y's by default."""
        width = metrics.resolve_range(y, data_range)
        return cls(
            mse=metrics.rmse(x, y) ** 2,
            psnr=metrics.psnr(x, y, width),
            ssim=metrics.ssim(x, y, width, axes=axes),
            data_range=width,
        )

    @classmethod
    def mean(cls, several: Iterable[Closeness]) -> Closeness:
        """The mean of each figure over images."""
        return cls(
            *(float(np.mean(column)) for column in zip(*map(astuple, several), strict=True))
        )

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.2f} dB, SSIM {self.ssim:.4f}, MSE {self.mse:.4g}"


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """One level of latents."""

    stride: int  # pixels along each side of a cell
    kl: float  # KL(q || p), nats per pixel and channel of the image
    n_units: int  # latent channels
    # units whose posterior mean varies by more than 0.01; None for a single cell
    active: int | None


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """One image."""

    name: str  # of the file, or "image 3"
    elbo: float  # nats per pixel and channel, network units
    reconstruction: Closeness  # of the decoded means of its latents
    before: Closeness | None  # of the image to its reference
    restoration: Closeness | None  # of the restored image to the reference


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An image and what was made of it, for a page."""

    name: str
    # label, and (h, w) or (h, w, 3) uint8, all stretched alike
    panels: tuple[tuple[str, NDArray[np.uint8]], ...]

    @classmethod
    def of(cls, name: str, panels: Sequence[tuple[str, NDArray[Any]]], axes: str) -> Example:
        """Cut the middle out of the first plane of images of one shape."""
        cuts = []
        for _, image in panels:
            plane = Layout.of(image, axes).to_planes(image)[0].astype(np.float64)
            top, left = (max(0, (side - _SHOWN) // 2) for side in plane.shape[1:])
            cuts.append(plane[:, top : top + _SHOWN, left : left + _SHOWN])
        black, white = np.percentile(cuts[-1], _BLACK_WHITE)
        shown = []
        for (label, _), cut in zip(panels, cuts, strict=True):
            grey = np.clip((cut - black) / max(float(white - black), 1e-12), 0, 1)
            pixels = np.round(255 * grey).astype(np.uint8)
            shown.append((label, np.moveaxis(pixels, 0, -1) if len(cut) == 3 else pixels[0]))
        return cls(name, tuple(shown))


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How good a model is on images.

    Attributes
    ----------
    model, model_sha256, kind : str
        Name, hash and kind of the model: "hvae", "flat" or "restoration".
    likelihood : str
        The likelihood of the bound, in words.
    measured_on : str
        "images", or "references": a model of clean images is measured on those.
    n_planes, n_values : int
        Planes, and pixels times channels with the mirrored borders, that it is a mean over.
    elbo, log_likelihood : float
        Nats per pixel and channel, of intensities in network units as in a training's
        record: E_q[log p(y | s)] - sum of KL with beta 1, and its first part; over pixels.
    levels : tuple of LevelFigures
        Finest first.
    bits_per_dimension : float
        The bound in bits per pixel and channel, of intensities in steps of `grey_level`:
        about the size of the images when stored without loss.
    grey_level : float
        1 for images of whole numbers; of others a 255th of their range.
    reconstruction : Closeness
        Of the decoded means of the latents to the encoded image; mean over images.
    before, restoration : Closeness or None
        Of the images, and of the restored images, to the references; mean over images.
    calibration : Calibration or None
        Of the restorations' intervals.
    images : tuple of ImageFigures
        One by one.
    examples : tuple of Example
        Pictures of the first of them.
    """

    model: str
    model_sha256: str
    kind: str
    likelihood: str
    measured_on: str
    n_planes: int
    n_values: int
    elbo: float
    log_likelihood: float
    levels: tuple[LevelFigures, ...]
    bits_per_dimension: float
    grey_level: float
    reconstruction: Closeness
    before: Closeness | None
    restoration: Closeness | None
    calibration: Calibration | None
    images: tuple[ImageFigures, ...]
    examples: tuple[Example, ...]

    @property
    def kl(self) -> float:
        """KL of all levels, nats per pixel and channel."""
        return sum(level.kl for level in self.levels)

    def rows(self) -> Rows:
        """The figures in words: a label and its text each."""
        planes = "1 plane" if self.n_planes == 1 else f"{self.n_planes} planes"
        step = f"in steps of {self.grey_level:.4g}"
        rows = [
            ("Model", f"{self.model} ({self.kind})"),
            ("Measured on", f"{self.measured_on}, {planes}; {self.likelihood}"),
            ("ELBO", f"{self.elbo:.4f} nats per pixel and channel"),
            ("", f"{self.log_likelihood:.4f} log-likelihood − {self.kl:.4f} KL"),
            ("Bits", f"{self.bits_per_dimension:.3f} per dimension, {step}"),
        ]
        for level in self.levels:
            used = "unknown" if level.active is None else str(level.active)
            text = f"KL {level.kl:.4f}, {used} of {level.n_units} units active"
            rows.append((f"{level.stride} px", text))
        rows.append(("Rebuilt", str(self.reconstruction)))
        if self.before is not None and self.restoration is not None:
            rows += [("Before", str(self.before)), ("Restored", str(self.restoration))]
        if self.calibration is not None:
            place = self.calibration.levels.index(_SHOWN_COVERAGE)
            covered = self.calibration.coverage[place]
            text = f"intervals of {_SHOWN_COVERAGE:.0%} contain {covered:.1%} of the pixels"
            rows.append(("Calibrated", text))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, infinite ones as None; without the examples."""
        values = asdict(replace(self, examples=()))
        del values["examples"]
        parts = {name: values.pop(name) for name in ("levels", "calibration", "images")}
        finite: dict[str, Any] = _finite(values | {"kl": self.kl} | parts)
        return finite


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
