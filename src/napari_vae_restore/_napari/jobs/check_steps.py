"""Checking a result in a worker: residual, score against a reference, fresh samples.

No Qt here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore._napari.jobs.restoration_steps import (
    cropped_mask,
    restore_steps,
)
from napari_vae_restore._napari.layers.results import Subject
from napari_vae_restore._napari.messages import Source, Update
from napari_vae_restore.errors import InputError
from napari_vae_restore.evaluation import metrics
from napari_vae_restore.noise.notation import parse_noise
from napari_vae_restore.reports.residual_check import ResidualCheck, check_residual
from napari_vae_restore.restoration.blocks.feathering import feathered
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.recipes.code import feather_of
from napari_vae_restore.restoration.recipes.replay import tasks_of
from napari_vae_restore.restoration.tasks import Inpaint, Task

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.result import Restoration


_PERCENTILE = 99.5  # of the residual's absolute values, where its contrast ends


@dataclass(frozen=True, slots=True, eq=False)
class CheckResult:
    """Residual of a region of a result, and its distance from a reference, if there is one."""

    residual: ResidualCheck
    score: str  # one sentence, empty without a reference
    limit: float  # of the contrast of the residual, on both sides of 0


def check_steps(
    subject: Subject, reference: Any = None
) -> Generator[Update | None, None, CheckResult]:
    """Check the residual of a result, and compare it with a reference of its shape."""
    if reference is not None and tuple(reference.shape) != tuple(subject.result.shape):
        raise InputError(
            f"The reference has the shape {tuple(reference.shape)} and the result "
            f"{tuple(subject.result.shape)}: choose one of the same size, or none."
        )
    yield Update("Reading the image…")
    image = np.asarray(subject.image.data[subject.region])
    restored = np.asarray(subject.result[subject.result_region])
    yield Update("Looking at the residual…")
    noise = [parse_noise(text) for text in subject.recipe["noise"]]
    axes = subject.image.axes
    residual = check_residual(image, restored, _tasks(subject), noise, axes=axes)
    limit = float(np.percentile(np.abs(residual.residual), _PERCENTILE)) or 1.0
    if reference is None:
        return CheckResult(residual, "", limit)
    yield Update("Comparing with the reference…")
    truth = np.asarray(reference[subject.result_region])
    return CheckResult(residual, _score(image, restored, truth, axes), limit)


def draw_steps(
    subject: Subject, model: Model | str, options: Options
) -> Generator[Update | None, None, Restoration]:
    """Draw samples for the region of a result, with the noise that its recipe names."""
    source = Source(subject.image.data[subject.region], subject.image.axes)
    return (yield from repeat_steps(source, _tasks(subject), subject.recipe, model, options))


def repeat_steps(
    source: Source,
    tasks: Sequence[Task],
    recipe: Mapping[str, Any],
    model: Model | str,
    options: Options,
) -> Generator[Update | None, None, Restoration]:
    """Restore by the tasks of a recipe, including the feather of its fill."""
    restoration = yield from restore_steps(source, tasks, model, options)
    width = feather_of(recipe)
    if not width:
        return restoration
    mask = next(task.mask for task in tasks if isinstance(task, Inpaint))
    return feathered(restoration, source.data, mask, width)


def _score(image: Any, restored: Any, truth: Any, axes: str) -> str:
    """PSNR and SSIM against a reference, in a sentence that states the range."""
    gain = ""
    if image.shape == truth.shape:
        gain = f" (before: {metrics.psnr(image, truth):.2f} dB)"
    return (
        f"Against the reference: PSNR {metrics.psnr(restored, truth):.2f} dB{gain}, "
        f"SSIM {metrics.ssim(restored, truth, axes=axes):.3f}, for a range of "
        f"{metrics.resolve_range(truth):.4g} (its maximum − minimum)."
    )


def _tasks(subject: Subject) -> Sequence[Task]:
    missing = subject.missing
    if missing is not None:
        missing = cropped_mask(missing, subject.image.axes, subject.region)
    return tasks_of(subject.recipe, missing=missing, resolved=True)
