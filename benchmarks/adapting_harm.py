"""Does adapting ever harm? Known noise of many kinds, before and after a minute.

    python benchmarks/adapting_harm.py DATA [--budget 60 | --steps N] [--side 512]
        [--only N,N...] [--json FILE]

Thirty cells: the means of 50 captures of ``fmd-bench/gt`` and five pictures of
``neubias-ccby`` (their middle, range 255, on an offset of 100) with white, correlated and row
noise, weak and strong, of the same strength everywhere or rising with the signal as photons'
does. The bundled model is adapted to each noisy picture, and both restore it; noise is
estimated. On a busy machine a number of steps says more than a time. Printed are PSNR for a
range of 255, the gain of adapting, and what was kept. Where the picture's own noise is
stronger than what was added, whoever removes both is further from such a "truth": these cells
are printed, and not judged. The exit code is 1 if another one loses more than 0.05 dB, or
their mean gain is below 0.1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.noise.estimation.estimate import estimate_noise

Image = NDArray[np.float64]

MOST_LOST = 0.05  # dB
LEAST_MEAN = 0.1
N_CELLS = 30
OFFSET = 100.0
DARK = 10.0  # of a range of 255: variance where there is no light, in units of the slope
KINDS = ("0,0", "0.3,0.3", "0.6,0.6", "row:0.7")
SIGMAS = (8.0, 25.0)
NEUBIAS = (
    "xy_16bit__bacteria_cords_thin",
    "xy_16bit_calibrated__nuclei_various_shapes",
    "xy_8bit__PCNA",
    "xy_8bit__mitocheck_incenp_t70",
    "xy_8bit__some_spots_with_uneven_bg",
)
"""Two-dimensional ones with little noise of their own, of different kinds."""


@dataclass(frozen=True)
class Row:
    """One cell: PSNR of the noisy picture, and before and after adapting."""

    picture: str
    noise: str
    noisy: float
    bundled: float
    adapted: float
    steps: int
    note: str
    own: float
    """The picture's own noise over the added one, where that is greatest."""

    @property
    def is_judged(self) -> bool:
        return self.own <= 1

    @property
    def gain(self) -> float:
        return self.adapted - self.bundled


def pictures(data: Path, side: int) -> list[tuple[str, Image]]:
    """Names and clean pictures, range 255."""
    found = [(path.stem, path) for path in sorted((data / "fmd-bench" / "gt").glob("*.png"))]
    found += [(name, data / "neubias-ccby" / f"{name}.tif") for name in NEUBIAS]
    return [(name, ranged(iio.imread(path), side)) for name, path in found]


def ranged(image: NDArray[np.generic], side: int) -> Image:
    """The middle of a picture, its percentiles 0.1 and 99.9 at 0 and 255."""
    plane = image.astype(np.float64)
    while plane.ndim > 2:
        plane = plane[..., 0] if plane.shape[-1] <= 4 else plane[0]
    top, left = (max(0, n - side) // 2 for n in plane.shape)
    plane = plane[top : top + side, left : left + side]
    low, high = np.percentile(plane, (0.1, 99.9))
    return (plane - low) / (high - low) * 255


def cells(data: Path, side: int) -> Iterator[tuple[str, str, Image, Image, float]]:
    """Name, words of the noise, noisy and clean picture, and its own noise over the other."""
    clean = pictures(data, side)
    for number in range(N_CELLS):
        name, truth = clean[number % len(clean)]
        turn = number // len(clean)
        kind = KINDS[(number + turn) % len(KINDS)]
        sigma = SIGMAS[(number // len(KINDS) + number + turn) % 2]
        is_constant = number % 3 < 2
        noise = vr.parse_noise(f"gaussian:1@{kind}")
        unit = noise.sample(np.zeros(truth.shape), np.random.default_rng([number, 17]))
        light = truth.clip(0) + DARK
        std = sigma * (1.0 if is_constant else np.sqrt(light / light.mean()))
        words = f"{sigma:.0f}@{kind}{'' if is_constant else ' rising'}"
        yield name, words, truth + OFFSET + std * unit, truth + OFFSET, own_noise(truth, std)


def own_noise(truth: Image, std: Image | float) -> float:
    """The deviation of what looks like noise in a picture, over that of added noise."""
    try:
        found = estimate_noise(truth.astype(np.float32))
    except vr.VAERestoreError:
        return 0.0
    return float(np.percentile(np.sqrt(found.variance(truth)) / std, 99))


def psnr(image: NDArray[np.generic], truth: Image) -> float:
    return float(10 * np.log10(255**2 / np.square(image - truth).mean()))


def row_of(
    name: str, words: str, noisy: Image, truth: Image, own: float, how: dict[str, float]
) -> Row:
    y = noisy.astype(np.float32)
    before = psnr(vr.denoise(y).mean, truth)
    try:
        model = vr.adapt(y, **how)
    except vr.InputError as error:  # such noise cannot be learned from: nothing changes
        words_of_it = f"refused: {error}"[:60]
        return Row(name, words, psnr(y, truth), before, before, 0, words_of_it, own)
    record = model.record
    if record.n_steps == 0:
        return Row(name, words, psnr(y, truth), before, before, 0, "not kept", own)
    after = psnr(vr.denoise(y, model).mean, truth)
    return Row(name, words, psnr(y, truth), before, after, record.n_steps, "kept", own)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--steps", type=int, help="instead of a time")
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--only", help="numbers of cells, from 0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    how = {"steps": options.steps} if options.steps else {"budget": options.budget}
    chosen = set(map(int, options.only.split(","))) if options.only else set(range(N_CELLS))
    print(
        f"{'':3}{'picture':24}{'noise':20}{'noisy':>7}{'bundled':>9}{'adapted':>9}{'gain':>8}"
    )
    rows: list[Row] = []
    for number, cell in enumerate(cells(options.data, options.side)):
        if number not in chosen:
            continue
        started = time.monotonic()
        row = row_of(*cell, how)
        rows.append(row)
        print(
            f"{number:2} {row.picture[:23]:24}{row.noise:20}{row.noisy:7.2f}{row.bundled:9.2f}"
            f"{row.adapted:9.2f}{row.gain:+8.3f}  {row.steps} steps, {row.note}, "
            f"{time.monotonic() - started:.0f} s"
            f"{'' if row.is_judged else f', own noise {row.own:.1f} x: not judged'}",
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps([asdict(each) for each in rows], indent=1))
    gains = [row.gain for row in rows if row.is_judged]
    print(f"{len(gains)} cells are judged")
    print(f"mean {np.mean(gains):+.3f} dB, worst {min(gains):+.3f} dB")
    return int(min(gains) < -MOST_LOST or float(np.mean(gains)) < LEAST_MEAN)


if __name__ == "__main__":
    sys.exit(main())
