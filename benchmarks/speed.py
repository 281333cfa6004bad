"""How fast, and in how much memory, stores of any size are restored.

    python benchmarks/speed.py --sizes 1 16 64 --out speed.csv

writes noisy pictures of so many megapixels as Zarr, restores each into OME-Zarr by the
command line's code in a process of its own, and measures the time of the restoration and
the peak of that process's memory (resident). ``--tiles``, ``--samples`` and ``--threads``
take several values too: every combination is run. Time includes reading, writing and the
pyramid, and not the start of Python and the imports. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIGMA = 15.0
CHUNK = 576
SIDE = 512
"""Of the picture that is repeated; each copy gets noise of its own."""

MEASURED = """
import json, resource, sys, time
import torch
torch.set_num_threads(int(sys.argv[3]))
import napari_vae_restore as vr
from napari_vae_restore.scale.stores import restore_store
source, output, _, tile, samples, std = sys.argv[1:]
started = time.monotonic()
restore_store(
    source,
    output,
    vr.Denoise("gaussian"),
    tile=int(tile) or None,
    n_samples=int(samples),
    uncertainty=std if int(samples) > 1 else None,
    device="cpu",
)
seconds = time.monotonic() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak_mib": peak}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.25, 1, 4, 16, 64, 256])
    parser.add_argument("--tiles", type=int, nargs="+", default=[0], help="0: chosen")
    parser.add_argument("--samples", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[os.cpu_count() or 1])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in given.sizes:
            source = write_picture(Path(folder) / f"{size:g}.zarr", size)
            for tile, samples, threads in itertools.product(
                given.tiles, given.samples, given.threads
            ):
                run = {"megapixels": size, "tile": tile, "samples": samples}
                row = run | {"threads": threads} | measure(source, tile, samples, threads)
                row["megapixels_per_second"] = round(size / row["seconds"], 3)
                rows.append(row)
                print(json.dumps(row), flush=True)
    if given.out is not None:
        with given.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def write_picture(path: Path, megapixels: float) -> Path:
    """A noisy picture, a row of chunks at a time."""
    import zarr
    from skimage import data

    side = round(float(np.sqrt(megapixels * 1e6)))
    array = zarr.create_array(path, shape=(side, side), dtype="uint16", chunks=(CHUNK, CHUNK))
    random = np.random.default_rng(0)
    wide = np.tile(data.camera()[:SIDE, :SIDE], (1, -(-side // SIDE)))[:, :side]
    for top in range(0, side, SIDE):
        rows = min(SIDE, side - top)
        noisy = wide[:rows] + random.normal(0, SIGMA, (rows, side))
        array[top : top + rows] = (20 * noisy.clip(0)).astype(np.uint16)
    return path


def measure(source: Path, tile: int, samples: int, threads: int) -> dict[str, float]:
    """Seconds and peak memory of one restoration."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        outputs = [str(Path(folder) / name) for name in ("out.zarr", "std.zarr")]
        words = [str(source), outputs[0], str(threads), str(tile), str(samples), outputs[1]]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *words],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return {name: round(value, 2) for name, value in found.items()}


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s in all", file=sys.stderr)
