"""Results of xarray keep their labels: dimensions, coordinates, attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def labelled(values: Any, like: Any, axes: str, *, lead: tuple[str, ...] = ()) -> Any:
    """Return values as an xarray.DataArray that is labelled as another."""
    sizes = dict(zip(like.dims, values.shape[len(lead) :], strict=True))
    coordinates: dict[Any, Any] = {}
    for name, coordinate in like.coords.items():
        changed = [dim for dim in coordinate.dims if sizes[dim] != like.sizes[dim]]
        if not changed:
            coordinates[name] = coordinate
        elif coordinate.ndim == 1 and coordinate.dtype.kind in "iuf":
            (dim,) = changed
            is_spatial = axes[like.dims.index(dim)] in "YX"
            along = np.asarray(coordinate)
            along = finer(along, sizes[dim]) if is_spatial else along[: sizes[dim]]
            coordinates[name] = (dim, along, coordinate.attrs)
    kind = type(like)
    return kind(
        values, dims=(*lead, *like.dims), coords=coordinates, attrs=like.attrs, name=like.name
    )


def finer(centres: NDArray[Any], n: int) -> NDArray[np.float64]:
    """Centres of `n` pixels that share the extent of fewer ones.

    Examples
    --------
    >>> finer(np.array([0.0, 1.0]), 4).tolist()
    [-0.25, 0.25, 0.75, 1.25]
    """
    positions = (np.arange(n) + 0.5) * len(centres) / n - 0.5
    before = np.clip(np.floor(positions).astype(int), 0, max(len(centres) - 2, 0))
    after = np.minimum(before + 1, len(centres) - 1)
    values = centres.astype(np.float64)
    return np.asarray(values[before] + (positions - before) * (values[after] - values[before]))
