"""Denoising as a worker runs it: generators of messages over the core's one way through.

No Qt and no napari here; torch comes in when a generator runs, in the worker's thread.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_vae_restore._napari import region as regions
from napari_vae_restore._napari.messages import Preview, Source, Stopwatch, Update
from napari_vae_restore._napari.reading import planes_for_noise, read
from napari_vae_restore.layout import Layout, checked_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise import NoiseModel
    from napari_vae_restore.restoration.restore import RestoreProgress
    from napari_vae_restore.restoration.result import Restoration

_UPDATE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class DenoiseOptions:
    """What a user chose; the values are those of :func:`~napari_vae_restore.restore`.

    Attributes
    ----------
    noise : str
        Notation of the noise, or empty for that of the model's training images.
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

    noise: str = ""
    n_samples: int = 0
    keep_samples: bool = False
    tile: int = 512
    seed: int = 0
    device: str = "auto"


def denoise_steps(
    source: Source, model: Model, options: DenoiseOptions
) -> Generator[Update | None, None, Restoration]:
    """Denoise a whole image.

    Parameters
    ----------
    source : Source
        The image.
    model : Model
        A trained model.
    options : DenoiseOptions
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
    InputError, RestorationError
        As :func:`~napari_vae_restore.restore`.
    """
    from napari_vae_restore.restoration.restore import iter_restore
    from napari_vae_restore.restoration.tasks import Denoise

    image = yield from read(source)
    yield Update("Looking at the image and its noise…")
    steps = iter_restore(
        image,
        Denoise(options.noise or None),
        model,
        axes=source.axes,
        n_samples=options.n_samples,
        keep_samples=options.keep_samples,
        tile=options.tile,
        seed=options.seed,
        device=options.device,
    )
    return (yield from _followed(steps, "Denoising…"))


def preview_steps(
    source: Source,
    region: regions.Region,
    model: Model,
    options: DenoiseOptions,
    known_noise: Mapping[int, NoiseModel],
) -> Generator[Update | None, None, Preview]:
    """Denoise a part of an image, with the noise of the whole.

    Parameters
    ----------
    source : Source
        The image.
    region : tuple of slice
        The part.
    model : Model
        A trained model.
    options : DenoiseOptions
        How; samples are not drawn.
    known_noise : mapping of int to NoiseModel
        Noise by channel as far as an earlier preview has found it.

    Yields
    ------
    Update or None
        As :func:`denoise_steps`.

    Returns
    -------
    Preview
        The part, restored.

    Raises
    ------
    InputError, RestorationError
        As :func:`~napari_vae_restore.restore`.
    """
    from napari_vae_restore.restoration.restore import iter_restore

    axes = checked_axes(source.axes, tuple(source.data.shape))
    crop = np.asarray(source.data[region])
    channels = _channels(source, axes, region)
    noise = dict(known_noise)
    if missing := [channel for channel in channels if channel not in noise]:
        yield Update("Looking at the image and its noise…")
        noise |= _resolve(source, axes, missing, options.noise or model.noise or "auto")
    steps = iter_restore(
        crop,
        KnownNoise(tuple(noise[channel] for channel in channels)),
        model,
        axes=axes,
        tile=options.tile,
        device=options.device,
    )
    result = yield from _followed(steps, "Denoising the current view…")
    return Preview(result.mean, regions.start(region), noise, result.diagnostics)


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


@dataclass(frozen=True, slots=True)
class KnownNoise:
    """Removal of noise whose model is known for each channel, as for a part of an image.

    Parameters
    ----------
    models : tuple of NoiseModel
        One per channel.
    """

    models: tuple[NoiseModel, ...]

    kind: ClassVar[str] = "denoise"

    def noise_models(self, planes: NDArray[Any], model: Model) -> tuple[NoiseModel, ...]:
        """See :class:`~napari_vae_restore.restoration.tasks.Task`."""
        return self.models

    def to_dict(self) -> dict[str, Any]:
        """See :class:`~napari_vae_restore.restoration.tasks.Task`."""
        return {"kind": self.kind, "noise": [str(model) for model in self.models]}


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
    source: Source, axes: str, channels: list[int], noise: NoiseModel | str
) -> dict[int, NoiseModel]:
    from napari_vae_restore.noise_estimation import resolve_noise

    if not isinstance(noise, str):
        return dict.fromkeys(channels, noise)
    image = planes_for_noise(source)
    planes = Layout.of(image, axes).to_planes(image)
    return {channel: resolve_noise(noise, planes[:, channel]) for channel in channels}
