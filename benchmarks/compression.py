"""Rate and distortion of .vaec against JPEG, JPEG 2000 and WebP.

Clean micrographs (FMD references, each the mean of 50 captures) and the luminance of Kodak
pictures, none of which the bundled model has seen. Bits are those of whole files; PSNR has the
range 255. Every .vaec is read back, and its pixels are what is scored::

    python benchmarks/compression.py DATA -o FOLDER

where DATA holds ``fmd-bench/gt`` and ``natural-bench/Kodak24``. A picture takes ours a minute
or more, so ``--family Kodak --kodak 8 --side 384`` takes every third of them, and the middle.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import napari_vae_restore as vr

QUALITIES: Final = (5, 15, 30, 45)
LATENTS_QUALITY: Final = 20
RATES: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
JPEG_QUALITIES: Final = (1, 3, 5, 8, 12, 18, 25, 35, 50, 65, 75, 85, 92, 96)
RATIOS: Final = (4, 6, 8, 11, 16, 24, 32, 48, 64, 96, 128, 192)

Picture = NDArray[np.uint8]
Curve = list[tuple[float, float]]
Row = tuple[str, str, str, float, float]

FAMILIES: Final = ("FMD", "Kodak")

WIDTH, HEIGHT, LEFT, TOP = 340, 260, 60, 40
GRID: Final = np.geomspace(0.05, 1.5, 60)
COLOURS: Final = {"vaec": "#d95f02", "JPEG": "#1b6ca8", "JPEG 2000": "#666", "WebP": "#2a9d4f"}


def main() -> None:
    """Measure every picture, print the table and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    parser.add_argument("--family", choices=FAMILIES, help="only these pictures")
    parser.add_argument("--kodak", type=int, default=24, help="how many, at even distances")
    parser.add_argument("--side", type=int, help="of the middle, in pixels; default: all of it")
    parser.add_argument("--latents", action="store_true", help="what each level costs, and end")
    given = parser.parse_args()
    if given.latents:
        what_latents_cost(given.data)
        return
    rows: list[Row] = []
    for family, name, whole in pictures(given.data, given.kodak):
        if given.family not in (None, family):
            continue
        picture = middle(whole, given.side)
        for codec, measure in CODECS.items():
            measured = measure(picture)
            rows += [(family, name, codec, bits, decibels) for bits, decibels in measured]
        print(f"{family} {name}", flush=True)
        with (given.output / "compression.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    report(rows)
    for family in dict.fromkeys(row[0] for row in rows):
        plot(rows, family, given.output / f"compression-{family.lower()}.svg")


def pictures(data: Path, n_kodak: int) -> Iterator[tuple[str, str, Picture]]:
    """Family, name and grey picture."""
    for path in sorted((data / "fmd-bench" / "gt").glob("*.png")):
        picture = iio.imread(path)
        yield "FMD", path.stem, picture if picture.ndim == 2 else picture[..., 0]
    paths = sorted((data / "natural-bench" / "Kodak24").glob("*.png"))
    for path in paths[:: max(len(paths) // max(n_kodak, 1), 1)][:n_kodak]:
        yield "Kodak", path.stem, np.asarray(Image.open(path).convert("L"))


def middle(picture: Picture, side: int | None) -> Picture:
    """The middle square of a picture, or all of it."""
    if side is None:
        return picture
    top, left = ((length - side) // 2 for length in picture.shape)
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def ours(picture: Picture) -> Curve:
    """Of .vaec files."""
    found = []
    for quality in QUALITIES:
        data = vr.compress(picture, quality=quality)
        found.append((rate(data, picture), psnr(picture, vr.decompress(data).data)))
    return found


def what_latents_cost(data: Path) -> None:
    """Rate and PSNR with more and more levels of latents, on the middle of each micrograph."""
    for family, name, whole in pictures(data, 0):
        picture = middle(whole, 256)
        found = []
        for levels in range(5):
            small = vr.compress(picture, quality=LATENTS_QUALITY, levels=levels)
            decibels = psnr(picture, vr.decompress(small).data)
            found.append(f"{levels}: {rate(small, picture):.3f} bpp, {decibels:.2f} dB")
        print(f"{family} {name}: {'; '.join(found)}", flush=True)


def by_pillow(form: str, settings: list[dict[str, object]]) -> Callable[[Picture], Curve]:
    """Of a format that Pillow writes."""

    def measure(picture: Picture) -> Curve:
        found = []
        for options in settings:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, form, **options)
            back = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("L"))
            found.append((rate(buffer.getvalue(), picture), psnr(picture, back)))
        return found

    return measure


CODECS: Final[dict[str, Callable[[Picture], Curve]]] = {
    "vaec": ours,
    "JPEG": by_pillow("JPEG", [{"quality": q, "optimize": True} for q in JPEG_QUALITIES]),
    "JPEG 2000": by_pillow(
        "JPEG2000",
        [
            {"quality_mode": "rates", "quality_layers": [r], "irreversible": True}
            for r in RATIOS
        ],
    ),
    "WebP": by_pillow("WEBP", [{"quality": q, "method": 6} for q in JPEG_QUALITIES]),
}


def rate(data: bytes, picture: Picture) -> float:
    """Bits per pixel of a whole file."""
    return 8 * len(data) / picture.size


def psnr(picture: Picture, other: Picture) -> float:
    """In dB, range 255."""
    error = np.square(picture.astype(float) - other).mean()
    return 10 * math.log10(255**2 / max(error, 1e-9))


def at_rate(curve: Curve, bits: float) -> float:
    """PSNR at a rate, by straight lines between the measured points; NaN outside them.

    The curves bend downwards, so the lines run below them, most where points are few: ours.
    """
    rates, decibels = zip(*sorted(curve), strict=True)
    return float(np.interp(bits, rates, decibels, left=np.nan, right=np.nan))


def report(rows: list[Row]) -> None:
    """Mean PSNR over the pictures that every codec reaches, at each rate."""
    for family in dict.fromkeys(row[0] for row in rows):
        names = list(dict.fromkeys(row[1] for row in rows if row[0] == family))
        print(f"\n| {family}, bits per pixel | pictures | {' | '.join(CODECS)} |")
        for bits in RATES:
            table = np.array(
                [
                    [
                        at_rate([r[3:] for r in rows if r[:3] == (family, n, c)], bits)
                        for c in CODECS
                    ]
                    for n in names
                ]
            )
            table = table[np.isfinite(table).all(axis=1)]
            if len(table):
                values = " | ".join(f"{value:.2f}" for value in table.mean(axis=0))
                print(f"| {bits} | {len(table)} | {values} |")


def curve(rows: list[Row], family: str, name: str, codec: str) -> Curve:
    """Of one picture and codec."""
    return [row[3:] for row in rows if row[:3] == (family, name, codec)]


def plot(rows: list[Row], family: str, path: Path) -> None:
    """Mean PSNR over rate as SVG; where all pictures have it."""
    total = WIDTH + 110
    names = list(dict.fromkeys(row[1] for row in rows if row[0] == family))
    means = {
        codec: [
            float(np.mean([at_rate(curve(rows, family, n, codec), bits) for n in names]))
            for bits in GRID
        ]
        for codec in CODECS
    }
    title = f"{family}: PSNR in dB over bits per pixel, mean of {len(names)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{HEIGHT + 100}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{total}" height="{HEIGHT + 100}" fill="white"/>',
        *panel(LEFT, title, means),
        "</svg>\n",
    ]
    path.write_text("\n".join(parts))


def panel(x0: int, title: str, means: dict[str, list[float]]) -> list[str]:
    """One panel: a line for each codec."""
    known = np.concatenate(list(means.values()))
    low, high = np.nanmin(known) - 0.5, np.nanmax(known) + 0.5

    def across(bits: float) -> float:
        return x0 + WIDTH * math.log(bits / GRID[0]) / math.log(GRID[-1] / GRID[0])

    def up(decibels: float) -> float:
        return TOP + HEIGHT * (high - decibels) / (high - low)

    def text(x: float, y: float, words: object, more: str = "") -> str:
        return f'<text x="{x:.0f}" y="{y:.0f}" {more}>{words}</text>'

    middle, end = 'text-anchor="middle"', 'text-anchor="end"'
    parts = [
        f'<rect x="{x0}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" '
        'fill="none" stroke="#888"/>',
        text(x0, TOP - 12, title),
    ]
    parts += [text(across(b), TOP + HEIGHT + 18, b, middle) for b in (0.05, 0.1, 0.2, 0.5, 1.0)]
    ticks = range(math.ceil(low), int(high) + 1, 3)
    parts += [text(x0 - 8, up(tick) + 4, tick, end) for tick in ticks]
    for row, (codec, colour) in enumerate(COLOURS.items()):
        pairs = [(b, v) for b, v in zip(GRID, means[codec], strict=True) if math.isfinite(v)]
        points = " ".join(f"{across(b):.1f},{up(v):.1f}" for b, v in pairs)
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            text(x0 + WIDTH - 80, TOP + HEIGHT - 60 + 16 * row, codec, f'fill="{colour}"'),
        ]
    return parts


if __name__ == "__main__":
    main()
