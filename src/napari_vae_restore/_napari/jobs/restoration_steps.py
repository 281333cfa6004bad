"""Restoring in a worker: whole images, previews and on demand, for any tasks.

No Qt and no napari here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore._napari.jobs.interruption import watch_networks
from napari_vae_restore._napari.jobs.warm_up import is_warm, when_warm
from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.messages import Preview, Source, Stopwatch, Update
from napari_vae_restore._napari.words import doing
from napari_vae_restore.generators import relayed
from napari_vae_restore.images.layout import Layout, checked_axes
from napari_vae_restore.images.lazy_arrays import is_lazy
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, Task

if TYPE_CHECKING:
    from napari_vae_restore._napari.layers.masks import Mask
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.blocks.on_demand import OnDemand
    from napari_vae_restore.restoration.restore import RestoreProgress
    from napari_vae_restore.restoration.result import Restoration

_POLL_SECONDS = 0.1
_PREVIEW_TILE = 2048  # above any preview: one tile needs no halo

# An image in memory of this many pixels is worth it: half a minute's work on two cores.
_MANY_PIXELS = 2**25

_LOADING = "Loading the model…"
_LOOKING = "Looking at the image and its noise…"


def restore_steps(
    source: Source, tasks: Sequence[Task], model: Model | str, options: Options
) -> Generator[Update | None, None, Restoration]:
    """Restore a whole image; yields after each step, and closing cancels."""
    image = yield from regions.read(source)
    placed = yield from loaded(model)
    yield Update(_LOOKING)
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
    """Restore a region with the noise and the mask of the whole image, without samples.

    `known_noise` holds the noise by channel as an earlier preview found it.
    """
    axes = checked_axes(source.axes, tuple(source.data.shape))
    crop = np.asarray(source.data[region])
    placed = yield from loaded(model)
    channels = _channels(source, axes, region)
    noise = dict(known_noise)
    denoising = next((task for task in tasks if isinstance(task, Denoise)), None)
    missing = [channel for channel in channels if channel not in noise]
    if denoising is not None and missing:
        yield Update(_LOOKING)
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


def pays(levels: Sequence[Any]) -> bool:
    """Whether it is worth while: for lazy or large images; levels are finest first."""
    return len(levels) > 1 or is_lazy(levels[0]) or math.prod(levels[0].shape) >= _MANY_PIXELS


def on_demand_steps(
    levels: Sequence[Any],
    axes: str,
    tasks: Callable[[], Sequence[Task]],
    model: Model | str,
    options: Options,
    step: Sequence[int],
) -> Generator[Update | None, None, OnDemand]:
    """Prepare a pyramid that is restored where it is looked at; compute its coarsest plane.

    `step` is the plane in view, an index along each axis of the finest level.
    """
    placed = yield from loaded(model)
    yield Update(_LOOKING)
    from napari_vae_restore.restoration.blocks.on_demand import pyramid, restore_levels

    listed = list(levels) if len(levels) > 1 else pyramid(levels[0], axes)
    restored = restore_levels(
        listed, tasks(), placed, axes=axes, seed=options.seed, device=options.device
    )
    yield None
    np.asarray(restored.levels[-1][_coarsest_plane(restored.levels, axes, step)])
    return restored


def loaded(model: Model | str) -> Generator[Update | None, None, Model]:
    """Load a model, torch included; a loaded one is returned as it is."""
    if isinstance(model, str):
        yield Update(_LOADING)
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
    region = regions.noise_region(source)
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


def _coarsest_plane(
    levels: Sequence[Any], axes: str, step: Sequence[int]
) -> tuple[int | slice, ...]:
    """Index of the plane in view in the coarsest level, which napari shows first."""
    at = zip(axes, step, levels[0].shape, levels[-1].shape, strict=True)
    return tuple(
        slice(None) if letter in "YXS" else min(max(index * n // of, 0), n - 1)
        for letter, index, of, n in at
    )
