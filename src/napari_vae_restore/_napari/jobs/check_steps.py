"""Checking a result as a worker runs it: residual, distance to a reference, fresh samples.

No Qt here; torch comes in when samples are drawn, in the worker's thread.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore._napari.jobs.restoration_steps import (
    RestoreOptions,
    cropped_mask,
    restore_steps,
)
from napari_vae_restore._napari.layers.results import Subject
from napari_vae_restore._napari.messages import Source, Update
from napari_vae_restore.errors import InputError
from napari_vae_restore.evaluation import metrics
from napari_vae_restore.noise.models import parse_noise
from napari_vae_restore.reports.residual_check import ResidualCheck, check_residual
from napari_vae_restore.restoration.blocks.feathering import feathered
from napari_vae_restore.restoration.recipes.code import feather_of
from napari_vae_restore.restoration.recipes.replay import tasks_of
from napari_vae_restore.restoration.tasks import Inpaint, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.result import Restoration


_PERCENTILE = 99.5
"""Of the residual's amounts, at which its contrast ends."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close a result is to a reference.

    Attributes
    ----------
    psnr, ssim : float
        Of the result; dB, and 1 for equal images.
    before : float or None
        PSNR of the image that was restored; None for an enlarged result.
    data_range : float
        Maximum less minimum of the reference, which both relate errors to.
    """

    psnr: float
    ssim: float
    before: float | None
    data_range: float

    @property
    def words(self) -> str:
        """One sentence, the range stated."""
        gain = "" if self.before is None else f" (before: {self.before:.2f} dB)"
        return (
            f"Against the reference: PSNR {self.psnr:.2f} dB{gain}, SSIM {self.ssim:.3f}, for "
            f"a range of {self.data_range:.4g} (its maximum − minimum)."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """What was found.

    Attributes
    ----------
    residual : ResidualCheck
        Of the part that was looked at.
    closeness : Closeness or None
        None without a reference.
    limit : float
        Of the contrast that shows the residual well, on both sides of 0.
    """

    residual: ResidualCheck
    closeness: Closeness | None
    limit: float


def check_steps(
    subject: Subject, reference: Any = None
) -> Generator[Update | None, None, Checked]:
    """Look at the residual, and compare with a reference if there is one.

    Parameters
    ----------
    subject : Subject
        The result.
    reference : array, optional
        What the result should be, of its shape.

    Yields
    ------
    Update
        Before each step.

    Returns
    -------
    Checked
        What was found.

    Raises
    ------
    InputError
        If the shapes do not fit, or the mask of a filled image is not there any more.
    """
    if reference is not None and tuple(reference.shape) != tuple(subject.result.shape):
        raise InputError(
            f"The reference has the shape {tuple(reference.shape)} and the result "
            f"{tuple(subject.result.shape)}: choose one of the same size, or none."
        )
    yield Update("Reading the image…")
    image, restored = _crops(subject)
    yield Update("Looking at the residual…")
    noise = [parse_noise(text) for text in subject.recipe["noise"]]
    axes = subject.image.axes
    residual = check_residual(image, restored, _tasks(subject), noise, axes=axes)
    limit = float(np.percentile(np.abs(residual.residual), _PERCENTILE)) or 1.0
    if reference is None:
        return Checked(residual, None, limit)
    yield Update("Comparing with the reference…")
    truth = np.asarray(reference[subject.result_region])
    is_same_size = image.shape == truth.shape
    closeness = Closeness(
        metrics.psnr(restored, truth),
        metrics.ssim(restored, truth, axes=axes),
        metrics.psnr(image, truth) if is_same_size else None,
        metrics.resolve_range(truth),
    )
    return Checked(residual, closeness, limit)


def draw_steps(
    subject: Subject, model: Model | str, options: RestoreOptions
) -> Generator[Update | None, None, Restoration]:
    """Draw samples of what a result could have been, with the noise that was found for it.

    Parameters
    ----------
    subject : Subject
        The result; samples are drawn for its region.
    model : Model or str
        The one that made the result.
    options : RestoreOptions
        How many samples, and how.

    Yields
    ------
    Update or None
        As :func:`~.restoration_steps.restore_steps`.

    Returns
    -------
    Restoration
        With `std` and `samples`.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.restore`.
    """
    source = Source(subject.image.data[subject.region], subject.image.axes)
    return (yield from repeat_steps(source, _tasks(subject), subject.recipe, model, options))


def repeat_steps(
    source: Source,
    tasks: Sequence[Task],
    recipe: Mapping[str, Any],
    model: Model | str,
    options: RestoreOptions,
) -> Generator[Update | None, None, Restoration]:
    """Restore by the tasks of a recipe, the feather of its fill included.

    Parameters
    ----------
    source : Source
        Any image.
    tasks : sequence of Task
        Of the recipe, with the mask for this image.
    recipe : mapping
        As :meth:`~napari_vae_restore.Recipe.to_dict` gives it.
    model, options
        As for :func:`~.restoration_steps.restore_steps`.

    Yields
    ------
    Update or None
        As :func:`~.restoration_steps.restore_steps`.

    Returns
    -------
    Restoration
        Of the image.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.restore`.
    """
    restoration = yield from restore_steps(source, tasks, model, options)
    width = feather_of(recipe)
    if not width:
        return restoration
    mask = next(task.mask for task in tasks if isinstance(task, Inpaint))
    return feathered(restoration, source.data, mask, width)


def _crops(subject: Subject) -> tuple[NDArray[Any], NDArray[Any]]:
    image = np.asarray(subject.image.data[subject.region])
    return image, np.asarray(subject.result[subject.result_region])


def _tasks(subject: Subject) -> Sequence[Task]:
    missing = subject.missing
    if missing is not None:
        missing = cropped_mask(missing, subject.image.axes, subject.region)
    return tasks_of(subject.recipe, missing=missing, resolved=True)
