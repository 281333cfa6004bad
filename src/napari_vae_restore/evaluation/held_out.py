"""Images in two: what models are trained on, and what all of them are measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training.sources import Loaded

_SHARE: Final = 0.2
_FEW: Final = 5
"""Planes of which one can be spared: of fewer, the lowest fifth of each is held out."""
_LEAST_ROWS: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What a comparison of models is made on.

    Attributes
    ----------
    training : tuple of Loaded
        Noisy, to train on.
    images : tuple of Loaded
        Noisy, of the same kind, which no model sees.
    references : tuple of Loaded or None
        The clean images of `images`, where they are known.
    words : str
        What was held out.
    sha256 : str
        Of all of it.
    """

    training: tuple[Loaded, ...]
    images: tuple[Loaded, ...]
    references: tuple[Loaded, ...] | None
    words: str
    sha256: str


def hold_out(
    images: Sequence[Loaded],
    references: Sequence[Loaded] | None,
    simulate: NoiseModel | None,
    seed: int,
) -> HeldOut:
    """Hold a fifth out: planes where there are five or more, or the lowest rows of each.

    Parameters
    ----------
    images : sequence of Loaded
        Noisy, or clean where noise is to be simulated.
    references : sequence of Loaded or None
        The clean image of each.
    simulate : NoiseModel or None
        Noise to add to clean images, which are then the references.
    seed : int
        Of the choice, and of the noise.

    Returns
    -------
    HeldOut
        Images as stacks of planes; alpha is left out.

    Raises
    ------
    InputError
        If references differ in shape, or the images are too small to be divided.
    """
    if references is not None and simulate is not None:
        raise InputError("simulate: the images have references: give one of them")
    noisy = [_planes(image) for image in images]
    clean = None if references is None else [_planes(image) for image in references]
    if clean is not None and [c.shape for c in clean] != [n.shape for n in noisy]:
        raise InputError("references: expected images of the shapes of the noisy ones")
    rng = np.random.default_rng(seed)
    if simulate is not None:
        clean = noisy
        noisy = [simulate.sample(planes, rng).astype(np.float32) for planes in clean]
    n_planes = sum(len(planes) for planes in noisy)
    if n_planes < _FEW:
        words = f"the lowest {_SHARE:.0%} of each plane"
        training, unseen = _cut(noisy)
        targets = None if clean is None else _cut(clean)[1]
    else:
        chosen = np.zeros(n_planes, bool)
        chosen[rng.permutation(n_planes)[: round(_SHARE * n_planes)]] = True
        words = f"{chosen.sum()} of {n_planes} planes"
        training, unseen = _divided(noisy, chosen)
        targets = None if clean is None else _divided(clean, chosen)[1]
    return HeldOut(
        _loaded(images, training),
        _loaded(images, unseen),
        None if targets is None else _loaded(images, targets),
        words,
        _digest([*noisy, *(clean or ())]),
    )


def _planes(image: Loaded) -> NDArray[Any]:
    """(N, C, H, W)."""
    return Layout.of(image.data, image.axes).to_planes(image.data)


def _loaded(images: Sequence[Loaded], arrays: Sequence[NDArray[Any]]) -> tuple[Loaded, ...]:
    """Stacks of planes under the names of their images; without the empty ones."""
    found = []
    for image, planes in zip(images, arrays, strict=True):
        is_rgb = Layout.of(image.data, image.axes).is_rgb
        stack = np.moveaxis(planes, 1, -1) if is_rgb else planes
        if len(stack):
            axes = "TYXS" if is_rgb else "TCYX"
            found.append(Loaded(image.name, np.ascontiguousarray(stack), axes))
    return tuple(found)


def _cut(arrays: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The upper rows of all planes, and the lowest fifth."""
    above, below = [], []
    for planes in arrays:
        height = planes.shape[2]
        rows = max(round(_SHARE * height), _LEAST_ROWS)
        if height < 3 * _LEAST_ROWS:
            raise InputError(
                f"expected at least {_FEW} images, or images of at least {3 * _LEAST_ROWS} "
                f"rows, to hold some out, got {height} rows: give more or larger images"
            )
        first, last = np.split(planes, [height - rows], axis=2)
        above.append(first)
        below.append(last)
    return above, below


def _divided(
    arrays: Sequence[NDArray[Any]], chosen: NDArray[np.bool_]
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The other planes, and the chosen ones."""
    parts = np.split(chosen, np.cumsum([len(planes) for planes in arrays])[:-1])
    pairs = list(zip(arrays, parts, strict=True))
    return [a[~part] for a, part in pairs], [a[part] for a, part in pairs]


def _digest(arrays: Sequence[NDArray[Any]]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
