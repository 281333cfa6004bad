"""Restoration tasks: what was done to the image that is to be undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from napari_vae_restore.models.model import Model
from napari_vae_restore.noise import NoiseModel
from napari_vae_restore.noise_estimation import resolve_noise


class Task(Protocol):
    """A degradation with its parameters."""

    kind: ClassVar[str]

    def noise_models(self, planes: NDArray[Any], model: Model) -> tuple[NoiseModel, ...]:
        """p(y | s) of each channel of (N, C, H, W) planes, in intensity units."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form for recipes."""


@dataclass(frozen=True, slots=True)
class Denoise:
    """Removal of noise.

    Parameters
    ----------
    noise : NoiseModel or str, optional
        The image's noise in its own intensity units: a model, "auto", "gaussian",
        "poisson-gaussian", "gaussian:SIGMA" or "poisson-gaussian:A,B". By default the
        noise of the images that the model was trained on, and "auto" where they had
        no common one.
    """

    noise: NoiseModel | str | None = None

    kind: ClassVar[str] = "denoise"

    def noise_models(self, planes: NDArray[Any], model: Model) -> tuple[NoiseModel, ...]:
        """See :meth:`Task.noise_models`."""
        noise = self.noise if self.noise is not None else (model.noise or "auto")
        return tuple(
            resolve_noise(noise, planes[:, channel]) for channel in range(planes.shape[1])
        )

    def to_dict(self) -> dict[str, Any]:
        """See :meth:`Task.to_dict`."""
        return {"kind": self.kind, "noise": None if self.noise is None else str(self.noise)}
