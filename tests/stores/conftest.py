"""Small images that are taken for large ones, in stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from skimage import data

from napari_vae_restore.restoration.blocks import parts, plan
from napari_vae_restore.restoration.blocks import windows as sampling


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planes of more than a few pixels are restored tile by tile, of a small halo."""
    monkeypatch.setattr(plan, "PLANE_PIXELS", 2**12)
    monkeypatch.setattr(parts, "measured_halo", lambda model: 16)
    monkeypatch.setattr(sampling, "_RANGE_WINDOWS", 4)
    monkeypatch.setattr(sampling, "_RANGE_SIDE", 40)


@pytest.fixture(scope="session")
def slide() -> NDArray[np.uint8]:
    """Two noisy channels, (2, 131, 150)."""
    clean = data.camera()[100:231, 150:300].astype(float)
    noisy = np.stack([clean, clean[::-1]])
    noisy += np.random.default_rng(0).normal(0, 10, noisy.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """Write an array as a Zarr array, or as OME-Zarr of either version."""

    def write(name: str, values: NDArray[Any], ngff: str = "", axes: str = "CYX") -> Path:
        path = tmp_path / name
        chunks = (*(1,) * (values.ndim - 2), 53, 71)
        if not ngff:
            zarr.create_array(path, data=values, chunks=chunks)
            return path
        is_new = ngff == "0.5"
        group = zarr.open_group(path, mode="w", zarr_format=3 if is_new else 2)
        group.create_array("0", data=values, chunks=chunks)
        listed = [
            {"name": a.lower(), "type": "channel"}
            if a == "C"
            else {"name": a.lower(), "type": "space", "unit": "micrometer"}
            for a in axes
        ]
        scale = [1.0 if a == "C" else 0.5 for a in axes]
        level = {
            "path": "0",
            "coordinateTransformations": [{"type": "scale", "scale": scale}],
        }
        names = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
        image = {"axes": listed, "datasets": [level]}
        ome = {"version": ngff, "multiscales": [image], "omero": names}
        group.attrs.update({"ome": ome} if is_new else ome)
        return path

    return write
