"""Arrays whose values are read or computed only when asked for: dask, zarr, xarray.

They are recognised by where their types come from, so that none of these packages need be
there. This module knows nothing of axes or intensities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError

_PACKAGES: Final = ("dask.array", "zarr.")
_LABELLED: Final = "xarray.core.dataarray.DataArray"


def is_lazy(data: object) -> bool:
    """Whether data is a dask or zarr array, or one of them in an xarray.DataArray."""
    if is_labelled(data):
        # Not .data, which reads what xarray opened lazily itself.
        return bool(getattr(data, "chunks", None))
    return type(data).__module__.startswith(_PACKAGES) and hasattr(data, "shape")


def is_labelled(data: object) -> bool:
    """Whether data is an xarray.DataArray."""
    return any(f"{t.__module__}.{t.__name__}" == _LABELLED for t in type(data).__mro__)


def as_dask(data: Any) -> Any:
    """The same values as a dask array, in the chunks in which they are stored."""
    try:
        import dask.array as da
    except ImportError:
        raise InputError(
            "Expected dask for arrays larger than memory, but it is not installed: "
            "pip install 'napari-vae-restore[zarr]', or pass a numpy array."
        ) from None
    if is_labelled(data):
        data = data.data
    if isinstance(data, da.Array):
        return data
    chunks = getattr(data, "shards", None) or getattr(data, "chunks", None) or "auto"
    return da.from_array(data, chunks=chunks, inline_array=True)


def packed_digest(mask: Any) -> tuple[str, int]:
    """SHA-256 of a mask's bits in C order, eight to a byte, and how many are set."""
    digest, n_set = hashlib.sha256(), 0
    rest: NDArray[np.bool_] = np.zeros(0, bool)
    for part in _slabs(mask):
        bits = np.concatenate([rest, part.ravel()])
        n_set += int(part.sum())
        whole = len(bits) // 8 * 8
        digest.update(np.packbits(bits[:whole]).tobytes())
        rest = bits[whole:]
    digest.update(np.packbits(rest).tobytes())
    return digest.hexdigest(), n_set


def _slabs(mask: Any) -> Iterator[NDArray[np.bool_]]:
    """Parts of a mask in C order, one after the other."""
    if isinstance(mask, np.ndarray):
        yield mask
        return
    if mask.ndim > 2:
        for part in mask:
            yield from _slabs(part)
        return
    start = 0
    for rows in mask.chunks[0]:
        yield mask[start : start + rows].compute(scheduler="synchronous")
        start += rows
