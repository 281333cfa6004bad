"""Images divided in two: those that models train on, and those that all are measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training.sources import Loaded

_SHARE: Final = 0.2
_FEW: Final = 5  # planes, of which one can be spared
_LEAST_ROWS: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutSplit:
    """The images of a comparison of models, as stacks of planes without alpha."""

    training: tuple[Loaded, ...]  # noisy
    images: tuple[Loaded, ...]  # noisy, of the same kind, which no model sees
    references: tuple[Loaded, ...] | None  # clean images of `images`, if known
    words: str  # what was held out
    sha256: str  # of all of it


def hold_out(
    images: Sequence[Loaded],
    references: Sequence[Loaded] | None,
    simulate: NoiseModel | None,
    seed: int,
) -> HeldOutSplit:
    """Hold a fifth out: planes where there are five or more, or the lowest rows of each.

    With `simulate`, the images are clean: they get this noise, and become the references.
    `seed` is that of the choice and of the noise. Raises InputError for references of another
    shape, and for images that are too small to be divided.
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
        words, divide = f"the lowest {_SHARE:.0%} of each plane", _cut
    else:
        chosen = np.zeros(n_planes, bool)
        chosen[rng.permutation(n_planes)[: round(_SHARE * n_planes)]] = True
        words, divide = f"{chosen.sum()} of {n_planes} planes", partial(_chosen_of, chosen)
    training, unseen = divide(noisy)
    return HeldOutSplit(
        _loaded(images, training),
        _loaded(images, unseen),
        None if clean is None else _loaded(images, divide(clean)[1]),
        words,
        _digest([*noisy, *(clean or ())]),
    )


def _planes(image: Loaded) -> NDArray[Any]:
    """(N, C, H, W)."""
    return Layout.of(image.data, image.axes).to_planes(image.data)


def _loaded(images: Sequence[Loaded], arrays: Sequence[NDArray[Any]]) -> tuple[Loaded, ...]:
    """Stacks of planes under the names of their images, without the empty ones."""
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


def _chosen_of(
    chosen: NDArray[np.bool_], arrays: Sequence[NDArray[Any]]
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
