"""Report of an image's noise, with the evidence for it; see :mod:`~.channel_noise`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.models.bundled import DEFAULT
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.reports.channel_noise import (
    ChannelNoise,
    Kind,
    Neighbours,
    frames_of,
    from_first_pass,
    from_frames,
    planes_of,
)
from napari_vae_restore.reports.noise_plot import draw


@dataclass(frozen=True, slots=True, eq=False)
class NoiseReport:
    """The noise of an image; ``str`` gives a line for each channel.

    Attributes
    ----------
    channels : tuple of ChannelNoise
        One for each channel of the image.
    source : str
        "pilot" or "frames": where the signal came from.
    """

    channels: tuple[ChannelNoise, ...]
    source: str

    def __str__(self) -> str:
        if len(self.channels) == 1:
            return str(self.channels[0])
        return "\n".join(f"channel {n}: {each}" for n, each in enumerate(self.channels, 1))

    @property
    def noise(self) -> tuple[NoiseModel, ...]:
        """The models, as :class:`~.tasks.Denoise` takes them."""
        return tuple(channel.noise for channel in self.channels)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "source": self.source,
            "channels": [channel.to_dict() for channel in self.channels],
        }

    def plot(self, path: str | Path | None = None) -> str:
        """Draw variance against signal, and the residual's autocorrelation.

        Parameters
        ----------
        path : str or Path, optional
            Where to write it, ending in ``.svg``; an existing file is replaced.

        Returns
        -------
        str
            The picture, as SVG.

        Raises
        ------
        InputError
            If the path ends otherwise.
        """
        picture = draw(self.channels)
        if path is not None:
            path = Path(path)
            if path.suffix.lower() != ".svg":
                raise InputError(
                    f"path: expected a name that ends in .svg, got {path.name!r}: change it"
                )
            with atomic_write(path) as temporary:
                temporary.write_text(picture, encoding="utf-8")
        return picture


def estimate_noise(
    image: Any,
    *,
    axes: str | None = None,
    kind: Kind = "auto",
    correlation: Neighbours = "auto",
    model: Model | str | Path = DEFAULT,
    frames: str | None = None,
    device: str = "auto",
) -> NoiseReport:
    """Tell what the noise of an image is: type, parameters, and the evidence.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        Noisy, any real dtype but bool, any axes. NaN, and regions of one repeated value,
        were not measured and are left out; with `frames` all is finite.
    axes : str, optional
        One letter per dimension, such as "TZCYX"; read or guessed by default. Each
        channel (C, S) has a noise model of its own, which all other axes share.
    kind : {"auto", "gaussian", "poisson-gaussian", "mixture"}
        Type of the noise. "auto" takes Poisson-Gaussian if the variance rises clearly
        with the signal, else Gaussian; with `frames`, a mixture where that explains the
        frames better by 0.01 nats per pixel.
    correlation : {"auto", "white", "row", "column", "plane"}
        Which neighbours correlate. "auto" asks the residual's autocorrelation; the others
        fit an autoregression along X, along Y, or in both directions, or none.
    model : Model, str or Path
        Makes the pilot restoration: "default", a model file, or a trained model.
    frames : str, optional
        The axis, such as "T", along which one static scene was taken at least 4 times.
        The signal is then the mean of the frames, and no pilot is needed.
    device : str
        "auto", "cpu", "cuda" or "mps", for the pilot.

    Returns
    -------
    NoiseReport
        One entry for each channel. ``denoise(image, noise=report.noise)`` uses it.

    Raises
    ------
    InputError
        For an unusable image or parameter, or noise that cannot be estimated.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the pilot fails.
    """
    for name, value, choices in (
        ("kind", kind, get_args(Kind)),
        ("correlation", correlation, get_args(Neighbours)),
    ):
        if value not in choices:
            raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    array, axes = as_image(image, axes, min_side=1, may_have_nan=frames is None)
    if frames:
        stacks = frames_of(array, axes, frames)
        channels = [from_frames(stack, kind, correlation) for stack in stacks]
        return NoiseReport(tuple(channels), "frames")
    channels = [
        from_first_pass(stack, kind, correlation, model, device)
        for stack in planes_of(array, axes)
    ]
    return NoiseReport(tuple(channels), "pilot")
