"""How fast, and in how much memory, stores of any size are restored.

    python benchmarks/speed.py --sizes 1 16 64 --out speed.csv --plots docs/images

writes noisy pictures of so many megapixels as Zarr, restores each into OME-Zarr by the
command line's code in a process of its own, and measures the time of the restoration and
the peak of that process's memory (resident). ``--tiles``, ``--samples`` and ``--threads``
take several values too: every combination is run. Time includes reading, writing and the
pyramid, and not the start of Python and the imports. Nothing else should run meanwhile.

    python benchmarks/speed.py --sizes --against 1 --careamics PYTHON

times other methods on one picture of so many megapixels beside ours, one after the other and
ours again after each, as ratios; careamics by the Python of an environment that has it.
With ``--gpu`` the mean and 16 samples of a tile are timed on a graphics card, with the
arithmetic reached and the five kernels that take most of the time.
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
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIGMA = 15.0
CHUNK = 576
SIDE = 512
"""Of the picture that is repeated; each copy gets noise of its own."""

MEASURED = """
import json, sys, time
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[3]))
import napari_vae_restore as vr
from napari_vae_restore.stores.restore import restore_store
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
# What getrusage says is inherited from the process that starts this one.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").open())
peak = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "peak_mib": peak}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.25, 1, 4, 16, 64, 256])
    parser.add_argument("--tiles", type=int, nargs="+", default=[0], help="0: chosen")
    parser.add_argument("--samples", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[os.cpu_count() or 1])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plots", type=Path, help="a folder for speed.svg and memory.svg")
    parser.add_argument("--against", type=float, help="megapixels of the picture")
    parser.add_argument("--careamics", help="a Python that has careamics")
    parser.add_argument("--gpu", action="store_true")
    given = parser.parse_args()
    if given.gpu:
        on_graphics_card()
    if given.against:
        against(given.against, given.threads[0], given.careamics)
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
    if given.out is not None and rows:
        with given.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    if given.plots is not None and rows:
        plot(rows, given.plots)


def plot(rows: list[dict[str, float]], folder: Path) -> None:
    """Cost of a megapixel, and peak of memory, over the picture's size."""
    from napari_vae_restore.reports.plot import Curve, Plot

    named: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        words = ["mean" if row["samples"] == 0 else f"mean and {row['samples']} samples"]
        words += [f"{row['threads']} threads"]
        words += [f"tiles of {row['tile']}"] if row["tile"] else []
        named.setdefault(", ".join(words), []).append(row)
    shown = {
        "speed.svg": ("seconds a megapixel", lambda row: row["seconds"] / row["megapixels"]),
        "memory.svg": ("peak memory in GiB", lambda row: row["peak_mib"] / 1024),
    }
    for name, (axis, value) in shown.items():
        curves = tuple(
            Curve(what, tuple(r["megapixels"] for r in some), tuple(value(r) for r in some))
            for what, some in named.items()
        )
        picture = Plot(curves, "megapixels, zarr to OME-Zarr", axis, is_log=True)
        (folder / name).write_text(picture.svg("file") + "\n", encoding="utf-8")


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


def against(megapixels: float, threads: int, careamics: str | None) -> None:
    """Print seconds of other methods over ours on the same picture, and the load."""
    import torch
    from bm3d import bm3d
    from skimage import data

    import napari_vae_restore as vr
    from peers import biharmonic, nl_means

    torch.set_num_threads(threads)
    side = round(float(np.sqrt(megapixels * 1e6)))
    random = np.random.default_rng(0)
    copies = -(-side // SIDE)
    clean = np.tile(data.camera()[:SIDE, :SIDE], (copies, copies))[:side, :side]
    noisy = clean + random.normal(0, SIGMA, clean.shape)
    missing = np.zeros(clean.shape, bool)
    missing[side // 4 :: SIDE // 4, side // 8 : -side // 8] = True

    def denoise() -> None:
        vr.denoise(noisy.astype(np.float32), noise=f"gaussian:{SIGMA}", device="cpu")

    def inpaint() -> None:
        vr.inpaint(clean, missing, device="cpu")

    rivals = {
        "NLM": (lambda: nl_means(noisy, SIGMA), denoise),
        "BM3D": (lambda: bm3d(noisy, SIGMA), denoise),
        "biharmonic": (lambda: biharmonic(clean, missing), inpaint),
    }
    denoise()
    for name, (rival, ours) in rivals.items():
        report(name, timed(rival), timed(ours))
    if careamics is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.npy"
            np.save(path, noisy)
            script = Path(__file__).with_name("careamics_speed.py")
            words = [careamics, str(script), str(path), folder, str(threads)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
        report("careamics", json.loads(done.stdout.splitlines()[-1])["seconds"], timed(denoise))


def timed(compute: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.monotonic()
    compute()
    return time.monotonic() - started


def report(name: str, theirs: float, ours: float) -> None:
    """Print one comparison."""
    row = {"method": name, "seconds": theirs, "ours": ours, "ratio": theirs / ours}
    row = {key: round(v, 2) if isinstance(v, float) else v for key, v in row.items()}
    print(json.dumps(row | {"load": round(os.getloadavg()[0], 1)}), flush=True)


def on_graphics_card() -> None:
    """Print megapixels a second, arithmetic reached, and the kernels that take the time."""
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    from napari_vae_restore.models.bundled import find_model
    from napari_vae_restore.models.condition import condition_tensor
    from napari_vae_restore.models.latents import random_noise
    from napari_vae_restore.restoration.inference.conditional import (
        Inference,
        conditional_network,
    )

    side = 2560
    network = conditional_network(find_model("default").on(torch.device("cuda")))
    values = np.random.default_rng(0).random((1, 1, side, side), np.float32)
    condition = condition_tensor(values, np.ones(values.shape, bool), (0.1, 0.0, 0.0, 0.0))
    generator = torch.Generator().manual_seed(0)

    def run(n_samples: int) -> None:
        inference = Inference(network, condition)
        inference.mean()
        for _ in range(n_samples):
            inference.sample(random_noise(generator))
        torch.cuda.synchronize()

    for n_samples in (0, 16):
        run(n_samples)
        seconds = min(timed(lambda n=n_samples: run(n)) for _ in range(5))
        with FlopCounterMode(display=False) as counter:
            run(n_samples)
        row = {"device": torch.cuda.get_device_name(), "samples": n_samples}
        row["megapixels_per_second"] = round(side**2 / 1e6 / seconds, 1)
        row["teraflops"] = round(counter.get_total_flops() / seconds / 1e12, 1)
        print(json.dumps(row), flush=True)
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        run(0)
    print(found.key_averages().table(sort_by="self_cuda_time_total", row_limit=5))


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s in all", file=sys.stderr)
