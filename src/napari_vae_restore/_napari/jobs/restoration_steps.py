"""Restoring as a worker runs it: generators of messages over the core's one way through.

Whole images and previews, for any tasks. No Qt and no napari here; torch and the bundled
model come in when a generator runs, in the worker's thread.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_vae_restore._napari.jobs.interruption import watch_networks
from napari_vae_restore._napari.jobs.warm_up import is_warm, when_warm
from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.layers.reading import noise_region, read
from napari_vae_restore._napari.messages import Preview, Source, Stopwatch, Update
from napari_vae_restore.images.layout import Layout, checked_axes
from napari_vae_restore.images.tiling import TILE
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, Task

if TYPE_CHECKING:
    from napari_vae_restore._napari.layers.masks import Mask
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.restore import RestoreProgress
    from napari_vae_restore.restoration.result import Restoration

_UPDATE_SECONDS = 0.2
_POLL_SECONDS = 0.1
_PREVIEW_TILE = 2048
"""Above any preview: one tile needs no halo."""

LOADING = "Loading the model…"
LOOKING = "Looking at the image and its noise…"
_DOING = {
    "denoise": "Denoising",
    "deblur": "Deblurring",
    "inpaint": "Filling",
    "super-resolve": "Enlarging",
}
"""By kind of task, the boldest last."""


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What a user chose; the values are those of :func:`~napari_vae_restore.restore`.

    Attributes
    ----------
    n_samples : int
        Samples from the posterior.
    keep_samples : bool
        Whether they are returned.
    tile : int
        Side of the tiles in pixels.
    seed : int
        Of the samples.
    device : str
        Where it runs.
    """

    n_samples: int = 0
    keep_samples: bool = False
    tile: int = TILE
    seed: int = 0
    device: str = "auto"


def restore_steps(
    source: Source, tasks: Sequence[Task], model: Model | str, options: RestoreOptions
) -> Generator[Update | None, None, Restoration]:
    """Restore a whole image.

    Parameters
    ----------
    source : Source
        The image.
    tasks : sequence of Task
        What was done to it.
    model : Model or str
        As for :func:`~napari_vae_restore.restore`.
    options : RestoreOptions
        How.

    Yields
    ------
    Update or None
        After each step, None most of the time; closing cancels.

    Returns
    -------
    Restoration
        The result.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.restore`.
    """
    image = yield from read(source)
    placed = yield from loaded(model)
    yield Update(LOOKING)
    from napari_vae_restore.restoration.restore import iter_restore

    steps = iter_restore(
        image,
        tasks,
        placed,
        axes=source.axes,
        n_samples=options.n_samples,
        keep_samples=options.keep_samples,
        tile=options.tile,
        seed=options.seed,
        device=options.device,
    )
    return (yield from _followed(steps, f"{doing(tasks)}…"))


def preview_steps(
    source: Source,
    region: regions.Region,
    tasks: Sequence[Task],
    model: Model | str,
    options: RestoreOptions,
    known_noise: Mapping[int, NoiseModel],
) -> Generator[Update | None, None, Preview]:
    """Restore a part of an image, with the noise of the whole.

    Parameters
    ----------
    source : Source
        The image.
    region : tuple of slice
        The part.
    tasks : sequence of Task
        What was done to the image; a mask is that of the whole, (Y, X) or of its shape.
    model : Model or str
        As for :func:`~napari_vae_restore.restore`.
    options : RestoreOptions
        How; samples are not drawn.
    known_noise : mapping of int to NoiseModel
        Noise by channel as far as an earlier preview has found it.

    Yields
    ------
    Update or None
        As :func:`restore_steps`.

    Returns
    -------
    Preview
        The part, restored.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.restore`.
    """
    axes = checked_axes(source.axes, tuple(source.data.shape))
    crop = np.asarray(source.data[region])
    placed = yield from loaded(model)
    channels = _channels(source, axes, region)
    noise = dict(known_noise)
    denoising = next((task for task in tasks if isinstance(task, Denoise)), None)
    missing = [channel for channel in channels if channel not in noise]
    if denoising is not None and missing:
        yield Update(LOOKING)
        noise |= _resolve(source, axes, missing, denoising.noise or placed.noise, tasks)
    from napari_vae_restore.restoration.restore import iter_restore

    steps = iter_restore(
        crop,
        [_in_part(task, axes, region, [noise.get(c) for c in channels]) for task in tasks],
        placed,
        axes=axes,
        tile=_PREVIEW_TILE,
        device=options.device,
    )
    result = yield from _followed(steps, f"{doing(tasks)} the current view…")
    return Preview(
        result.mean,
        regions.start(region),
        noise,
        result.diagnostics,
        regions.zoom_of(result.mean.shape, crop.shape),
    )


def loaded(model: Model | str) -> Generator[Update | None, None, Model]:
    """Have a model ready, torch included."""
    if isinstance(model, str):
        yield Update(LOADING)
        while not is_warm(_POLL_SECONDS):
            yield None
        model = when_warm(model)
    watch_networks()
    return model


def doing(tasks: Sequence[Task]) -> str:
    """What a computation does, in a word; the boldest of its tasks counts."""
    kinds = [task.kind for task in tasks]
    return next(word for kind, word in reversed(_DOING.items()) if kind in kinds)


def cropped_mask(mask: Mask, axes: str, region: regions.Region) -> Mask:
    """The part of a mask, (Y, X) or of the image's shape, that lies in a region."""
    if mask.ndim == len(axes):
        return mask[region]
    spatial = (part for letter, part in zip(axes, region, strict=True) if letter in "YX")
    return mask[tuple(spatial)]


def _followed(
    steps: Generator[RestoreProgress, None, Restoration], text: str
) -> Generator[Update | None, None, Restoration]:
    """Run a restoration to its end, reporting at the pace of the eye."""
    watch = Stopwatch(_UPDATE_SECONDS)
    with closing(steps):
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                restoration: Restoration = stop.value
                return restoration
            fraction = progress.done / progress.total
            left = watch.elapsed * (1 - fraction) / fraction if fraction else None
            yield Update(text, fraction, left) if watch.is_due() else None


def _in_part(
    task: Task, axes: str, region: regions.Region, noise: list[NoiseModel | None]
) -> Task:
    """A task on the part of an image, where the noise is that of the whole."""
    if isinstance(task, Denoise):
        return Denoise([each for each in noise if each is not None])
    if isinstance(task, Inpaint):
        return Inpaint(cropped_mask(task.mask, axes, region), task.name)
    return task


def _channels(source: Source, axes: str, region: regions.Region) -> list[int]:
    """Numbers of the channels in a region, as Layout counts them."""
    shape = tuple(source.data.shape)
    sizes, parts = [], []
    for letter, length, part in zip(axes, shape, region, strict=True):
        if letter in "CS":
            # Alpha is no channel: Layout leaves the last of 2 or 4 samples out.
            length -= letter == "S" and length in (2, 4)
            sizes.append(length)
            parts.append(part)
    numbers = np.arange(int(np.prod(sizes, dtype=int))).reshape(sizes or (1,))
    return [int(number) for number in numbers[tuple(parts)].ravel()]


def _resolve(
    source: Source,
    axes: str,
    channels: list[int],
    noise: NoiseModel | str | Sequence[NoiseModel] | None,
    tasks: Sequence[Task],
) -> dict[int, NoiseModel]:
    """The noise of some channels of an image, looked for where nothing is missing."""
    from napari_vae_restore.noise.estimation.estimate import resolve_noise

    if isinstance(noise, Sequence) and not isinstance(noise, str):
        return {channel: noise[channel] for channel in channels}
    if noise is not None and not isinstance(noise, str):
        return dict.fromkeys(channels, noise)
    region = noise_region(source)
    image = np.asarray(source.data[region])
    layout = Layout.of(image, axes)
    planes, observed = layout.to_planes(image), None
    for task in tasks:
        if isinstance(task, Inpaint):
            cut = cropped_mask(task.mask, axes, region)
            spatial = tuple(slice(None) if a in "YX" else None for a in axes)
            spread = np.broadcast_to(
                cut if cut.ndim == len(axes) else cut[spatial], image.shape
            )
            observed = ~layout.to_planes(spread)
    return {
        channel: resolve_noise(
            noise or "auto",
            planes[:, channel],
            observed=None if observed is None else observed[:, channel],
        )
        for channel in channels
    }
