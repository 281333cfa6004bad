"""Calibration of a model's uncertainty by images whose truth, or second shot, is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.error_calibration import LEAST_PIXELS, ErrorCalibration
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.restoration.restore import restore
from napari_vae_restore.restoration.result import Restoration
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, SuperResolve, Task
from napari_vae_restore.restoration.trust.intervals import (
    DENOISED,
    ENLARGED,
    FILLED,
    NOISY_ENLARGED,
    NOISY_FILLED,
    noise_of,
    unit_of,
)
from napari_vae_restore.training.holes import draw_hole
from napari_vae_restore.training.sources import (
    SIMULATED,
    Clean,
    LoadedItems,
    Pairs,
    Shots,
    factor_between,
    items_of,
    load,
)

N_SAMPLES: Final = 16  # samples of each image, as many as users take
_PIXELS: Final = 4_000
"""At most so many pixels of an image count, so that no image outweighs the others."""
_SIGMAS: Final = (0.004, 0.25)
"""Range of the noise simulated on clean images, relative to their range."""

Comparison = tuple[str, NDArray[np.float64]]
"""Kind of task; (3, n) of pixels: samples' standard deviation, error, and the reference's
noise, in the unit of that kind."""


def calibrate(
    source: Pairs | Shots | Clean,
    model: Model | str | Path = DEFAULT,
    *,
    noise: NoiseModel | str | None = None,
    axes: str | None = None,
    seed: int = 0,
    device: str = "auto",
    skip_unreadable: bool = False,
) -> Model:
    """Calibrate the spread of a model's samples to the errors that are to be expected.

    Parameters
    ----------
    source : Pairs, Shots or Clean
        Images that the model was not trained on. Pairs calibrate denoising, or
        super-resolution if the clean images are larger; two shots calibrate denoising; clean
        images calibrate every named task, simulated on them, and its mixture with noise if
        denoising is named too.
    model : Model, str or Path
        The model to calibrate; "default" for the bundled one.
    noise : NoiseModel or str, optional
        Of the measured images; as for :class:`~.tasks.Denoise`.
    axes : str, optional
        Of the arrays.
    seed : int
        Seed of the samples and the simulation.
    device : str
        "auto", "cpu", "cuda" or "mps".
    skip_unreadable : bool
        Whether files that cannot be used are passed over with a warning.

    Returns
    -------
    Model
        The same weights; `spreads` is new for the kinds of task that the source shows.

    Raises
    ------
    InputError, ImageFileError, ModelFileError, RestorationError
        For unusable images or parameters, files that cannot be read, or a restoration
        that fails.
    """
    if not isinstance(source, Pairs | Shots | Clean):
        raise InputError(
            "expected vr.Pairs(measured, clean), vr.Shots(first, second) or vr.Clean(images) "
            f"to calibrate by, got a {type(source).__name__}"
        )
    images = load(items_of(source), axes, skip_unreadable=skip_unreadable)
    found = find_model(model)
    rng = np.random.default_rng([seed, 5])
    options = {"n_samples": N_SAMPLES, "seed": seed, "device": device}
    pixels: dict[str, list[NDArray[np.float64]]] = {}
    for kind, each in _comparisons(source, images, found, noise, rng, options):
        chosen = rng.permutation(each.shape[1])[:_PIXELS]
        pixels.setdefault(kind, []).append(each[:, chosen])
    fitted = {}
    for kind, parts in pixels.items():
        std, error, of_truth = np.concatenate(parts, axis=1)
        if kind not in SIMULATED and std.size < LEAST_PIXELS:
            continue  # a mixture that was not named: the single task's calibration holds
        fitted[kind] = ErrorCalibration.fit(
            std, error, noise=of_truth, like=found.spreads.get(kind)
        )
    return replace(found, spreads={**found.spreads, **fitted})


def _comparisons(
    source: Pairs | Shots | Clean,
    images: Sequence[LoadedItems],
    model: Model,
    noise: NoiseModel | str | None,
    rng: np.random.Generator,
    options: dict[str, Any],
) -> Iterator[Comparison]:
    if isinstance(source, Clean):
        for (image,) in images:
            planes = Layout.of(image.data, image.axes).to_planes(image.data)
            plane = planes[len(planes) // 2, 0].astype(np.float32)
            for kind in _with_mixtures(source.tasks):
                yield _simulated(kind, plane, model, rng, options)
        return
    for measured, target in images:
        factor = factor_between(measured, target)
        task: Task = Denoise(noise) if factor == 1 else SuperResolve(factor)
        out = restore(measured.data, [task], model, axes=measured.axes, **options)
        kind, is_noisy = DENOISED if factor == 1 else ENLARGED, isinstance(source, Shots)
        yield _comparison(kind, out, target.data.astype(np.float64), is_noisy=is_noisy)


def _simulated(
    kind: str,
    clean: NDArray[np.float32],
    model: Model,
    rng: np.random.Generator,
    options: dict[str, Any],
) -> Comparison:
    """Restore a clean plane that was degraded at random by a task."""
    given, truth, where = clean, clean, None
    tasks: list[Task] = []
    if kind in (ENLARGED, NOISY_ENLARGED):
        factor = int(rng.choice([2, 3, 4]))
        height, width = (n // factor * factor for n in clean.shape)
        truth = clean[:height, :width]
        given = Downsampling(factor).apply(truth)
        tasks.append(SuperResolve(factor))
    if kind in (FILLED, NOISY_FILLED):
        where = np.zeros(clean.shape, bool)
        side = min(clean.shape)
        where[:side, :side], _ = draw_hole(side, rng)
        tasks.append(Inpaint(where))
    if kind in (DENOISED, NOISY_FILLED, NOISY_ENLARGED):
        noise = GaussianNoise(drawn_sigma(clean, rng))
        given = noise.sample(given, rng).astype(np.float32)
        # Samples are calibrated, not the noise estimate beside other tasks.
        tasks.append(Denoise() if kind == DENOISED else Denoise(noise))
    return _comparison(kind, restore(given, tasks, model, **options), truth, where)


def _with_mixtures(tasks: Sequence[str]) -> list[str]:
    """The tasks, and their mixtures with denoising."""
    found = list(tasks)
    if DENOISED in tasks:
        mixtures = {FILLED: NOISY_FILLED, ENLARGED: NOISY_ENLARGED}
        found += [mixture for task, mixture in mixtures.items() if task in tasks]
    return found


def drawn_sigma(clean: NDArray[np.float32], rng: np.random.Generator) -> float:
    """Random standard deviation of noise for a clean plane, in its units."""
    relative = np.exp(rng.uniform(*np.log(_SIGMAS)))
    return float(max(np.ptp(clean), np.finfo(np.float32).tiny) * relative)


def _comparison(
    kind: str,
    out: Restoration,
    truth: NDArray[Any],
    where: NDArray[np.bool_] | None = None,
    *,
    is_noisy: bool = False,
) -> Comparison:
    """Samples against a reference; a noisy reference has the noise of the measurement."""
    std, unit = cast("NDArray[np.float32]", out.std), unit_of(out)  # there are samples
    layout = Layout.of(np.asarray(out.mean), out.recipe.axes)
    mean, target = (layout.without_alpha(array) for array in (out.mean, truth))
    of_truth = noise_of(out) if is_noisy else None
    columns = (std, mean.astype(np.float64) - target, 0.0 if of_truth is None else of_truth)
    chosen = ... if where is None else where
    return kind, np.stack([np.ravel((column / unit)[chosen]) for column in columns])
