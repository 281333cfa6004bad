"""How good a model is on images: reconstruction, ELBO, active units, restoration, calibration.

Every figure has its unit and says what it is a mean over. Pages and the command line show
what is computed here.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.evaluation.bound import Tally, describe_likelihood, measure
from napari_vae_restore.evaluation.coverage import Calibration, Reliability
from napari_vae_restore.evaluation.figures import (
    Closeness,
    Evaluation,
    Example,
    ImageFigures,
    LevelFigures,
)
from napari_vae_restore.generators import drain
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.devices import choose_device
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.notation import parse_noise
from napari_vae_restore.restoration.restore import RestoreProgress, denoise
from napari_vae_restore.training.sources import Images, Loaded, Pairs, items_of, load

_GREY_LEVELS = 255
_N_EXAMPLES = 4


@dataclass(frozen=True, slots=True)
class _ImageMeasurement:
    """Everything that is measured on one image."""

    tally: Tally
    figures: ImageFigures
    example: Example
    grey_level: float
    n_planes: int


def evaluate(
    model: Model | str | Path,
    images: Images,
    references: Images | None = None,
    **options: Any,
) -> Evaluation:
    """Measure a model on images.

    Parameters
    ----------
    model : Model, str or Path
        "default" for the bundled model, a model file, or a trained model.
    images : array, layer, path, or sequence of them
        A folder stands for the images in it. Noisy ones for a model that was trained on
        noisy images and wherever there are references; else clean ones.
    references : array, layer, path, or sequence of them, optional
        The clean image of each. `images` are then restored, too, and compared.
    **options
        - `noise`: of the images, in place of the model's or of an estimate.
        - `axes`: of the arrays; read or guessed by default.
        - `data_range`: range of intensities for PSNR and SSIM; by default that of each
          reference, or of each image, from minimum to maximum.
        - `n_samples`: of each restoration, for its intervals, 16 by default; below 2 no
          calibration is measured.
        - `seed`: of the latents' noise.
        - `device`: "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    Evaluation
        Means over images, or over pixels where it says so.

    Raises
    ------
    InputError
        For images or parameters that cannot be used.
    ImageFileError, ModelFileError
        For files that cannot be read.
    RestorationError
        If the computation fails.

    References
    ----------
    Y. Burda, R. Grosse, R. Salakhutdinov, "Importance weighted autoencoders", ICLR 2016,
    arXiv:1509.00519, section 5 (active units).
    """
    return drain(iter_evaluate(model, images, references, **options))


def iter_evaluate(  # noqa: PLR0913 - its options are the user's
    model: Model | str | Path,
    images: Images,
    references: Images | None = None,
    *,
    noise: NoiseModel | str | None = None,
    axes: str | None = None,
    data_range: float | None = None,
    n_samples: int = 16,
    seed: int = 0,
    device: str = "auto",
) -> Generator[RestoreProgress, None, Evaluation]:
    """Measure a model image by image, as :func:`evaluate`; yields the number of images done."""
    found = find_model(model)
    placed = found.on(choose_device(device))
    if isinstance(noise, str) and ":" in noise:
        noise = parse_noise(noise)
    if placed.normalisation is not None and not isinstance(noise, str | None):
        placed = replace(placed, noise=noise)
    items = items_of(images if references is None else Pairs(images, references))
    if not items:
        raise InputError("expected at least one image to evaluate, got an empty sequence")
    reliability = Reliability()
    judged: list[_ImageMeasurement] = []
    for number, item in enumerate(items):
        yield RestoreProgress(number, len(items))
        ((image, *others),) = load([item], axes)
        reference = others[0] if others else None
        restored: NDArray[Any] | None = None
        if reference is not None:
            result = denoise(
                image.data,
                placed,
                noise=noise,
                axes=image.axes,
                n_samples=n_samples if n_samples > 1 else 0,
                seed=seed,
                device=device,
            )
            restored = np.asarray(result.mean)
            if result.std is not None:
                reliability.add(result, _colours(reference))
        judged.append(_judge(placed, image, reference, restored, data_range, seed))
    return _gathered(found, judged, reliability.calibration())


def _judge(
    model: Model,
    image: Loaded,
    reference: Loaded | None,
    restored: NDArray[Any] | None,
    data_range: float | None,
    seed: int,
) -> _ImageMeasurement:
    """Measure one image."""
    is_clean = isinstance(model.network.config, RestorationConfig)
    measured = reference if is_clean and reference is not None else image
    tally, drawn = measure(measured.data, measured.axes, model, seed)
    panels = [("image", _colours(image)), ("reconstruction", drawn)]
    before = after = None
    if reference is not None and restored is not None:
        clean = _colours(reference)
        shown = Layout.of(image.data, image.axes).without_alpha(restored)
        before, after = (
            Closeness.of(each, clean, reference.axes, data_range)
            for each in (_colours(image), shown)
        )
        panels += [("restored", shown), ("reference", clean)]
    figures = ImageFigures(
        name=image.name,
        elbo=tally.elbo,
        reconstruction=Closeness.of(drawn, _colours(measured), measured.axes, data_range),
        before=before,
        restoration=after,
    )
    n_planes = Layout.of(measured.data, measured.axes).planes_shape[0]
    example = Example.of(image.name, panels, measured.axes)
    return _ImageMeasurement(tally, figures, example, _grey_level(measured.data), n_planes)


def _gathered(
    model: Model, judged: list[_ImageMeasurement], calibration: Calibration | None
) -> Evaluation:
    total = reduce(add, (each.tally for each in judged))
    per_value = total.kl / total.n_values
    levels = tuple(
        LevelFigures(stride, float(kl), len(sums), active)
        for stride, kl, sums, active in zip(
            model.network.config.strides, per_value, total.sums, total.active(), strict=True
        )
    )
    images = tuple(each.figures for each in judged)
    before = [each.before for each in images if each.before is not None]
    restored = [each.restoration for each in images if each.restoration is not None]
    grey_level = float(np.mean([each.grey_level for each in judged]))
    is_clean = isinstance(model.network.config, RestorationConfig)
    return Evaluation(
        model=model.name,
        model_sha256=model.sha256,
        kind=model.network.config.kind,
        likelihood=describe_likelihood(model),
        measured_on="references" if is_clean and before else "images",
        n_planes=sum(each.n_planes for each in judged),
        n_values=total.n_values,
        elbo=total.elbo,
        log_likelihood=total.log_likelihood / total.n_values,
        levels=levels,
        bits_per_dimension=total.bits_per_dimension(grey_level),
        grey_level=grey_level,
        reconstruction=Closeness.mean(each.reconstruction for each in images),
        before=Closeness.mean(before) if before else None,
        restoration=Closeness.mean(restored) if restored else None,
        calibration=calibration,
        images=images,
        examples=tuple(each.example for each in judged[:_N_EXAMPLES]),
    )


def _colours(image: Loaded) -> NDArray[Any]:
    return Layout.of(image.data, image.axes).without_alpha(image.data)


def _grey_level(image: NDArray[Any]) -> float:
    """1 for whole numbers; of others, an 8-bit step over their range."""
    return 1.0 if image.dtype.kind in "iu" else float(np.ptp(image)) / _GREY_LEVELS
