"""Zarr arrays on disk whose chunks are looked at before a codec makes room for them.

Codecs reserve, and fill as far as they can, what a chunk says of itself: a hundred kilobytes
may become two gigabytes. Headers tell it before (Blosc, LZ4, Zstandard); what has none (zlib,
gzip, bzip2, LZMA) is decompressed piece by piece, counted and thrown away. This module imports
zarr, and is itself imported only where an array is opened; it knows nothing of images.

References
----------
Blosc chunk format: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst;
Zstandard: RFC 8878, section 3.1.1.1; shards: Zarr Enhancement Proposal 2.
"""

from __future__ import annotations

import bz2
import contextlib
import lzma
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.codecs import ShardingCodec
from zarr.storage import LocalStore

from napari_vae_restore.errors import ImageFileError

_METADATA: Final = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")  # no chunks
_CHECKSUM: Final = 64  # bytes that codecs before the compression may add
_WIDENED: Final = 16  # bytes for each of a chunk, where filters change the numbers' type
_PIECE: Final = 2**20  # bytes that are decompressed at a time, to be counted
_ABSENT: Final = 2**64 - 1  # where a shard's index says that a missing chunk begins


@dataclass(frozen=True, slots=True)
class Shard:
    """Where in a shard its chunks lie."""

    n_chunks: int  # as many as it has places for
    is_first: bool  # whether the index comes before the chunks
    n_after: int  # bytes of the index behind its pairs of numbers, a checksum

    def chunks(self, found: Any, byte_range: Any) -> Iterator[Any]:
        """Those in a part of the shard that zarr asks for: all, one, or the index."""
        n_index = 16 * self.n_chunks + self.n_after
        if byte_range is None and len(found) >= n_index:
            index = found[:n_index] if self.is_first else found[-n_index:]
            pairs = np.frombuffer(index.to_bytes(), "<u8", 2 * self.n_chunks).reshape(-1, 2)
            for start, length in pairs[pairs[:, 0] != _ABSENT]:
                yield found[int(start) : int(start) + int(length)]
        elif isinstance(byte_range, RangeByteRequest):
            is_index = self.is_first and byte_range.start == 0
            if not is_index:
                yield found


class CheckedStore(LocalStore):
    """The folder of one array, read only."""

    def __init__(
        self, root: Path, codec: str, n_bytes: int, shard: Shard | None = None
    ) -> None:
        super().__init__(root, read_only=True)
        self.codec, self.n_bytes, self.shard = codec, n_bytes, shard

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """What lies under a key, as of any store."""
        return self._checked(key, await super().get(key, prototype, byte_range), byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """As :meth:`get`."""
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._checked(key, found, byte_range)

    def _checked(self, key: str, found: Any, byte_range: Any) -> Any:
        if found is None or key.rpartition("/")[2] in _METADATA:
            return found
        limit = self.n_bytes + _CHECKSUM
        for chunk in [found] if self.shard is None else self.shard.chunks(found, byte_range):
            if (claimed := _CLAIMS[self.codec](chunk, limit)) > limit:
                raise ImageFileError(
                    f"Cannot read {self.root / key}: it claims {claimed} bytes of pixels or "
                    f"more, and its chunk holds {self.n_bytes}: it is damaged or was made up; "
                    "copy or export the image again."
                )
        return found


def checked(array: Any) -> Any:
    """The same array, whose chunks are looked at before they are decompressed."""
    root, codecs = getattr(array.store, "root", None), array.compressors
    if root is None or not codecs:
        return array
    # As Zarr 2 or Zarr 3 calls it.
    name = getattr(codecs[-1], "codec_id", None) or codecs[-1].to_dict()["name"]
    name = str(name).removeprefix("numcodecs.")
    shard = None if array.shards is None else _shard(array)
    if name not in _CLAIMS or (array.shards is not None and shard is None):
        return array
    n_bytes = math.prod(map(int, array.chunks)) * array.dtype.itemsize
    store = CheckedStore(Path(root), name, n_bytes * (_WIDENED if array.filters else 1), shard)
    form = array.metadata.zarr_format
    return zarr.open_array(store, path=array.path, mode="r", zarr_format=form)


def _shard(array: Any) -> Shard | None:
    """How chunks lie in the shards of an array; None if the index is not a plain one."""
    (sharding,) = (each for each in array.metadata.codecs if isinstance(each, ShardingCodec))
    index: list[Any] = [codec.to_dict() for codec in sharding.index_codecs]
    names = [each["name"] for each in index]
    is_big = index[0].get("configuration", {}).get("endian") == "big"
    if is_big or names not in (["bytes"], ["bytes", "crc32c"]):
        return None
    counts = (outer // inner for outer, inner in zip(array.shards, array.chunks, strict=True))
    is_first = sharding.index_location.value == "start"
    return Shard(math.prod(counts), is_first, 4 * (len(names) - 1))


def _number(start: int, stop: int) -> Callable[[Any, int], int]:
    """Reads the size from these bytes of a chunk."""
    return lambda chunk, limit: int.from_bytes(chunk[start:stop].to_bytes(), "little")


def _zstd(chunk: Any, limit: int) -> int:
    """0 where the frame does not say."""
    head = chunk[:18].to_bytes()
    if head[:4] != b"\x28\xb5\x2f\xfd" or len(head) < 5:
        return 0
    descriptor = head[4]
    is_single = descriptor >> 5 & 1
    start = 5 + (1 - is_single) + (0, 1, 2, 4)[descriptor & 3]
    size = (is_single, 2, 4, 8)[descriptor >> 6]
    number = int.from_bytes(head[start : start + size], "little")
    return number + 256 if size == 2 else number


def _counted(new: Callable[[], Any]) -> Callable[[Any, int], int]:
    """Counts by decompressors of the standard library, of streams one behind the other."""

    def count(chunk: Any, limit: int) -> int:
        content, n = chunk.to_bytes(), 0
        with contextlib.suppress(zlib.error, OSError, lzma.LZMAError):  # the codec refuses it
            while content and n <= limit:
                decoder, piece = new(), b"0"
                while piece and n <= limit and not decoder.eof:
                    piece = decoder.decompress(content, _PIECE)
                    n += len(piece)
                    content = getattr(decoder, "unconsumed_tail", b"")
                content = decoder.unused_data
        return n

    return count


def _inflating() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # of zlib or gzip, as their heads say


# How many bytes a chunk becomes, by codec; where it is counted, as far as a limit.
_CLAIMS: Final[dict[str, Callable[[Any, int], int]]] = {
    "blosc": _number(4, 8),
    "lz4": _number(0, 4),
    "zstd": _zstd,
    "gzip": _counted(_inflating),
    "zlib": _counted(_inflating),
    "bz2": _counted(bz2.BZ2Decompressor),
    "lzma": _counted(lzma.LZMADecompressor),
}
