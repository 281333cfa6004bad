"""How much memory a restoration into a store takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PEAK = """
import re, sys
from pathlib import Path
import numpy as np, zarr
import napari_vae_restore as vr
from napari_vae_restore.stores.restore import restore_store
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
