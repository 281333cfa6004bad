"""Does denoising ever take more than it gives? Gains over the measurement, and the worst.

    python benchmarks/no_harm.py DATA [--side 256] [--only KIND ...] [--json OUT]

DATA holds ``natural-bench``, ``fmd-bench`` and ``neubias-ccby``. Centre crops of Set12, of the
first field of seven FMD scenes and of every picture of neubias get noise of 0.25 to 25 of 255
of their range: white, Poisson-Gaussian (as strong as that in the middle of the range) and
correlated between neighbours by 0.6. The noise is told, or estimated from the image. Gains are
in dB of the squared error against the picture before the noise.

A picture has noise of its own, which an estimate finds and a told level leaves alone. So for
estimates a second table leaves out the cells in which the picture's own noise, as the estimate
before any was added says, is more than a third of what was added: there the truth is unknown.
Few grey levels hide that noise from the estimate, so they are dithered by one step for it. A
hot pixel of the picture is no truth either, and is replaced by its neighbours' median before.

``network`` is the network's answer alone, without the decision by risk.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, median_filter

import napari_vae_restore as vr
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.restoration.inference.blend import Blend

Image = NDArray[np.float32]

SIGMAS = (0.25, 0.5, 1, 2, 3, 5, 10, 25)
KINDS = ("white", "photons", "correlated")
OWN_NOISE = 1 / 3
LEAST_RANGE = 8  # grey levels; less is no picture
HOT = 255


@dataclass(frozen=True)
class Cell:
    """One picture with one noise: gains in dB."""

    kind: str
    sigma: float
    picture: str
    told: float
    network: float
    estimated: float | None
    own: float


def pictures(data: Path, side: int) -> Iterator[tuple[str, Image]]:
    """Names and centre crops, 0 to 255."""
    files = sorted((data / "natural-bench" / "Set12").iterdir())
    files += sorted((data / "fmd-bench" / "gt").glob("*.png"))
    files += sorted((data / "neubias-ccby").glob("*.tif"))
    for path in files:
        if path.suffix not in (".png", ".tif"):
            continue
        image = vr.read_image(path)
        plane = image.data
        for letter in image.axes:
            if letter not in "YX":
                axis = image.axes.index(letter) if plane.ndim == len(image.axes) else 0
                plane = np.moveaxis(plane, axis, 0)[plane.shape[axis] // 2][None]
        plane = np.squeeze(plane).astype(np.float64)
        if plane.ndim != 2 or min(plane.shape) < 40:
            continue
        top, left = ((n - min(n, side)) // 2 for n in plane.shape)
        plane = plane[top : top + side, left : left + side]
        low, high = np.percentile(plane, (0.1, 99.9))
        if high - low > LEAST_RANGE:
            ranged = (plane - low) * 255 / (high - low)
            yield path.stem, without_hot_pixels(ranged).astype(np.float32)


def without_hot_pixels(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels that rise above all of their neighbours by the whole range, mended."""
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    is_hot = plane - maximum_filter(plane, footprint=around) > HOT
    return np.where(is_hot, median_filter(plane, 3), plane)


def noise_of(kind: str, sigma: float) -> vr.NoiseModel:
    """As strong as `sigma` in the middle of the range."""
    if kind == "photons":
        a = sigma**2 / 127.5 * 0.9
        return vr.PoissonGaussianNoise(a, 0.1 * sigma**2)
    return vr.parse_noise(f"gaussian:{sigma}" + ("@0.6,0.6" if kind == "correlated" else ""))


def error(image: Image, truth: Image) -> float:
    return float(np.mean(np.square(image.astype(np.float64) - truth)))


def gain(restored: Image, noisy: Image, truth: Image) -> float:
    return float(10 * np.log10(error(noisy, truth) / max(error(restored, truth), 1e-12)))


def own_noise(truth: Image) -> vr.NoiseModel | None:
    """What the estimate finds before any noise is added; None where it finds nothing."""
    step = float(np.diff(np.unique(truth)).min())
    dither = np.random.default_rng(1).uniform(-step / 2, step / 2, truth.shape)
    for image in (truth, (truth + dither).astype(np.float32)):
        try:
            return estimate_noise(image)
        except vr.VAERestoreError:
            continue
    return None


def relative(own: vr.NoiseModel | None, added: vr.NoiseModel, truth: Image) -> float:
    """The picture's own noise over the added one, where that is greatest."""
    if own is None:
        return 0.0
    levels = np.percentile(truth, (5, 50, 95, 99))
    return float(np.sqrt((own.variance(levels) / added.variance(levels)).max()))


def measure(
    name: str, truth: Image, kind: str, sigma: float, own: vr.NoiseModel | None
) -> Cell:
    noise = noise_of(kind, sigma)
    noisy = noise.sample(truth, np.random.default_rng(0)).astype(np.float32)
    told = vr.denoise(noisy, noise=noise).mean
    with mock.patch.object(Blend, "decide", return_value=None):
        network = vr.denoise(noisy, noise=noise).mean
    try:
        estimated = gain(vr.denoise(noisy).mean, noisy, truth)
    except vr.VAERestoreError:  # a refusal in words does no harm
        estimated = None
    return Cell(
        kind,
        sigma,
        name,
        gain(told, noisy, truth),
        gain(network, noisy, truth),
        estimated,
        relative(own, noise, truth),
    )


def report(cells: list[Cell]) -> None:
    """Mean and worst of every kind and level."""
    groups: dict[tuple[str, float], list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.kind, cell.sigma].append(cell)
    print("\n| noise | σ | n | network | worst | told | worst | | estimated | worst | |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (kind, sigma), found in groups.items():
        worst = min(found, key=lambda cell: cell.told)
        network = [cell.network for cell in found]
        known = [c for c in found if c.estimated is not None and c.own <= OWN_NOISE]
        row = (
            f"| {kind} | {sigma} | {len(found)} | {np.mean(network):.2f} | {min(network):.2f} "
        )
        row += f"| {np.mean([cell.told for cell in found]):.2f} | {worst.told:.2f} "
        row += f"| {worst.picture} "
        if known:
            least = min(known, key=lambda cell: cell.estimated)
            mean = np.mean([cell.estimated for cell in known])
            row += (
                f"| {mean:.2f} (n = {len(known)}) | {least.estimated:.2f} | {least.picture} |"
            )
        else:
            row += "| – | – | |"
        print(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--only", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--sigmas", nargs="*", type=float, default=SIGMAS)
    parser.add_argument("--every", type=int, default=1, help="take each n-th picture")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = []
    for name, truth in list(pictures(options.data, options.side))[:: options.every]:
        own = own_noise(truth)
        cells += [
            measure(name, truth, kind, sigma, own)
            for kind in options.only
            for sigma in options.sigmas
        ]
    report(cells)
    if options.json:
        options.json.write_text(json.dumps([asdict(cell) for cell in cells]))


if __name__ == "__main__":
    main()
