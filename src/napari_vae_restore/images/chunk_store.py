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

METADATA: Final = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""Names of what is no chunk."""

_HEAD: Final = 18
"""Bytes of a chunk that say how many it becomes; of Zstandard's, the most."""
_CHECKSUM: Final = 64
"""Bytes that codecs before the compression may add."""
_WIDENED: Final = 16
"""Bytes for each of a chunk, at most, where filters compress numbers of another type."""
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PIECE: Final = 2**20
"""Bytes that are decompressed at a time, to be counted."""
_ABSENT: Final = 2**64 - 1
"""Where a shard's index says that a chunk begins which is not there."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Where in a shard its chunks lie."""

    n_chunks: int  # as many as it has places for
    is_first: bool  # whether the index comes before the chunks
    n_after: int  # bytes of the index behind its pairs of numbers, a checksum

    @property
    def n_index(self) -> int:
        """Bytes of the index."""
        return 16 * self.n_chunks + self.n_after

    def chunks(self, found: Any, byte_range: Any) -> Iterator[Any]:
        """Those in a part of the shard that zarr asks for: all, one, or the index."""
        if byte_range is None and len(found) >= self.n_index:
            index = found[: self.n_index] if self.is_first else found[-self.n_index :]
            pairs = np.frombuffer(index.to_bytes(), "<u8", 2 * self.n_chunks).reshape(-1, 2)
            for start, length in pairs[pairs[:, 0] != _ABSENT]:
                yield found[int(start) : int(start) + int(length)]
        elif isinstance(byte_range, RangeByteRequest):
            of_index = self.is_first and byte_range.start == 0
            if not of_index:
                yield found


class CheckedStore(LocalStore):  # type: ignore[misc]  # zarr's types are not looked at
    """The folder of one array, read only."""

    def __init__(
        self, root: Path, codec: str, n_bytes: int, shard: Shard | None = None
    ) -> None:
        super().__init__(root, read_only=True)
        self.codec = codec
        self.n_bytes = n_bytes
        self.shard = shard

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """What lies under a key, as of any store."""
        return self._looked_at(key, await super().get(key, prototype, byte_range), byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """As :meth:`get`."""
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._looked_at(key, found, byte_range)

    def _looked_at(self, key: str, found: Any, byte_range: Any) -> Any:
        if found is None or key.rpartition("/")[2] in METADATA:
            return found
        chunks = [found] if self.shard is None else self.shard.chunks(found, byte_range)
        limit = self.n_bytes + _CHECKSUM
        for chunk in chunks:
            claimed = CLAIMS[self.codec](chunk, limit)
            if claimed > limit:
                raise ImageFileError(
                    f"Cannot read {self.root / key}: it claims {claimed} bytes of pixels or "
                    f"more, and its chunk holds {self.n_bytes}: it is damaged or was made up; "
                    "copy or export the image again."
                )
        return found


def checked(array: Any) -> Any:
    """The same array, whose chunks are looked at before they are decompressed."""
    root, codecs = getattr(array.store, "root", None), array.compressors
    name = _name(codecs[-1]) if codecs else ""
    shard = None if array.shards is None else _shard(array)
    if root is None or name not in CLAIMS or (array.shards is not None and shard is None):
        return array
    n_bytes = math.prod(map(int, array.chunks)) * array.dtype.itemsize
    if array.filters:
        n_bytes *= _WIDENED
    store = CheckedStore(Path(root), name, n_bytes, shard)
    form = array.metadata.zarr_format
    return zarr.open_array(store, path=array.path, mode="r", zarr_format=form)


def _name(codec: Any) -> str:
    """As Zarr 2 or Zarr 3 calls it."""
    named = getattr(codec, "codec_id", None) or codec.to_dict()["name"]
    return str(named).removeprefix("numcodecs.")


def _shard(array: Any) -> Shard | None:
    """How chunks lie in the shards of an array; None if the index is not a plain one."""
    (sharding,) = (each for each in array.metadata.codecs if isinstance(each, ShardingCodec))
    index = [codec.to_dict() for codec in sharding.index_codecs]
    names = [each["name"] for each in index]
    big = index[0].get("configuration", {}).get("endian") == "big"
    if big or names not in (["bytes"], ["bytes", "crc32c"]):
        return None
    counts = (outer // inner for outer, inner in zip(array.shards, array.chunks, strict=True))
    is_first = sharding.index_location.value == "start"
    return Shard(math.prod(counts), is_first, 4 * (len(names) - 1))


def _head(chunk: Any) -> bytes:
    return bytes(chunk[:_HEAD].to_bytes())


def _blosc(chunk: Any, limit: int) -> int:
    return int.from_bytes(_head(chunk)[4:8], "little")


def _lz4(chunk: Any, limit: int) -> int:
    return int.from_bytes(_head(chunk)[:4], "little")


def _zstd(chunk: Any, limit: int) -> int:
    """0 where the frame does not say."""
    head = _head(chunk)
    if head[:4] != _ZSTD or len(head) < 5:
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
        content, n = bytes(chunk.to_bytes()), 0
        try:
            while content and n <= limit:
                decoder, piece = new(), b"0"
                while piece and n <= limit:
                    piece = decoder.decompress(content, _PIECE)
                    n += len(piece)
                    content = getattr(decoder, "unconsumed_tail", b"")
                    if decoder.eof:
                        break
                content = decoder.unused_data
        except (zlib.error, OSError, lzma.LZMAError):  # for the codec to refuse
            pass
        return n

    return count


def _inflating() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # of zlib or gzip, as their heads say


CLAIMS: Final[dict[str, Callable[[Any, int], int]]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
    "gzip": _counted(_inflating),
    "zlib": _counted(_inflating),
    "bz2": _counted(bz2.BZ2Decompressor),
    "lzma": _counted(lzma.LZMADecompressor),
}
"""How many bytes a chunk becomes, by codec; where it is counted, as far as a limit."""
