"""Kill a restoration into a store at random moments, repeat it, and compare.

Each round starts ``vae-restore denoise`` from Zarr to OME-Zarr, ends it by ``kill -9``
again and again, each time at a random moment, until a run comes to its end; then the store
is compared with that of an unbroken run, file by file::

    python benchmarks/killed_store.py --rounds 10

With ``--workers`` two workers of a dask scheduler compute, and one of these is killed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE = 400
TILE = 64
# A picture of 400² pixels, taken for a large one of 49 blocks with a short halo, so that
# many kills hit the writing of one.
PREPARED = """
from napari_vae_restore.restoration import parts, plan
parts.measured_halo = lambda model: 16
plan.PLANE_PIXELS = 2**12
"""
PROGRAM = f"{PREPARED}import sys\nfrom napari_vae_restore.cli import main\nsys.exit(main())\n"


def main() -> None:
    """Run the rounds; the exit status says whether all stores were as the unbroken one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--workers", action="store_true", help="kill a worker instead")
    given = parser.parse_args()
    moments = random.Random(given.seed)
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_picture(folder / "in.zarr")
        started = time.monotonic()
        finish(start(source, folder / "whole.ome.zarr"))
        seconds = time.monotonic() - started
        expected = contents(folder / "whole.ome.zarr")
        print(f"unbroken: {len(expected)} files, {seconds:.1f} s")
        for number in range(1, given.rounds + 1):
            out = folder / "out.ome.zarr"
            run = with_dead_workers if given.workers else with_kills
            told = run(source, out, moments, seconds)
            is_same = contents(out) == expected and not list(folder.glob("*.partial"))
            failures += not is_same
            print(f"round {number}: {told}: {'identical' if is_same else 'DIFFERENT'}")
            shutil.rmtree(out)
    sys.exit(failures)


def with_kills(source: Path, out: Path, moments: random.Random, seconds: float) -> str:
    """Kill the program until a run survives; says how many did not."""
    kills = []
    while True:
        process = start(source, out)
        try:
            process.wait(moments.uniform(0.3, 1.1) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            marks = out.with_name(out.name + ".partial") / "marks"
            kills.append(len(list(marks.glob("block-*"))))
            continue
        finish(process)
        return f"killed {len(kills)} times, after {kills} blocks in all"


def with_dead_workers(source: Path, out: Path, moments: random.Random, seconds: float) -> str:
    """Kill one of two workers at a random moment while the program runs."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(exec, PREPARED, {})
        process = start(source, out, "--scheduler", cluster.scheduler_address)
        marks = out.with_name(out.name + ".partial") / "marks"
        wanted = moments.randint(1, 40)
        while process.poll() is None and len(list(marks.glob("block-*"))) < wanted:
            time.sleep(0.01)
        victim = moments.choice(list(client.run(os.getpid).values()))
        os.kill(victim, signal.SIGKILL)
        finish(process)
    return f"a worker killed after {wanted} of 49 blocks"


def start(source: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    """The program, under way."""
    command = ["denoise", str(source), "-o", str(out), "--tile", str(TILE), *words]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for the end, which must be a good one."""
    told, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the program failed:\n{told}")


def contents(store: Path) -> dict[str, str]:
    """Hash of each file of a store by its name."""
    return {
        str(path.relative_to(store)): hashlib.sha256(_lasting(path)).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def _lasting(path: Path) -> bytes:
    """What a file holds, but for the store's own name."""
    if path.name != "zarr.json":
        return path.read_bytes()
    values = json.loads(path.read_text())
    for image in values["attributes"].get("ome", {}).get("multiscales", []):
        image["name"] = ""
    return json.dumps(values).encode()


def write_picture(path: Path) -> Path:
    """A noisy picture."""
    import zarr
    from skimage import data

    picture = data.camera()[:SIDE, :SIDE]
    noisy = picture + np.random.default_rng(0).normal(0, 15, picture.shape)
    zarr.create_array(path, data=noisy.clip(0, 255).astype(np.uint8), chunks=(90, 90))
    return path


if __name__ == "__main__":
    main()
