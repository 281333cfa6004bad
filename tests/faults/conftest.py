"""A program that starts at once, to be hindered and killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from skimage import data

from napari_vae_restore.images.image_files import write_image

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
if BENCHMARKS not in sys.path:
    sys.path.append(BENCHMARKS)

from warm import Warm  # noqa: E402


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """The program, in a process of its own that is forked for each run."""
    with Warm(tmp_path_factory.mktemp("told")) as program:
        yield program


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of small pictures that commands work on."""
    clean = data.camera()[100:164, 150:222]
    rng = np.random.default_rng(0)
    noisy = (clean + rng.normal(0, 15, clean.shape)).clip(0, 255).astype(np.uint8)
    folder = tmp_path / "place"
    (folder / "many").mkdir(parents=True)
    write_image(folder / "in.tif", noisy, "YX")
    write_image(folder / "clean.tif", clean, "YX")
    write_image(folder / "mask.png", np.eye(64, 72, dtype=np.uint8), "YX")
    for n in range(2):
        write_image(folder / "many" / f"{n}.tif", noisy[n:], "YX")
    zarr.create_array(folder / "in.zarr", data=noisy, chunks=(32, 32))
    return folder
