"""Whatever a Zarr array is compressed by, it is read as zarr reads it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, TransposeCodec, ZstdCodec

from napari_vae_restore.images.array_files import open_array
from napari_vae_restore.images.chunk_store import CheckedStore

IMAGE = np.random.default_rng(0).integers(0, 900, (40, 36)).astype("u2")

CODECS: dict[str, dict[str, Any]] = {
    "2 nothing": {"zarr_format": 2, "compressors": None},
    "2 blosc": {"zarr_format": 2, "compressors": numcodecs.Blosc()},
    "2 blosc of bytes": {"zarr_format": 2, "compressors": numcodecs.Blosc("zstd", shuffle=0)},
    "2 lz4": {"zarr_format": 2, "compressors": numcodecs.LZ4()},
    "2 zstd": {"zarr_format": 2, "compressors": numcodecs.Zstd()},
    "2 zlib": {"zarr_format": 2, "compressors": numcodecs.Zlib()},
    "2 gzip": {"zarr_format": 2, "compressors": numcodecs.GZip()},
    "2 bz2": {"zarr_format": 2, "compressors": numcodecs.BZ2()},
    "2 lzma": {"zarr_format": 2, "compressors": numcodecs.LZMA()},
    "2 delta": {
        "zarr_format": 2,
        "compressors": numcodecs.BZ2(),
        "filters": [numcodecs.Delta("u2")],
    },
    "2 wider": {
        "zarr_format": 2,
        "compressors": numcodecs.Blosc(),
        "filters": [numcodecs.FixedScaleOffset(0, 1, "u2", "f8")],
    },
    "3 nothing": {"compressors": None},
    "3 blosc": {"compressors": BloscCodec()},
    "3 zstd": {"compressors": ZstdCodec()},
    "3 zstd with a checksum": {"compressors": ZstdCodec(checksum=True)},
    "3 gzip": {"compressors": GzipCodec()},
    "3 two": {"compressors": (GzipCodec(), ZstdCodec())},
    "3 turned": {"compressors": ZstdCodec(), "filters": TransposeCodec(order=(1, 0))},
    "3 shards": {"shards": (32, 32)},
    "3 shards of gzip, index first": {
        "shards": {"shape": (32, 32), "index_location": "start"},
        "compressors": GzipCodec(),
    },
    "3 shards of nothing": {"shards": (32, 32), "compressors": None},
}


@pytest.mark.parametrize("name", CODECS)
def test_the_values_are_those_of_zarr(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in.zarr"
    zarr.create_array(path, data=IMAGE, chunks=(16, 16), **CODECS[name])
    array, _ = open_array(path)
    np.testing.assert_array_equal(array[...], IMAGE)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[3:20], IMAGE[3:20])
    np.testing.assert_array_equal(array[:5, :5], IMAGE[:5, :5])  # of a shard a chunk
    assert isinstance(array.store, CheckedStore) == ("nothing" not in name)


def test_an_array_in_a_group_and_one_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.zarr"
    ome = {
        "multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "a/0"}]}]
    }
    for version in (2, 3):
        group = zarr.open_group(path, mode="w", zarr_format=version)
        group.attrs.update(ome)
        array = group.create_array("a/0", shape=IMAGE.shape, dtype="u2", chunks=(16, 16))
        assert not open_array(path)[0][...].any()
        array[:16] = IMAGE[:16]
        found, axes = open_array(path)
        assert axes == "YX"
        np.testing.assert_array_equal(found[:16], IMAGE[:16])
