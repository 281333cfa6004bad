"""Are samples in holes like pictures? Their power, whether a classifier knows them, a sheet.

    python benchmarks/fills.py DATA [--model default] [--json OUT] [--sheet PNG]

DATA holds ``natural-bench``, ``natural-train``, ``neubias-ccby`` and ``fmd-bench``. Discs of
radius 8, 16 and 24 pixels are cut out of noise-free pictures, and filled by the mean and by one
sample. The first columns have the power of the fill over the truth's, in octaves of frequency
(cycles a pixel), in the largest square inside the disc: 1 is the truth, less is blur, more is
confetti; a small disc has no lowest octave (nan). The last two have the share of discs that a
small network tells from real ones; it was trained for that on discs of other pictures
(BSD400), and 50 % is chance. It sees the disc and four pixels around.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.data import camera, immunohistochemistry
from skimage.draw import polygon2mask
from torch import nn

import napari_vae_restore as vr

Image = NDArray[np.float32]
Patches = NDArray[np.float32]  # (n, side, side)

RADII = (8, 16, 24)
SIDE = 256
GAP = 6  # pixels between discs, and from the border
AROUND = 4  # pixels that the classifier sees around a disc
OCTAVES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # upper ends of the bands, cycles a pixel
N_TRAINED = 120  # pictures that the classifier learns from
STEPS, BATCH = 400, 64
FILLS = ("mean", "sample")
# The sheet's fluorescence and electron microscopy, (256, 256) or larger.
SHEET = ("xy_8bit__nup.tif", "xy_8bit__em_mitochondria_er.tif")
PLACES = ((50, 50), (70, 170), (170, 110))  # of the sheet's discs
POLYGON = np.array([(215, 20), (235, 90), (222, 180), (245, 240), (205, 200), (205, 60)])


def main() -> None:
    """Print the table; write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, help="pictures of each set at most")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    asked = parser.parse_args()
    torch.manual_seed(0)
    model = asked.model if asked.model == "default" else vr.load(asked.model)
    figures = {f"radius {radius}": measured(asked, model, radius) for radius in RADII}
    names = list(next(iter(figures.values())))
    print("| | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names))
    for row, columns in figures.items():
        print(f"| {row} | " + " | ".join(f"{columns[name]:.2f}" for name in names) + " |")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))
    if asked.sheet:
        iio.imwrite(asked.sheet, sheet(asked.data, model))


def measured(asked: argparse.Namespace, model: str | vr.Model, radius: int) -> dict[str, float]:
    """Power per octave of both fills, and the classifier's share of right answers."""
    folder = asked.data / "natural-train"
    trained = list(crops(sorted(folder.rglob("*.png")), asked.limit or N_TRAINED))
    tested = list(crops(test_files(asked.data), asked.limit))
    real, *filled = discs(tested, model, radius)
    columns = {}
    for name, patches in zip(FILLS, filled, strict=True):
        for top, ratio in zip(
            OCTAVES, powers(patches, radius) / powers(real, radius), strict=True
        ):
            columns[f"{name}, to {top:g}"] = float(ratio)
    known_real, *known_filled = discs(trained, model, radius)
    for name, known, patches in zip(FILLS, known_filled, filled, strict=True):
        columns[f"{name} known, %"] = 100 * told_apart((known_real, known), (real, patches))
    return columns


def test_files(data: Path) -> list[Path]:
    """Set12 and FMD's references."""
    files = sorted((data / "natural-bench" / "Set12").glob("*.png"))
    return files + sorted((data / "fmd-bench" / "gt").glob("*.png"))


def crops(files: list[Path], limit: int | None) -> Iterator[Image]:
    """Centre crops (256, 256) or smaller, 0 to 255, of pictures that are large enough."""
    for path in files[:limit]:
        plane = iio.imread(path).astype(np.float32)
        if plane.ndim == 3:
            plane = plane[..., :3].mean(-1)
        if min(plane.shape) < 2 * (RADII[-1] + GAP):
            continue
        yield centre(plane)


def centres(shape: tuple[int, ...], radius: int) -> list[tuple[int, int]]:
    """Places of discs on a grid, as many as fit with a gap, up to nine."""
    step = 2 * (radius + GAP)
    rows, columns = (
        np.linspace(step // 2, n - 1 - step // 2, min(3, n // step)).round().astype(int)
        for n in shape
    )
    return [(int(y), int(x)) for y in rows for x in columns]


def discs(pictures: list[Image], model: str | vr.Model, radius: int) -> list[Patches]:
    """Squares around discs: the truth's, the mean's and a sample's, each (n, side, side)."""
    half = radius + AROUND
    found: list[list[Image]] = [[], [], []]
    for number, clean in enumerate(pictures):
        y, x = np.indices(clean.shape)
        places = centres(clean.shape, radius)
        missing = np.zeros(clean.shape, bool)
        for cy, cx in places:
            missing |= np.hypot(y - cy, x - cx) <= radius
        given = np.where(missing, 0, clean)
        fills = [vr.inpaint(given, missing, model=model, fill=f, seed=number) for f in FILLS]
        for patches, whole in zip(found, [clean, *(f.mean for f in fills)], strict=True):
            patches += [
                np.asarray(whole, np.float32)[
                    cy - half : cy + half + 1, cx - half : cx + half + 1
                ]
                for cy, cx in places
            ]
    return [np.stack(patches) for patches in found]


def powers(patches: Patches, radius: int) -> NDArray[np.float64]:
    """Mean power in each octave of the largest square inside the discs."""
    side = int(radius * np.sqrt(2)) // 2 * 2
    start = (patches.shape[1] - side) // 2
    inside = patches[:, start : start + side, start : start + side].astype(np.float64)
    inside = inside - inside.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(side + 2)[1:-1]
    spectrum = np.abs(np.fft.fft2(inside * np.outer(window, window))) ** 2
    mean = spectrum.mean(axis=0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    edges = [0.0, *OCTAVES]
    bands = [(frequency > low) & (frequency <= top) for low, top in pairwise(edges)]
    return np.array([mean[band].mean() if band.any() else np.nan for band in bands])


class Classifier(nn.Sequential):
    """A small network: real or filled?"""

    def __init__(self) -> None:
        widths = (1, 24, 48, 64)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))


def told_apart(known: tuple[Patches, Patches], tested: tuple[Patches, Patches]) -> float:
    """Share of right answers on the tested real and filled discs."""
    x, y = labelled(*known)
    network, rng = Classifier(), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = torch.from_numpy(rng.choice(len(x), min(BATCH, len(x)), replace=False))
        part, label = x[chosen], y[chosen]
        if rng.random() < 0.5:
            part = part.flip(-1)
        part = torch.rot90(part, int(rng.integers(4)), (-2, -1))
        loss = nn.functional.binary_cross_entropy_with_logits(network(part)[:, 0], label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    x, y = labelled(*tested)
    with torch.inference_mode():
        return float(((network.eval()(x)[:, 0] > 0) == (y > 0.5)).float().mean())


def labelled(real: Patches, filled: Patches) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches at one brightness and contrast, by what surrounds the disc; 1 = filled."""
    rim = np.ones(real.shape[1:], bool)
    rim[AROUND:-AROUND, AROUND:-AROUND] = False
    mean = real[:, rim].mean(axis=1)[:, None, None]
    std = real[:, rim].std(axis=1)[:, None, None] + 4
    x = np.concatenate([(real - mean) / std, (filled - mean) / std])[:, None]
    y = np.repeat([0.0, 1.0], len(real)).astype(np.float32)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


def sheet(data: Path, model: str | vr.Model) -> NDArray[np.uint8]:
    """Rows of pictures; columns: given, mean, two samples, truth."""
    tissue, photograph = immunohistochemistry()[..., 0], camera()
    others = [vr.read_image(data / "neubias-ccby" / name).data for name in SHEET]
    rows = []
    for plane in (tissue, *others, photograph):
        low, high = np.percentile(plane, (0.2, 99.8))
        clean = centre(255 * ((plane - low) / (high - low)).clip(0, 1))
        missing = polygon2mask(clean.shape, POLYGON)
        y, x = np.indices(clean.shape)
        for radius, (cy, cx) in zip(RADII, PLACES, strict=True):
            missing |= np.hypot(y - cy, x - cx) <= radius
        given = np.where(missing, 0, clean)
        fills = [("mean", 0), ("sample", 0), ("sample", 1)]
        drawn = [vr.inpaint(given, missing, model=model, fill=f, seed=s).mean for f, s in fills]
        rows.append(np.hstack([given, *drawn, clean]))
    return np.vstack(rows).clip(0, 255).astype(np.uint8)


def centre(plane: Image) -> Image:
    """The centre, (256, 256) or smaller."""
    top, left = ((n - min(n, SIDE)) // 2 for n in plane.shape)
    return plane[top : top + SIDE, left : left + SIDE]


if __name__ == "__main__":
    main()
