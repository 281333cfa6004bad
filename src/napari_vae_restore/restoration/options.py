"""How a restoration is computed, the same for arrays, stores, clusters and the window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_vae_restore.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keyword parameters of :func:`~.restore.restore`, which says what they mean.

    Raises InputError if a number is no integer, or too small.
    """

    axes: str | None = None
    n_samples: int = 0
    keep_samples: bool = False
    tile: int | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("n_samples", 0), ("seed", 0), ("tile", 1)):
            value = getattr(self, name)
            if name == "tile" and value is None:
                continue
            if not isinstance(value, int | np.integer) or value < least:
                raise InputError(
                    f"{name}: expected an integer of at least {least}, got {value!r}"
                )
