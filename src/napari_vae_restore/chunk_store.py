"""Zarr arrays on disk whose chunks are looked at before a codec makes room for them.

Codecs reserve, and fill as far as they can, what the header of a chunk says: a hundred
kilobytes may become two gigabytes. This module imports zarr, and is itself imported only
where an array is opened; it knows nothing of images.

References
----------
Blosc chunk format: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst;
Zstandard: RFC 8878, section 3.1.1.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import zarr
from zarr.storage import LocalStore

from napari_vae_restore.errors import ImageFileError

METADATA: Final = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""Names of what is no chunk."""

_HEAD: Final = 18
"""Bytes of a chunk that say how many it becomes; of Zstandard's, the most."""
_CHECKSUM: Final = 64
"""Bytes that codecs before the compression may add."""
_WIDENED: Final = 16
"""Bytes for each of a chunk, at most, where filters compress numbers of another type."""
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class CheckedStore(LocalStore):  # type: ignore[misc]  # zarr's types are not looked at
    """The folder of one array, read only.

    Parameters
    ----------
    root : pathlib.Path
        Of the store.
    codec : str
        By which chunks are compressed; one of `CLAIMS`.
    n_bytes : int
        That a chunk holds.
    """

    def __init__(self, root: Path, codec: str, n_bytes: int) -> None:
        super().__init__(root, read_only=True)
        self.codec = codec
        self.n_bytes = n_bytes

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """What lies under a key, as of any store.

        Raises
        ------
        ImageFileError
            If it is a chunk, and claims more than a chunk holds.
        """
        return self._looked_at(key, await super().get(key, *args, **options))

    def get_sync(self, key: str, *args: Any, **options: Any) -> Any:
        """As :meth:`get`."""
        return self._looked_at(key, super().get_sync(key, *args, **options))

    def _looked_at(self, key: str, found: Any) -> Any:
        if found is None or key.rpartition("/")[2] in METADATA:
            return found
        claimed = CLAIMS[self.codec](found[:_HEAD].to_bytes())
        if claimed > self.n_bytes + _CHECKSUM:
            raise ImageFileError(
                f"Cannot read {self.root / key}: it claims {claimed} bytes of pixels, and its "
                f"chunk holds {self.n_bytes}: it is damaged or was made up; copy or export "
                "the image again."
            )
        return found


def checked(array: Any) -> Any:
    """The same array, whose chunks are looked at before they are decompressed.

    Parameters
    ----------
    array : zarr.Array
        Of a store in a folder. One in shards, or of a codec whose chunks do not say how many
        bytes they become, stays as it is.
    """
    root, codecs = getattr(array.store, "root", None), array.compressors
    name = _name(codecs[-1]) if codecs else ""
    if root is None or array.shards is not None or name not in CLAIMS:
        return array
    n_bytes = math.prod(map(int, array.chunks)) * array.dtype.itemsize
    if array.filters:
        n_bytes *= _WIDENED
    store = CheckedStore(Path(root), name, n_bytes)
    form = array.metadata.zarr_format
    return zarr.open_array(store, path=array.path, mode="r", zarr_format=form)


def _name(codec: Any) -> str:
    """As Zarr 2 or Zarr 3 calls it."""
    named = getattr(codec, "codec_id", None) or codec.to_dict()["name"]
    return str(named).removeprefix("numcodecs.")


def _blosc(head: bytes) -> int:
    return int.from_bytes(head[4:8], "little")


def _lz4(head: bytes) -> int:
    return int.from_bytes(head[:4], "little")


def _zstd(head: bytes) -> int:
    """0 where the frame does not say."""
    if head[:4] != _ZSTD or len(head) < 5:
        return 0
    descriptor = head[4]
    is_single = descriptor >> 5 & 1
    start = 5 + (1 - is_single) + (0, 1, 2, 4)[descriptor & 3]
    size = (is_single, 2, 4, 8)[descriptor >> 6]
    number = int.from_bytes(head[start : start + size], "little")
    return number + 256 if size == 2 else number


CLAIMS: Final[dict[str, Callable[[bytes], int]]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
}
"""How many bytes a chunk says that it becomes, by codec."""
