"""Enhancement: a restored image, made more pleasant to look at.

The image is encoded, latents of chosen levels are scaled or perturbed, and the change of the
decoded picture is added to the image itself: x + D(z') - D(z). So details that the decoder
cannot draw are kept, and settings that change nothing return the image's own values.

Enhanced intensities are no longer measurements, and every result says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore import __version__
from napari_vae_restore.errors import InputError
from napari_vae_restore.generation.latent_tiles import frame_tiles, window_of
from napari_vae_restore.generation.latents import assembled
from napari_vae_restore.generation.network_inputs import Planes, torch_computing
from napari_vae_restore.generation.sampling import checked_seed
from napari_vae_restore.generation.tones import Tones, check_range
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.devices import choose_device
from napari_vae_restore.models.latents import DiagonalGaussian, KeyedNoise
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.restoration.result import Restoration

# Stands in every output.
NOTE: Final = (
    "Enhanced for looking at: these intensities are no longer measurements. Measure in the "
    "restored image."
)
# Largest gain of details; with more, the decoder meets latents that it never learned.
MAX_GAIN: Final = 4.0
# Finest levels that smoothing lessens: details of 2 and 4 pixels in the bundled model.
_SMOOTHED: Final = 2


@dataclass(frozen=True, slots=True)
class EnhancementRecipe:
    """How an enhanced image was made; most fields are as given to :func:`enhance`."""

    note: str
    # pixels of a level's cell, and the gain of its latents
    detail: tuple[tuple[int, float], ...]
    smoothing: float
    variation: float
    tones: dict[str, float]
    restored: dict[str, Any] | None  # the recipe of the restoration that came first
    model: str
    model_sha256: str
    axes: str
    seed: int
    package_version: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values, all under "enhanced"."""
        values: dict[str, Any] = json.loads(json.dumps({"enhanced": asdict(self)}))
        return values

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict())


@dataclass(frozen=True, slots=True, eq=False)
class Enhancement:
    """An enhanced image.

    Attributes
    ----------
    enhanced : numpy.ndarray
        In the image's axes, dtype and range; no measurement.
    recipe : EnhancementRecipe
        How it was made.
    """

    enhanced: NDArray[Any]
    recipe: EnhancementRecipe


def enhance(  # noqa: PLR0913 - its options are the user's
    image: Any,
    model: Model | str | Path = DEFAULT,
    *,
    detail: Mapping[int, float] | None = None,
    smoothing: float = 0.0,
    variation: float = 0.0,
    tones: Tones | Mapping[str, float] = Tones(),  # noqa: B008 (frozen)
    axes: str | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Enhancement:
    """Make an image more pleasant to look at, through the latents of chosen levels.

    Parameters
    ----------
    image : array-like, napari.layers.Image or Restoration
        A restored image, or a `Restoration`, whose recipe is then kept, too. Details of a
        noisy image are noise.
    model : Model, str or Path
        As for :func:`~.latents.encode`.
    detail : mapping of int to float, optional
        Gain of the latents of each level, named by the pixels of its cells (2, 4, 8 and 16
        for the bundled model): ``{2: 1.5}`` raises the finest details by half, 0 leaves of
        them what the coarser levels imply; 0 to 4.
    smoothing : float
        0 to 1: lessens the two finest levels, ``detail`` times ``1 - smoothing``.
    variation : float
        Noise on the latents of every level, in standard deviations of q(z | x): 1 draws a
        picture that the model takes for the same, 0 to 4.
    tones : Tones or mapping
        Contrast, brightness, gamma and local contrast, applied last.
    axes : str, optional
        One letter per dimension; read or guessed by default.
    seed : int
        Of the variation. Global random state is untouched.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    Enhancement
        The picture and its recipe, which says that it is no measurement.

    Raises
    ------
    InputError
        For an image or a parameter that cannot be used.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails, for example when memory runs out.

    Examples
    --------
    >>> from skimage import data
    >>> found = enhance(data.camera()[:64, :64], detail={2: 1.5}, tones={"gamma": 0.8})
    >>> found.recipe.note[:24]
    'Enhanced for looking at:'
    """
    restored = None
    if isinstance(image, Restoration):
        restored, axes = image.recipe.to_dict(), axes or image.recipe.axes
        image = image.mean
    placed = find_model(model).on(choose_device(device))
    gains = _gains(placed, detail or {}, smoothing)
    check_range("variation", variation, 0.0, MAX_GAIN)
    seed = checked_seed(seed)
    shown = tones if isinstance(tones, Tones) else _parsed(tones)
    planes = Planes.of(image, axes, placed)
    groups = _with_details(planes, placed, gains, variation, seed)
    recipe = EnhancementRecipe(
        note=NOTE,
        detail=tuple(sorted((detail or {}).items())),
        smoothing=smoothing,
        variation=variation,
        tones=asdict(shown),
        restored=restored,
        model=placed.name,
        model_sha256=placed.sha256,
        axes=planes.layout.axes,
        seed=seed,
        package_version=__version__,
    )
    shown_groups = _displayed(groups, planes, shown)
    return Enhancement(assembled(planes.layout, shown_groups, like=planes.image), recipe)


def _gains(model: Model, detail: Mapping[int, float], smoothing: float) -> tuple[float, ...]:
    """The gain of each level, finest first."""
    check_range("smoothing", smoothing, 0.0, 1.0)
    strides = model.network.config.strides
    if unknown := sorted(set(detail) - set(strides)):
        raise InputError(
            f"detail: model {model.name!r} has levels of {', '.join(map(str, strides))} px, "
            f"and {', '.join(map(str, unknown))} came: use those"
        )
    for stride, gain in detail.items():
        check_range(f"detail at {stride} px", gain, 0.0, MAX_GAIN)
    return tuple(
        float(detail.get(stride, 1.0)) * (1 - smoothing if level < _SMOOTHED else 1.0)
        for level, stride in enumerate(strides)
    )


def _parsed(tones: Mapping[str, float]) -> Tones:
    """Tones from a mapping; raises InputError for an unknown name."""
    if unknown := sorted(set(tones) - {field.name for field in fields(Tones)}):
        raise InputError(
            f"tones: unknown {', '.join(map(repr, unknown))}: use contrast, brightness, gamma "
            "or local_contrast"
        )
    return Tones(**tones)


def _with_details(
    planes: Planes, model: Model, gains: tuple[float, ...], variation: float, seed: int
) -> list[NDArray[np.float64]]:
    """x + D(z') - D(z) of each group of channels, (C, H, W) intensities."""
    if variation == 0 and set(gains) == {1.0}:
        return [group.astype(np.float64) for group in planes.groups]
    found = []
    with torch_computing():
        for index, x in enumerate(planes.network_inputs(model)):
            group, units = planes.groups[index].astype(np.float64), planes.units[index]
            for tile in frame_tiles(model, *planes.frame(model)):
                noise = KeyedNoise(seed, 0, index, *tile.origin, model.network.config.strides)
                window = x[(..., *window_of(tile))]
                after_less_before = _difference(model.network, window, gains, variation, noise)
                here = group[(..., *tile.core)]  # ends where the frame's border begins
                height, width = here.shape[1:]
                inner = (0, ..., *tile.inner)
                unchanged = window[inner][:, :height, :width].cpu().numpy()
                changed = (window + after_less_before)[inner][:, :height, :width].cpu().numpy()
                here += units.from_network(changed) - units.from_network(unchanged)
            found.append(group)
    return found


def _difference(
    network: VAEModule, x: Tensor, gains: tuple[float, ...], variation: float, noise: KeyedNoise
) -> Tensor:
    """D(z') - D(z), (1, C, H, W) in network units."""
    known: dict[int, tuple[DiagonalGaussian, DiagonalGaussian]] = {}

    def keep(level: int, p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
        known[level] = p, q
        return q.mean

    def change(level: int, _p: DiagonalGaussian, _q: DiagonalGaussian) -> Tensor:
        # About what the unchanged coarser levels imply, so that gains do not compound.
        p, q = known[level]
        z = p.mean + gains[level] * (q.mean - p.mean)
        return z + variation * q.log_std.exp() * noise(level, z) if variation else z

    shape = (1, *x.shape[2:])
    before = network.traverse(network.encode(x), shape, keep)
    return network.traverse(None, shape, change) - before


def _displayed(
    groups: list[NDArray[np.float64]], planes: Planes, tones: Tones
) -> NDArray[np.float64]:
    """Tones of every plane, in the range that its channel has over the whole stack."""
    originals = planes.layout.to_planes(planes.image)
    shown = np.concatenate(groups).reshape(planes.layout.planes_shape)
    for channel in range(shown.shape[1]):
        same = originals[:, channel]
        black, white = float(same.min()), float(same.max())
        for plane in shown[:, channel]:
            plane[:] = tones.apply(plane, black, white)
    return shown
