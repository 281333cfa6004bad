"""Rows for `terminal.report` on restorations, trainings and noise; titles of bars."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_vae_restore.reports.model_words import Rows as Rows
from napari_vae_restore.reports.model_words import describe_training as describe_training

if TYPE_CHECKING:
    from napari_vae_restore.images.image_metadata import ImageFile
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.result import Diagnostics
    from napari_vae_restore.restoration.tasks import Inpaint, SuperResolve, Task


def title(tasks: Iterable[Task]) -> str:
    """What a restoration does, such as "Filling and denoising"."""
    from napari_vae_restore.restoration.tasks import KINDS

    return " and ".join(KINDS[task.kind].doing for task in tasks).capitalize()


def describe_size(image: ImageFile) -> str:
    """Shape and dtype of an image."""
    return f"{' × '.join(map(str, image.data.shape))} {image.data.dtype}"


def describe_task(task: Task, image: ImageFile, axes: str) -> Rows:
    """The effect of a task; nothing for denoising, which `describe_diagnostics` covers."""
    from napari_vae_restore.restoration.tasks import Deblur, Inpaint, SuperResolve

    if isinstance(task, Inpaint):
        return [("Filled", _filled(task, image, axes))]
    if isinstance(task, SuperResolve):
        return [("Enlarged", _enlarged(task, image, axes))]
    if isinstance(task, Deblur):
        height, width = task.psf.shape
        return [("Deblurred", f"by a point spread function of {height} × {width} pixels")]
    return []


def describe_diagnostics(diagnostics: Diagnostics) -> Rows:
    """The noise and how much of it was removed, where a restoration removed any."""
    if diagnostics.residual_std is None:
        return []
    rows = [("Noise", describe_channels(diagnostics.noise))]
    if diagnostics.n_hot_pixels:
        rows.append(("Hot pixels", f"{diagnostics.n_hot_pixels}, taken from their neighbours"))
    rows += [("Kept", text) for text in diagnostics.findings]
    if diagnostics.verdict.text:
        rows.append(("Verdict", diagnostics.verdict.text))
    return rows


def describe_channels(channels: tuple[NoiseModel, ...]) -> str:
    """The noise of each channel, once where they share it."""
    from napari_vae_restore.noise.words import describe_noise

    if len(set(channels)) == 1:
        return describe_noise(channels[0])
    return "; ".join(
        f"channel {n}: {describe_noise(noise)}" for n, noise in enumerate(channels, start=1)
    )


def as_typed(*words: object) -> str:
    """A command as one would type it, quoted where needed."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def _filled(task: Inpaint, image: ImageFile, axes: str) -> str:
    missing, total = int(task.mask.sum()), task.mask.size
    sizes = zip(axes, image.data.shape, strict=True)
    is_for_all = total < math.prod(size for axis, size in sizes if axis not in "CS")
    where = " of every plane" if is_for_all else ""
    return f"{missing} of {total} pixels{where} ({missing / total:.2%})"


def _enlarged(task: SuperResolve, image: ImageFile, axes: str) -> str:
    from napari_vae_restore.images.image_metadata import PIXEL, refined

    sizes = dict(zip(axes, image.data.shape, strict=True))
    height, width = sizes["Y"], sizes["X"]
    text = f"{height} × {width} to {height * task.factor} × {width * task.factor} pixels"
    finer = refined(image, task.factor)
    size, unit = finer.scale[finer.axes.index("X")], finer.units[finer.axes.index("X")]
    return text if unit == PIXEL else f"{text} of {size:.4g} {unit}"
