"""Train the weights that come with the package, from a folder of clean pictures.

    python benchmarks/train_bundled.py PICTURES -o FOLDER [--budget 3h] [--start MODEL]
    python benchmarks/train_bundled.py PICTURES -o FOLDER --only-calibrate

PICTURES is what ``collect_pictures.py`` fills. FOLDER gets ``run.safetensors``, the
checkpoint, and at the end ``default.safetensors`` with its checksum and ``pictures.md``,
the table of the pictures for the model card. Ctrl-C stops after the step under way; the
same command goes on from there, as it does after a power cut.

``--condition benchmarks/bundled_model/condition.safetensors`` begins with the encoder and mean
head of the second model as far as they are: 6 400 steps, 62 minutes of one core. They are no
finished model: half a decibel behind the bundled one.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter

import napari_vae_restore as vr
from bundled_model.picture_table import MANIFEST, Entry, read_pictures, read_table
from bundled_model.sample_spread import calibrate
from bundled_model.schedule import Plan
from bundled_model.synthetic import synthetic_pictures
from bundled_model.training import BundledTraining
from napari_vae_restore.errors import InputError, VAERestoreError
from napari_vae_restore.models.bundled import export, find_model, store_halo
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.model import build_network
from napari_vae_restore.models.ood_score import OODScore
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.restoration.blocks.familiarity import probe_image
from napari_vae_restore.restoration.blocks.halo import measure_halo
from napari_vae_restore.training.error_calibration import drawn_sigma
from napari_vae_restore.training.pictures import PatchSource, Picture
from napari_vae_restore.training.settings import parse_budget

N_SYNTHETIC, SYNTHETIC_SIDE = 45, 256
SYNTHETIC_WEIGHT = 0.2  # of them all; each kind of the manifest's pictures has 1
N_CALIBRATION, CALIBRATION_SIDE, LEAST_CONTRAST = 96, 256, 0.3
LEAST_DETAIL, COARSE = 0.1, 8  # standard deviation, of the range, of what is finer, pixels
GRAIN = (0.002, 0.012)  # of the range: pictures as they come have some, and nobody foretells it
N_LIKENESS, LIKENESS_SIDE = 400, 256
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
CONFIG = RestorationConfig(
    widths=(40, 64, 128, 160, 160),
    depths=(2, 2, 2, 1, 1),
    latent=8,
    scaled=True,
    layers=(1, 2, 3, 3, 3),
    vae_widths=(32, 48, 64, 72, 72),
)
"""74 000 multiplications a pixel for the mean; grids of 1/2 to 1/32."""
INTERRUPTED = 130  # what shells expect after Ctrl-C


def train(asked: argparse.Namespace) -> bool:
    """Train to the end, or until Ctrl-C; whether it came to the end."""
    entries, listed = read_table(asked.manifest), read_pictures(asked.pictures, asked.manifest)
    synthetic = synthetic_pictures(N_SYNTHETIC, SYNTHETIC_SIDE, SYNTHETIC_WEIGHT, asked.seed)
    asked.output.mkdir(parents=True, exist_ok=True)
    start = None if asked.start is None else find_model(asked.start)
    if asked.condition is not None:
        start = begun(asked.condition, asked.seed)
    training = BundledTraining(
        [*listed, *synthetic],
        asked.output / "run.safetensors",
        Plan(budget=parse_budget(asked.budget), seed=asked.seed),
        config=CONFIG if start is None else None,
        start=start,
        device=asked.device,
        workers=asked.workers,
    )
    stop = first_interrupt()
    with contextlib.closing(training.run()) as steps:
        for _ in steps:
            if stop.is_set():
                training.save_checkpoint()
                return False
    model = training.model
    source = PatchSource([*listed, *synthetic], training.plan.side)
    factor = calibrate(cast("RestorationVAE", model.network), source, seed=asked.seed)
    logging.getLogger(__name__).info("spread times %.2f", factor)
    model = calibrated(model, photographs(entries, listed), asked.seed)
    model = familiar(model, [*listed, *synthetic], asked.seed)
    write(model, asked.output)
    (asked.output / "pictures.md").write_text(table(entries, listed), encoding="utf-8")
    return True


def begun(condition: Path, seed: int) -> vr.Model:
    """A fresh model with the condition encoder and mean head of a file, in half precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = cast("RestorationVAE", build_network(CONFIG).eval())
    weights = {name: value.float() for name, value in load_file(condition).items()}
    network.condition.load_state_dict(weights)
    return vr.Model(network, None, None)


def photographs(entries: Sequence[Entry], pictures: Sequence[Picture]) -> list[Picture]:
    """The photographs in colour that are large enough for a part."""
    return [
        picture
        for entry, picture in zip(entries, pictures, strict=True)
        if entry.kind == "photograph"
        and picture.is_colour
        and min(picture.planes.shape[2:]) >= CALIBRATION_SIDE
    ]


def calibrated(model: vr.Model, pictures: Sequence[Picture], seed: int) -> vr.Model:
    """The model with what the spread of its samples is worth, by parts of photographs.

    By detailed ones, every other with grain: smooth and spotless ones promise too much.
    """
    weights = np.array([p.weight for p in pictures])
    rng = np.random.default_rng([seed, 6])
    clean: list[NDArray[np.float32]] = []
    while len(clean) < N_CALIBRATION:
        planes = pictures[rng.choice(len(pictures), p=weights / weights.sum())].planes
        top, left = (int(rng.integers(n - CALIBRATION_SIDE + 1)) for n in planes.shape[2:])
        rows, columns = (slice(start, start + CALIBRATION_SIDE) for start in (top, left))
        part = planes[rng.integers(len(planes)), :, rows, columns].astype(np.float32)
        grey = np.tensordot(LUMA, part, axes=1)
        contrast = float(np.ptp(np.percentile(grey, (0.1, 99.9))))
        detail = float((grey - gaussian_filter(grey, COARSE)).std())
        if contrast < LEAST_CONTRAST or detail < LEAST_DETAIL * contrast:
            continue
        if len(clean) % 2:
            grain = contrast * np.exp(rng.uniform(*np.log(GRAIN)))
            grey = grey + grain * rng.standard_normal(grey.shape)
        clean.append((255 * (grey - grey.min()) / np.ptp(grey)).astype(np.float32))
    return vr.calibrate(vr.Clean(clean), model, seed=seed)


def familiar(model: vr.Model, pictures: Sequence[Picture], seed: int) -> vr.Model:
    """The model with what its pictures, noise added, look like to it."""
    source = PatchSource(pictures, LIKENESS_SIDE)
    rng = np.random.default_rng([seed, 7])
    found: list[NDArray[np.float32]] = []
    for _ in range(N_LIKENESS):
        clean = 255 * source.draw(rng)
        noise = vr.GaussianNoise(drawn_sigma(clean, rng))
        noisy = noise.sample(clean, rng).astype(np.float32)
        with contextlib.suppress(InputError):  # noise that cannot be estimated
            found += probe_image(
                noisy, model, vr.Denoise(), axes="YX", device="cpu"
            ).descriptions
    return replace(model, ood_score=OODScore.fit(found))


def calibrate_only(asked: argparse.Namespace) -> None:
    """Export the bundled model again with calibration and likeness by its pictures."""
    entries = read_table(asked.manifest)
    pictures = read_pictures(asked.pictures, asked.manifest)
    synthetic = synthetic_pictures(N_SYNTHETIC, SYNTHETIC_SIDE, SYNTHETIC_WEIGHT, asked.seed)
    asked.output.mkdir(parents=True, exist_ok=True)
    model = calibrated(find_model("default"), photographs(entries, pictures), asked.seed)
    write(familiar(model, [*pictures, *synthetic], asked.seed), asked.output)


def write(model: vr.Model, folder: Path) -> None:
    """Weights, checksum, and the halo of what was written."""
    written = find_model(export(model, folder))
    store_halo(written, measure_halo(written), folder)


def first_interrupt() -> threading.Event:
    """An event that the first Ctrl-C sets; the second one stops at once."""
    stop = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    return stop


def table(entries: Sequence[Entry], pictures: Sequence[Picture]) -> str:
    """What was read, as a Markdown table and a line on the synthetic pictures."""
    lines = [
        ["source", "file", "licence", "author", "planes", "pixels of each, as read"],
        ["---", "---", "---", "---", "---:", "---:"],
    ]
    for entry, picture in zip(entries, pictures, strict=True):
        n, channels, height, width = picture.planes.shape
        planes = f"{n} × {channels}" if channels > 1 else f"{n}"
        told = [entry.source, entry.path, entry.licence, entry.author or "–"]
        cells = (cell.replace("|", r"\|") for cell in told)
        lines.append([*cells, planes, f"{height} × {width}"])
    share = SYNTHETIC_WEIGHT / (SYNTHETIC_WEIGHT + sum(p.weight for p in pictures))
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in lines)
        + f"\n\nAnd {N_SYNTHETIC} synthetic pictures (dead leaves, filaments, blobs) of "
        f"{SYNTHETIC_SIDE} × {SYNTHETIC_SIDE} pixels, {share:.0%} of the patches.\n"
    )


def main() -> None:
    """Train, and say on stderr how it goes and how to go on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, help="folder that collect_pictures.py filled")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="list of pictures")
    parser.add_argument("--budget", default="30h", help="time of all stages: 90min, 30h")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", metavar="MODEL", help="weights to go on from, or default")
    parser.add_argument("--condition", type=Path, help="encoder and mean head to go on from")
    parser.add_argument(
        "--only-calibrate", action="store_true", help="the weights stay as they are bundled"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s")
    try:
        if asked.only_calibrate:
            calibrate_only(asked)
        finished = asked.only_calibrate or train(asked)
    except (VAERestoreError, OSError) as error:
        sys.exit(f"error: {error}")
    if not finished:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(asked.output / "default.safetensors")


if __name__ == "__main__":
    main()
