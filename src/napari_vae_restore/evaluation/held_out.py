"""Images divided in two: those that models train on, and those that all are measured on."""

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
    places, words = _places(noisy, rng)
    return HeldOutSplit(
        _loaded(images, noisy, [kept for kept, _ in places]),
        _loaded(images, noisy, [unseen for _, unseen in places]),
        None if clean is None else _loaded(images, clean, [unseen for _, unseen in places]),
        words,
        _digest([*noisy, *(clean or ())]),
    )


def _planes(image: Loaded) -> NDArray[Any]:
    """(N, C, H, W)."""
    return Layout.of(image.data, image.axes).to_planes(image.data)


def _places(
    arrays: Sequence[NDArray[Any]], rng: np.random.Generator
) -> tuple[list[tuple[Any, Any]], str]:
    """Indices of what each image's planes train and of what is held out; that in words."""
    counts = [len(planes) for planes in arrays]
    if (n := sum(counts)) >= _FEW:
        chosen = np.zeros(n, bool)
        chosen[rng.permutation(n)[: round(_SHARE * n)]] = True
        parts = np.split(chosen, np.cumsum(counts)[:-1])
        return [(~part, part) for part in parts], f"{chosen.sum()} of {n} planes"
    places = []
    for planes in arrays:
        height = planes.shape[2]
        if height < 3 * _LEAST_ROWS:
            raise InputError(
                f"expected at least {_FEW} images, or images of at least {3 * _LEAST_ROWS} "
                f"rows, to hold some out, got {height} rows: give more or larger images"
            )
        rows = max(round(_SHARE * height), _LEAST_ROWS)
        places.append((np.s_[:, :, :-rows], np.s_[:, :, -rows:]))
    return places, f"the lowest {_SHARE:.0%} of each plane"


def _loaded(
    images: Sequence[Loaded], arrays: Sequence[NDArray[Any]], places: Sequence[Any]
) -> tuple[Loaded, ...]:
    """Parts of planes under the names of their images, without the empty ones."""
    found = []
    for image, planes, place in zip(images, arrays, places, strict=True):
        is_rgb = Layout.of(image.data, image.axes).is_rgb
        stack = np.moveaxis(planes[place], 1, -1) if is_rgb else planes[place]
        if len(stack):
            axes = "TYXS" if is_rgb else "TCYX"
            found.append(Loaded(image.name, np.ascontiguousarray(stack), axes))
    return tuple(found)


def _digest(arrays: Sequence[NDArray[Any]]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
