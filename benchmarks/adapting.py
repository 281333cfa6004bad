"""Does adapting help? Real noisy pictures, the bundled model before and after two minutes.

    python benchmarks/adapting.py DATA [--only fmd,w2s,oct] [--budget 120] [--limit N]
        [--noise2void PYTHON] [--json FILE]

FMD and OCT: a model is adapted to each picture, from nothing but that picture. W2S: one is
adapted to the sixty noisy pictures of w2s-train and used on those of w2s-bench; with
``--only w2s-pairs`` one is trained on the sixty pairs. ``--noise2void`` names the Python of
an environment with careamics, which gets the same pictures and the same wall time.

Two figures for each picture. PSNR as the sets define it: against the reference (range 255),
for W2S and OCT after the best straight line. And PSNR on the capture's own scale: many
references are means of captures that had bleached or drifted, so that even the clean signal
of the very capture would be charged; here the reference is first taken to the capture's
brightness by the mean of the noisy pixels at each of its levels.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.models.bundled import find_model
from protocols import on_scale_of

Image = NDArray[np.float64]
Score = Callable[[Image, Image], float]

MOST_LOST = 0.05  # dB that a picture may lose
NOISE2VOID = Path(__file__).with_name("noise2void.py")


@dataclass(frozen=True)
class Row:
    """One picture: PSNR of the noisy picture, and before and after, by both figures."""

    picture: str
    noisy: float
    bundled: float
    adapted: float
    bundled_own: float
    adapted_own: float
    steps: int
    noise2void: float | None = None
    noise2void_own: float | None = None

    @property
    def gain(self) -> float:
        return self.adapted - self.bundled

    @property
    def gain_own(self) -> float:
        return self.adapted_own - self.bundled_own


def psnr(image: Image, reference: Image) -> float:
    return float(10 * np.log10(255**2 / np.square(image - reference).mean()))


def fitted_psnr(image: Image, reference: Image) -> float:
    """After the straight line that suits best."""
    return psnr(np.polyval(np.polyfit(image.ravel(), reference.ravel(), 1), image), reference)


def pairs(folder: Path, level: str = "") -> list[tuple[str, Image, Image]]:
    """Names, captures and references that pairs.csv lists."""
    with (folder / "pairs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("level", "") == level]
    found = []
    for row in rows:
        images = (iio.imread(folder / row[key]).astype(np.float64) for key in ("noisy", "gt"))
        found.append((Path(row["noisy"]).stem, *images))
    return found


def noise2void(
    python: Path, train: list[Image], test: list[Image], seconds: float
) -> list[Image]:
    """What careamics' Noise2Void, trained for that long, makes of pictures."""
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / name for name in ("train.npz", "test.npz", "out.npz")]
        for name, images in zip(names[:2], (train, test), strict=True):
            np.savez(name, *[image.astype(np.float32) for image in images])
        command = [python, NOISE2VOID, *names, str(seconds), str(torch.get_num_threads())]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"Noise2Void failed:\n{done.stderr[-3000:]}")
        with np.load(names[2]) as out:
            return [out[key].astype(np.float64) for key in out.files]


def row_of(
    name: str,
    capture: Image,
    reference: Image,
    model: vr.Model,
    score: Score,
    other: Image | None,
) -> Row:
    own = on_scale_of(capture, reference)
    before, after = (
        vr.denoise(capture.astype(np.float32), used).mean.clip(0, 255).astype(np.float64)
        for used in ("default", model)
    )
    return Row(
        name,
        score(capture, reference),
        score(before, reference),
        score(after, reference),
        psnr(before, own),
        psnr(after, own),
        model.record.n_steps if model.record.start else 0,
        None if other is None else score(other.clip(0, 255), reference),
        None if other is None else psnr(other.clip(0, 255), own),
    )


def each_its_own(
    found: list[tuple[str, Image, Image]], score: Score, options: argparse.Namespace
) -> Iterator[Row]:
    for name, capture, reference in found:
        started, seconds = time.monotonic(), options.budget
        try:
            model = vr.adapt(capture.astype(np.float32), budget=options.budget)
            seconds = time.monotonic() - started
        except vr.InputError as error:  # such noise cannot be learned from: nothing changes
            print(error, flush=True)
            model = find_model("default")
        other = None
        if options.noise2void:
            (other,) = noise2void(options.noise2void, [capture], [capture], seconds)
        yield row_of(name, capture, reference, model, score, other)


def one_for_all(
    train: list[tuple[str, Image, Image]],
    test: list[tuple[str, Image, Image]],
    options: argparse.Namespace,
    *,
    supervised: bool,
) -> Iterator[Row]:
    noisy = [capture.astype(np.float32) for _, capture, _ in train]
    started = time.monotonic()
    if supervised:
        source = vr.Pairs(noisy, [reference for *_, reference in train])
        model = vr.train(source, budget=options.budget)
    else:
        model = vr.adapt(noisy, budget=options.budget)
    seconds = time.monotonic() - started
    others: list[Image | None] = [None] * len(test)
    if options.noise2void and not supervised:
        captures = [capture for _, capture, _ in test]
        others = list(noise2void(options.noise2void, noisy, captures, seconds))
    for (name, capture, reference), other in zip(test, others, strict=True):
        yield row_of(name, capture, reference, model, fitted_psnr, other)


def report(title: str, rows: Iterator[Row]) -> list[Row]:
    heads = f"{'picture':26}{'noisy':>7}{'bundled':>9}{'adapted':>9}{'gain':>7}"
    heads += f"{'own scale':>11}{'gain':>7}{'steps':>7}{'N2V':>8}{'own':>7}"
    print(f"\n{title}\n{heads}", flush=True)
    done = []
    for row in rows:
        done.append(row)
        print(line(row.picture, [row]), flush=True)
    print(line("mean", done))
    worst = min(done, key=lambda row: row.gain)
    falls = [row.picture for row in done if row.gain < -MOST_LOST]
    own = sum(row.gain_own < -MOST_LOST for row in done)
    print(f"worst: {worst.picture} {worst.gain:+.3f} dB")
    print(
        f"lose more than {MOST_LOST} dB: {len(falls)} of {len(done)}, on their own scale {own}"
    )
    return done


def line(name: str, rows: list[Row]) -> str:
    def mean(key: str) -> float:
        return float(np.mean([getattr(row, key) for row in rows]))

    text = f"{name:26}{mean('noisy'):7.2f}{mean('bundled'):9.2f}{mean('adapted'):9.2f}"
    text += f"{mean('gain'):+7.2f}{mean('bundled_own'):11.2f}{mean('gain_own'):+7.2f}"
    text += f"{mean('steps'):7.0f}"
    if rows[0].noise2void is not None:
        text += f"{mean('noise2void'):8.2f}{mean('noise2void_own'):7.2f}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="fmd,w2s,w2s-pairs,oct")
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--noise2void", type=Path, metavar="PYTHON")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    n, data = options.limit, options.data
    results = {}
    for name in options.only.split(","):
        if name == "fmd":
            found = pairs(data / "fmd-bench", "raw")
            found.sort(key=lambda pair: pair[0].rpartition("_")[::-1])
            rows = each_its_own(found[:n], psnr, options)
        elif name == "oct":
            rows = each_its_own(pairs(data / "oct-bench")[:n], fitted_psnr, options)
        else:
            train, test = (pairs(data / folder) for folder in ("w2s-train", "w2s-bench"))
            rows = one_for_all(train, test[:n], options, supervised=name == "w2s-pairs")
        results[name] = [asdict(row) for row in report(name, rows)]
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
