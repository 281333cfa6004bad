"""Do intervals cover what they say? On pictures that nothing was fitted to.

    python benchmarks/calibration.py DATA [--side 256] [--limit N] [--svg FILE]

Denoising: Set12 with white noise (little noise is told, since the pictures have some of their
own), and the 28 captures of FMD as they are. Holes: Set12, two of each kind of hole, and with
noise. Super-resolution: Set14, by 2 and 4, and Set12 with noise. 16 samples, the middle of each
picture. Printed are the share of pixels within nominal intervals of 50, 80, 90 and 95 %,
and, for tenths of the pixels by their expected error, the error found over that expected.

FMD's references are means of 50 captures: they have noise of their own (a seventh of the
capture's), and many have bleached or drifted. "own scale" takes the reference to the
capture's brightness, and takes its noise into account; see ``protocols.on_scale_of``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

import napari_vae_restore as vr
from adapting import pairs
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.training.holes import draw_hole
from protocols import on_scale_of

Image = NDArray[np.float64]
LEVELS = (0.5, 0.8, 0.9, 0.95)
N_SAMPLES = 16
CAPTURES = 50
LUMA = np.array([0.299, 0.587, 0.114])
TENTHS = 10
LITTLE = 15


def grey(path: Path, side: int) -> Image:
    image = iio.imread(path).astype(np.float64)
    return middle(image if image.ndim == 2 else image[..., :3] @ LUMA, side)


def middle(image: Image, side: int) -> Image:
    starts = [max(0, (length - side) // 2) for length in image.shape]
    rows, columns = (slice(start, start + side) for start in starts)
    return image[rows, columns]


class Tally:
    """Pixels of one row of the table."""

    def __init__(self) -> None:
        self.inside = np.zeros(len(LEVELS))
        self.n = 0
        self.expected: list[Image] = []
        self.found: list[Image] = []

    def add(
        self,
        out: vr.Restoration,
        truth: Image,
        where: NDArray[np.bool_] | None = None,
        noise: Image | float = 0.0,
    ) -> None:
        """Count a picture; `noise` is the standard deviation of the truth's own."""
        chosen = np.ones(truth.shape, bool) if where is None else where
        error = (out.mean - truth)[chosen]
        expected = np.hypot(out.expected_error(), noise)[chosen]
        for i, level in enumerate(LEVELS):
            low, high = out.interval(level)
            half = ((high - low) / 2)[chosen]
            widened = half * expected / np.maximum(out.expected_error()[chosen], 1e-12)
            self.inside[i] += (np.abs(error) <= widened).sum()
        self.n += error.size
        self.expected.append(expected)
        self.found.append(error)

    def row(self) -> str:
        expected, found = (np.concatenate(parts) for parts in (self.expected, self.found))
        tenths = np.array_split(np.argsort(expected), TENTHS)
        ratios = [
            math.sqrt(np.square(found[i]).mean() / np.square(expected[i]).mean())
            for i in tenths
        ]
        covered = " ".join(f"{share:6.1%}" for share in self.inside / self.n)
        return f"{covered}   {' '.join(f'{ratio:.2f}' for ratio in ratios)}"


def denoising(data: Path, side: int, limit: int | None) -> Iterator[tuple[str, Tally]]:
    rng = np.random.default_rng(0)
    files = sorted((data / "natural-bench" / "Set12").glob("*"))[:limit]
    for sigma in (1, 5, 15, 25, 50):
        tally = Tally()
        noise = f"gaussian:{sigma}" if sigma < LITTLE else None
        for clean in (grey(path, side) for path in files):
            noisy = (clean + rng.normal(0, sigma, clean.shape)).astype(np.float32)
            tally.add(vr.denoise(noisy, noise=noise, n_samples=N_SAMPLES), clean)
        yield f"Set12, sigma {sigma}", tally
    plain, own = Tally(), Tally()
    for _, capture, reference in pairs(data / "fmd-bench", "raw")[:limit]:
        noisy, clean = middle(capture, side), middle(reference, side)
        out = vr.denoise(noisy.astype(np.float32), n_samples=N_SAMPLES)
        plain.add(out, clean)
        (model,) = out.diagnostics.noise
        of_reference = np.sqrt(model.variance(out.mean.astype(float)) / CAPTURES)
        own.add(out, middle(on_scale_of(capture, reference), side), noise=of_reference)
    yield "FMD raw", plain
    yield "FMD raw, own scale", own


def holes(data: Path, side: int, limit: int | None) -> Iterator[tuple[str, Tally]]:
    tallies: dict[str, Tally] = {"lines": Tally(), "discs": Tally(), "dots": Tally()}
    rng = np.random.default_rng(0)
    files = sorted((data / "natural-bench" / "Set12").glob("*"))[:limit]
    for clean in (grey(path, side) for path in files):
        missing = dict.fromkeys(tallies, 2)
        while any(missing.values()):
            hole, kind = draw_hole(min(clean.shape), rng)
            if not missing.get(kind):
                continue
            missing[kind] -= 1
            mask = np.zeros(clean.shape, bool)
            mask[: len(hole), : len(hole)] = hole
            out = vr.inpaint(clean.astype(np.float32), mask, n_samples=N_SAMPLES)
            tallies[kind].add(out, clean, mask)
    for kind, tally in tallies.items():
        yield f"Set12, {kind}", tally


def enlarging(data: Path, side: int, limit: int | None) -> Iterator[tuple[str, Tally]]:
    files = sorted((data / "natural-bench" / "Set14").glob("*.png"))[:limit]
    for factor in (2, 4):
        tally = Tally()
        for clean in (grey(path, side) for path in files):
            height, width = (length // factor * factor for length in clean.shape)
            large = clean[:height, :width].astype(np.float32)
            out = vr.super_resolve(
                Downsampling(factor).apply(large), factor, n_samples=N_SAMPLES
            )
            tally.add(out, large)
        yield f"Set14, x{factor}", tally


def mixtures(data: Path, side: int, limit: int | None) -> Iterator[tuple[str, Tally]]:
    """Noise with holes, whose inside counts apart, and noise with enlargement."""
    rng = np.random.default_rng(0)
    files = sorted((data / "natural-bench" / "Set12").glob("*"))[:limit]
    for sigma in (5, 25):
        noise = vr.Denoise(f"gaussian:{sigma}")
        inside, outside, enlarged = Tally(), Tally(), Tally()
        for clean in (grey(path, side) for path in files):
            noisy = (clean + rng.normal(0, sigma, clean.shape)).astype(np.float32)
            for wanted in ("lines", "discs"):
                hole, kind = draw_hole(min(clean.shape), rng)
                while kind != wanted:
                    hole, kind = draw_hole(min(clean.shape), rng)
                mask = np.zeros(clean.shape, bool)
                mask[: len(hole), : len(hole)] = hole
                out = vr.restore(noisy, [noise, vr.Inpaint(mask)], n_samples=N_SAMPLES)
                inside.add(out, clean, mask)
                outside.add(out, clean, ~mask)
            height, width = (length // 2 * 2 for length in clean.shape)
            small = Downsampling(2).apply(clean[:height, :width])
            small = (small + rng.normal(0, sigma, small.shape)).astype(np.float32)
            out = vr.restore(small, [noise, vr.SuperResolve(2)], n_samples=N_SAMPLES)
            enlarged.add(out, clean[:height, :width])
        yield f"sigma {sigma}, in holes", inside
        yield f"sigma {sigma}, beside", outside
        yield f"sigma {sigma}, x2", enlarged


def svg(rows: dict[str, Tally]) -> str:
    """Nominal against actual coverage, one line a row."""
    size, margin = 460, 44

    def place(share: float) -> float:
        return margin + size * (share - 0.3) / 0.7

    def flip(share: float) -> float:
        return 2 * margin + size - place(share)

    colours = ["#0072b2", "#56b4e9", "#009e73", "#d55e00", "#e69f00", "#cc79a7", "#999999"]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size + 270}" height="{size + 90}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<path d="M{place(0.3)} {flip(0.3)}L{place(1)} {flip(1)}" stroke="#bbb" '
        'stroke-dasharray="4"/>',
    ]
    for share in LEVELS:
        lines += [
            f'<text x="{place(share)}" y="{flip(0.3) + 18}" text-anchor="middle">'
            f"{share:.0%}</text>",
            f'<text x="{margin - 6}" y="{flip(share) + 4}" text-anchor="end">'
            f"{share:.0%}</text>",
        ]
    for number, (name, tally) in enumerate(rows.items()):
        colour = colours[number % len(colours)]
        dash = ' stroke-dasharray="6 3"' if number >= len(colours) else ""
        points = [
            f"{place(level):.1f} {flip(share):.1f}"
            for level, share in zip(LEVELS, tally.inside / tally.n, strict=True)
        ]
        lines += [
            f'<path d="M{" L".join(points)}" fill="none" stroke="{colour}" '
            f'stroke-width="2"{dash}/>',
            f'<path d="M{size + 70} {56 + 20 * number}h26" stroke="{colour}" '
            f'stroke-width="2"{dash}/>',
            f'<text x="{size + 104}" y="{60 + 20 * number}">{name}</text>',
        ]
    lines += [
        f'<text x="{place(0.65)}" y="{flip(0.3) + 38}" text-anchor="middle">nominal</text>',
        f'<text x="{margin}" y="24">share of pixels inside</text></svg>',
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--side", type=int, default=256, help="of the middle of each picture")
    parser.add_argument("--limit", type=int, help="pictures of each set")
    parser.add_argument("--svg", type=Path, help="plot of nominal against actual coverage")
    asked = parser.parse_args()
    print(f"{'':20}{'   50 %   80 %   90 %   95 %'}   error found / expected, by tenths")
    rows: dict[str, Tally] = {}
    for part in (denoising, holes, enlarging, mixtures):
        for name, tally in part(asked.data, asked.side, asked.limit):
            rows[name] = tally
            print(f"{name:20}{tally.row()}", flush=True)
    if asked.svg is not None:
        asked.svg.write_text(svg(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
