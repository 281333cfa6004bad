"""Restoring in a worker: generators of messages around the core's `iter_restore`.

Whole images and previews, for any tasks. No Qt and no napari here; torch and the bundled
model are imported when a generator runs, in the worker's thread.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_vae_restore._napari.jobs.interruption import watch_networks
from napari_vae_restore._napari.jobs.warm_up import is_warm, when_warm
from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.layers.reading import noise_region, read
from napari_vae_restore._napari.messages import Preview, Source, Stopwatch, Update
from napari_vae_restore._napari.words import doing
from napari_vae_restore.generators import relayed
from napari_vae_restore.images.layout import Layout, checked_axes
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, Task

if TYPE_CHECKING:
    from napari_vae_restore._napari.layers.masks import Mask
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.restore import RestoreProgress
    from napari_vae_restore.restoration.result import Restoration

_POLL_SECONDS = 0.1
_PREVIEW_TILE = 2048  # above any preview: one tile needs no halo

LOADING = "Loading the model…"
LOOKING = "Looking at the image and its noise…"


def restore_steps(
    source: Source, tasks: Sequence[Task], model: Model | str, options: Options
) -> Generator[Update | None, None, Restoration]:
    """Restore a whole image; yields after each step, and closing cancels."""
    image = yield from read(source)
    placed = yield from loaded(model)
    yield Update(LOOKING)
    from napari_vae_restore.restoration.restore import iter_restore

    steps = iter_restore(image, tasks, placed, **asdict(replace(options, axes=source.axes)))
    return (yield from _followed(steps, f"{doing(tasks)}…"))


def preview_steps(
    source: Source,
    region: regions.Region,
    tasks: Sequence[Task],
    model: Model | str,
    options: Options,
    known_noise: Mapping[int, NoiseModel],
) -> Generator[Update | None, None, Preview]:
    """Restore a region with the noise of the whole image, without samples.

    A mask among the tasks is that of the whole image. `known_noise` holds the noise by
    channel as an earlier preview found it.
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
    text = f"{doing(tasks)} the current view…"
    result = yield from _followed(steps, text)
    return Preview(
        result.mean,
        regions.start(region),
        noise,
        result.diagnostics,
        regions.zoom_of(result.mean.shape, crop.shape),
    )


def loaded(model: Model | str) -> Generator[Update | None, None, Model]:
    """Load a model, torch included; a loaded one is returned as it is."""
    if isinstance(model, str):
        yield Update(LOADING)
        while not is_warm(_POLL_SECONDS):
            yield None
        model = when_warm(model)
    watch_networks()
    return model


def cropped_mask(mask: Mask, axes: str, region: regions.Region) -> Mask:
    """The part of a mask, (Y, X) or of the image's shape, that lies in a region."""
    if mask.ndim == len(axes):
        return mask[region]
    spatial = (part for letter, part in zip(axes, region, strict=True) if letter in "YX")
    return mask[tuple(spatial)]


def _followed(
    steps: Generator[RestoreProgress, None, Restoration], text: str
) -> Generator[Update | None, None, Restoration]:
    """Run a restoration to its end with an update a few times a second."""
    watch = Stopwatch()
    return (yield from relayed(steps, lambda step: watch.update(text, step.done / step.total)))


def _in_part(
    task: Task, axes: str, region: regions.Region, noise: list[NoiseModel | None]
) -> Task:
    """A task for a region, with the noise of the whole image."""
    if isinstance(task, Denoise):
        return Denoise([each for each in noise if each is not None])
    if isinstance(task, Inpaint):
        return replace(task, mask=cropped_mask(task.mask, axes, region))
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
    """The noise of some channels of an image, measured where nothing is missing."""
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
            if cut.ndim < len(axes):
                cut = cut[tuple(slice(None) if a in "YX" else None for a in axes)]
            observed = ~layout.to_planes(np.broadcast_to(cut, image.shape))
    return {
        channel: resolve_noise(
            noise or "auto",
            planes[:, channel],
            observed=None if observed is None else observed[:, channel],
        )
        for channel in channels
    }
