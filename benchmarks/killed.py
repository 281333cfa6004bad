"""Kill the program at random moments, run it again, and compare with an unbroken run.

A training, a batch, a restoration into OME-Zarr and a compression are ended by ``kill -9``,
each round at another moment between their first and their last; what bears the target's
name is looked at, the same command (of a training: with ``--resume``) is run again, and the
result is compared with that of an unbroken run, file by file. Then workers of a dask
scheduler are killed while they compute::

    python benchmarks/killed.py --rounds 20 --workers 10

The program waits a little before each file gets its name, so that many kills hit that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.models.files import load_checkpoint
from warm import Warm

SIDE, TILE = 400, 64
N_FILES = 8

# A picture of 400² pixels is taken for a large one of 49 blocks with a short halo.
BLOCKS = """
from napari_vae_restore.restoration.blocks import parts, plan
parts.measured_halo = lambda model: 16
plan.PLANE_PIXELS = 2**12
"""
# A network of milliseconds a step, and a checkpoint each third of a second.
PREPARED = f"""{BLOCKS}
import os, time
from napari_vae_restore import HVAEConfig
from napari_vae_restore.images import atomic
from napari_vae_restore.cli import runs
from napari_vae_restore.training import supervision
supervision.HVAEConfig = lambda: HVAEConfig(levels=2, width=8, latent=4)
runs.SAVE_SECONDS, runs.MAX_SAVE_SHARE = 0.3, 1.0
def slow(path, flush=atomic._flush):
    time.sleep(0.002 if path.parent.name == "marks" else 0.15)
    flush(path)
atomic._flush = slow
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that is killed.

    Attributes
    ----------
    name : str
        In the table.
    words : Callable
        The command, given the folder of the pictures and the target.
    target : str
        The target's name.
    is_whole : Callable
        Whether what bears the target's name after a kill is what it was before, or what an
        unbroken run writes, given target and the unbroken run's.
    has_old : bool
        Whether there is a target before, which the command replaces.
    can_resume : bool
        Whether the second command says that it resumes.
    """

    name: str
    words: Callable[[Path, Path], list[object]]
    target: str
    is_whole: Callable[[Path, Path], bool]
    has_old: bool = False
    can_resume: bool = False


def contents(path: Path) -> dict[str, str]:
    """Hash of each file of a folder, or of a file; of a model what it computes."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path)): _hash(file) for file in files if file.is_file()}


def _hash(file: Path) -> str:
    if file.suffix == ".safetensors":
        model = vr.load(file)
        return f"{model.sha256} {model.record.held_out}"
    lasting = file.read_bytes()
    if file.name == "zarr.json":  # but for the store's own name
        values = json.loads(lasting)
        for image in values["attributes"].get("ome", {}).get("multiscales", []):
            image["name"] = ""
        lasting = json.dumps(values).encode()
    return hashlib.sha256(lasting).hexdigest()


def _is_model(target: Path, whole: Path) -> bool:
    """Absent, or read without an error."""
    try:
        return not target.exists() or bool(vr.load(target))
    except vr.ModelFileError:
        return False


def _are_some(target: Path, whole: Path) -> bool:
    """Each file that is there is as in the unbroken run, but for hidden temporaries."""
    expected = contents(whole)
    found = {} if not target.exists() else contents(target)
    return all(expected.get(k) == v for k, v in found.items() if k[0] != ".")


def _is_old_or_new(target: Path, whole: Path) -> bool:
    return target.read_bytes() == OLD or contents(target) == contents(whole)


def _is_absent_or_new(target: Path, whole: Path) -> bool:
    return not target.exists() or contents(target) == contents(whole)


OLD = b"what was there before"
NOISE = ["--noise", "gaussian:15"]
STEPS = ["--steps", "60"]
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "training",
            lambda folder, out: ["train", folder / "small.tif", *NOISE, "-o", out, *STEPS],
            "out.safetensors",
            _is_model,
            can_resume=True,
        ),
        Kind(
            "batch",
            lambda folder, out: ["denoise", folder / "many", "-o", out, *NOISE],
            "out",
            _are_some,
        ),
        Kind(
            "OME-Zarr",
            lambda folder, out: ["denoise", folder / "in.zarr", "-o", out, "--tile", TILE],
            "out.ome.zarr",
            _is_absent_or_new,
        ),
        Kind(
            "compress",
            lambda folder, out: ["compress", folder / "small.tif", "-o", out, "--overwrite"],
            "out.vaec",
            _is_old_or_new,
            has_old=True,
        ),
    )
}


@dataclass(slots=True)
class Tally:
    """What became of the rounds of one kind.

    Attributes
    ----------
    kills, while_writing : int
        All, and those that hit a file between its first byte and its name.
    torn, other, left : int
        Rounds after whose kill a target was neither the old one nor the new one; after
        whose second run it was not that of the unbroken run; or something else was left.
    seconds : float
        For all.
    """

    kills: int = 0
    while_writing: int = 0
    torn: int = 0
    other: int = 0
    left: int = 0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.torn or self.other or self.left)


def kill_rounds(
    warm: Warm, kind: Kind, folder: Path, n_rounds: int, moments: random.Random
) -> Tally:
    """Kill, look, run again and compare, as many times.

    Parameters
    ----------
    warm : Warm
        Starts the program.
    kind : Kind
        What is killed.
    folder : Path
        As `write_pictures` fills it.
    n_rounds : int
        Kills.
    moments : random.Random
        Draws when.
    """
    began, tally = time.monotonic(), Tally()
    whole = folder / f"whole-{kind.target}"
    seconds = warm.seconds(kind.words(folder, whole), PREPARED)
    while tally.kills < n_rounds:
        place = folder / "round"
        place.mkdir()
        target = place / kind.target
        if kind.has_old:
            target.write_bytes(OLD)
        words = kind.words(folder, target)
        run = warm.start(words, PREPARED)
        time.sleep(moments.uniform(0, seconds))
        run.send(signal.SIGKILL)
        if run.wait() == -signal.SIGKILL:
            tally.kills += 1
            # The marks of a store are files too; what Zarr writes ends in .partial.
            tally.while_writing += bool(temporaries(place))
            tally.torn += not kind.is_whole(target, whole)
            if kind.can_resume and is_checkpoint(target):
                words = [*words[: -len(STEPS)], "--resume", target, "--overwrite"]
            elif kind.can_resume:
                words += ["--overwrite"]
            warm.seconds(words, PREPARED)
            tally.other += contents(target) != contents(whole)
            tally.left += bool(temporaries(place) + list(place.glob("*.partial")))
        shutil.rmtree(place)
    tally.seconds = time.monotonic() - began
    return tally


def is_checkpoint(path: Path) -> bool:
    """Whether a training can go on from a file; else it is not there, or complete."""
    if not path.exists():
        return False
    try:
        load_checkpoint(path)
    except vr.ModelFileError:
        return False
    return True


def temporaries(place: Path) -> list[Path]:
    """Files that have not got their names."""
    return list(place.rglob(".*.tmp"))


def kill_workers(warm: Warm, folder: Path, n_rounds: int, moments: random.Random) -> Tally:
    """The same with one of two workers of dask, and not the program that they work for."""
    from distributed import Client, LocalCluster

    began, tally = time.monotonic(), Tally()
    kind = KINDS["OME-Zarr"]
    whole = folder / f"whole-{kind.target}"
    if not whole.exists():
        warm.seconds(kind.words(folder, whole), PREPARED)
    place = folder / "round"
    target = place / kind.target
    marks = target.with_name(f"{target.name}.partial") / "marks"
    while tally.kills < n_rounds:
        place.mkdir()
        wanted = moments.randint(1, 40)
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
            ) as cluster,
            Client(cluster) as client,
        ):
            client.run(exec, BLOCKS, {})
            words = [*kind.words(folder, target), "--scheduler", cluster.scheduler_address]
            run = warm.start(words, PREPARED)
            while not run.has_ended and len(list(marks.glob("block-*"))) < wanted:
                time.sleep(0.005)
            victim = moments.choice(list(client.run(os.getpid).values()))
            if not run.has_ended:
                os.kill(victim, signal.SIGKILL)
                tally.kills += 1
            if run.wait():
                raise SystemExit(f"the program failed:\n{run.told}")
        tally.other += contents(target) != contents(whole)
        tally.left += bool(temporaries(place) + list(place.glob("*.partial")))
        shutil.rmtree(place)
    tally.seconds = time.monotonic() - began
    return tally


def write_pictures(folder: Path, side: int = SIDE, n_files: int = N_FILES) -> None:
    """A small noisy picture, a folder of some, and a large one as Zarr."""
    import zarr
    from skimage import data

    picture = data.camera()[:side, :side]
    noisy = picture + np.random.default_rng(0).normal(0, 15, picture.shape)
    noisy = noisy.clip(0, 255).astype(np.uint8)
    zarr.create_array(folder / "in.zarr", data=noisy, chunks=(90, 90))
    write_image(folder / "small.tif", noisy[100:196, 100:196], "YX")
    (folder / "many").mkdir()
    for n in range(n_files):
        write_image(folder / "many" / f"{n}.tif", noisy[n : n + 64, :72], "YX")


def main() -> None:
    """Run the rounds; the exit status says whether anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each kind")
    parser.add_argument("--workers", type=int, default=10, help="rounds with dask's workers")
    parser.add_argument("--only", choices=[*KINDS, "workers"], help="one kind")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    print("| killed | kills | while writing | torn | not as unbroken | left over | s |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    is_good = True
    with tempfile.TemporaryDirectory() as name, Warm(Path(name)) as warm:
        folder = Path(name)
        write_pictures(folder)
        for kind in [*KINDS, "workers"]:
            if given.only not in (None, kind):
                continue
            moments = random.Random(f"{given.seed} {kind}")
            if kind == "workers":
                found = kill_workers(warm, folder, given.workers, moments)
            else:
                found = kill_rounds(warm, KINDS[kind], folder, given.rounds, moments)
            numbers = found.kills, found.while_writing, found.torn, found.other, found.left
            row = " | ".join(map(str, numbers))
            print(f"| {kind} | {row} | {found.seconds:.0f} |", flush=True)
            is_good &= found.is_good
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
