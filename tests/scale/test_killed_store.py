"""kill -9 in the middle, the same command again: the store of an unbroken run."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

PEAK = """
import re, sys
from pathlib import Path
import numpy as np, zarr
import napari_vae_restore as vr
from napari_vae_restore.scale.stores import restore_store
folder, side = sys.argv[1], int(sys.argv[2])
how = {"shape": (side, side), "chunks": (1024, 1024)}
image = zarr.create_array(folder + "/in.zarr", dtype="u2", **how)
mask = zarr.create_array(folder + "/mask.zarr", dtype="u1", **how)
rows = np.arange(side, dtype="u2")
for top in range(0, side, 1024):
    image[top : top + 1024] = (rows[top : top + 1024, None] + rows) % 1000
mask[40:44, 30:90] = 1
restore_store(folder + "/in.zarr", folder + "/out.zarr", vr.Inpaint(mask), tile=576)
# Not ru_maxrss, which begins with that of the process that started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.fixture(scope="module")
def killed_store() -> ModuleType:
    """The benchmark, whose round this is."""
    path = ROOT / "benchmarks" / "killed_store.py"
    spec = importlib.util.spec_from_file_location("killed_store", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.platform == "win32", reason="files of the killed may be held open")
def test_killed_and_repeated_it_is_as_unbroken(
    killed_store: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killed_store, "SIDE", 200)
    source = killed_store.write_picture(tmp_path / "in.zarr")
    whole, out = tmp_path / "whole.ome.zarr", tmp_path / "out.ome.zarr"
    killed_store.finish(killed_store.start(source, whole))
    process = killed_store.start(source, out)
    marks = tmp_path / "out.ome.zarr.partial" / "marks"
    wanted = random.Random(0).randint(2, 10)
    while process.poll() is None and len(list(marks.glob("block-*"))) < wanted:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert not out.exists()
    killed_store.finish(killed_store.start(source, out))
    assert killed_store.contents(out) == killed_store.contents(whole)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told differently")
def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    peaks = []
    for side in (2304, 4608):
        folder = tmp_path / str(side)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder), str(side)],
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(int(done.stdout))
    # 21 megapixels are 42 MB as they are, and 85 MB in single precision.
    assert peaks[1] < peaks[0] + 60
    assert peaks[1] < 2000
