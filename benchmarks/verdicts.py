"""Are the verdicts on restored images true? Real files, and pictures with known noise.

    python benchmarks/verdicts.py DATA [--side 256] [--every 1] [--only real|known] [--json OUT]

``real``: every image of ``neubias-ccby``, ``medical`` and ``bioimage-notebooks`` of DATA, as it
is, minus its median, negated and divided by 1000: restored, with the verdict, and by how many
standard errors the mean of 16 x 16 pixels moved at most, rounding counted in.

``known``: Set12 and FMD's references with white noise of 2, 10 and 25 of 255. Results that
deserve no word: of noise that was measured, or stated as it is. Results that do: of twice and
half the noise, of noise that neighbours share and nobody told, smoothed by a Gaussian of 1.5
pixels all over, and in one corner. Shown are the share of alarms, and what following the advice
(let the noise be measured) gains in dB.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import napari_vae_restore as vr
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.correlation import averaging_std
from no_harm import pictures

SETS = ("neubias-ccby", "medical", "bioimage-notebooks")
SIGMAS = (2, 10, 25)
BLOCK = 16


def real_images(data: Path, side: int) -> Iterator[tuple[str, NDArray[Any], str]]:
    """Name, centre crop of a few planes, axes."""
    for folder in SETS:
        for path in sorted((data / folder).rglob("*")):
            if path.suffix not in (".tif", ".tiff", ".png"):
                continue
            try:
                image = vr.read_image(path)
            except vr.VAERestoreError:
                continue
            array, axes = image.data, image.axes
            if array.dtype == bool:
                continue
            place = []
            for axis, n in zip(axes, array.shape, strict=True):
                if axis in "YX":
                    start = (n - min(n, side)) // 2
                    place.append(slice(start, start + side))
                else:
                    whole = axis in "CS"
                    place.append(slice(None) if whole else slice(n // 2, n // 2 + 2))
            yield f"{folder}/{path.stem}", array[tuple(place)], axes


def relatives(image: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The same measurement with another zero, sign and unit."""
    whole = image.dtype.kind in "iu"
    wide = image.astype(np.int64 if whole else np.float64)
    shifted = wide - int(np.median(image)) if whole else wide - np.median(image)
    fits = whole and np.abs(shifted).max() < 2**15
    return {
        "as it is": image,
        "minus its median": shifted.astype(np.int16 if fits else np.float32),
        "negated": (-wide).astype(np.int32 if whole else np.float32),
        "/ 1000": (wide / 1000).astype(np.float32),
    }


def moved(image: NDArray[Any], out: vr.Restoration, axes: str) -> float:
    """Greatest shift of a mean over blocks, standard errors."""
    before, after = (
        Layout.of(each, axes).to_planes(each).astype(np.float64) for each in (image, out.mean)
    )
    height, width = (n // BLOCK * BLOCK for n in before.shape[2:])
    if not height or not width:
        return 0.0
    rounding = 0.5 if image.dtype.kind in "iu" else 0.0
    worst = 0.0
    for channel, noise in enumerate(out.diagnostics.noise):
        x, y = (planes[:, channel, :height, :width] for planes in (after, before))
        step = 0.05 * np.sqrt(noise.variance(x).mean())  # as the stabilising transform says
        variance = np.square(step / (noise.stabilise(x + step) - noise.stabilise(x)))
        means = [
            each.reshape(len(each), height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((2, 4))
            for each in (x - y, variance)
        ]
        error = np.sqrt(means[1]) / BLOCK * averaging_std(noise.correlation) + rounding
        worst = max(worst, float(np.nanmax(np.abs(means[0]) / np.maximum(error, 1e-300))))
    return worst


def real(data: Path, side: int, every: int) -> list[dict[str, Any]]:
    """One row for each image and relative."""
    rows = []
    for name, image, axes in list(real_images(data, side))[::every]:
        for kind, array in relatives(image).items():
            row: dict[str, Any] = {"image": name, "kind": kind}
            try:
                out = vr.denoise(array, axes=axes)
            except vr.InputError as error:
                row |= {"grade": "refused", "text": str(error)}
            else:
                verdict = out.diagnostics.verdict
                row |= {
                    "grade": verdict.grade,
                    "text": verdict.text,
                    "moved": moved(array, out, axes),
                }
            rows.append(row)
            if row["grade"] != "keep" or row["moved"] > 7:
                told = {key: row[key] for key in ("image", "kind", "grade", "text")}
                print(*told.values(), f"moved {row.get('moved', 0):.1f}", sep=" | ", flush=True)
    n = sum(row["grade"] != "refused" for row in rows)
    alarms = sum(row["grade"] not in ("keep", "refused") for row in rows)
    most = max(row.get("moved", 0.0) for row in rows)
    print(f"\n{len(rows)} runs, {n} restored, {alarms} alarms, means moved {most:.1f} at most")
    return rows


def known(data: Path, side: int, every: int) -> list[dict[str, Any]]:
    """One row for each picture, noise and result."""
    rng = np.random.default_rng(0)
    rows = []
    chosen = [each for each in pictures(data, side) if not each[0].startswith("xy")]
    for name, clean in chosen[::every]:
        for sigma in SIGMAS:
            noisy = vr.GaussianNoise(sigma).sample(clean, rng).astype(np.float32)
            alike = vr.GaussianNoise(sigma, (0.5, 0.5)).sample(clean, rng).astype(np.float32)
            good = vr.denoise(noisy)
            stated = vr.denoise(noisy, noise=f"gaussian:{sigma}")
            results = {
                "measured": (noisy, good, good),
                "as it is": (noisy, stated, good),
                "twice": (noisy, vr.denoise(noisy, noise=f"gaussian:{2 * sigma}"), good),
                "half": (noisy, vr.denoise(noisy, noise=f"gaussian:{sigma / 2}"), good),
                "neighbours": (
                    alike,
                    vr.denoise(alike, noise=f"gaussian:{sigma}"),
                    vr.denoise(alike),
                ),
            }
            for result, (_, out, advised) in results.items():
                gain = decibels(out.mean - clean) - decibels(advised.mean - clean)
                rows.append(
                    {
                        "picture": name,
                        "sigma": sigma,
                        "result": result,
                        "grade": out.diagnostics.verdict.grade,
                        "advice": gain,
                    }
                )
            for result, part in (("smoothed", np.s_[:, :]), ("in a corner", np.s_[:48, :48])):
                spoiled = stated.mean.copy()
                spoiled[part] = gaussian_filter(stated.mean, 1.5)[part]
                check = vr.check_residual(
                    noisy, spoiled, vr.Denoise(), stated.diagnostics.noise, axes="YX"
                )
                harm = decibels(spoiled[part] - clean[part])
                harm -= decibels(stated.mean[part] - clean[part])
                rows.append(
                    {
                        "picture": name,
                        "sigma": sigma,
                        "result": result,
                        "grade": check.judged.grade,
                        "advice": harm,
                    }
                )
    table: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        table[row["result"], row["sigma"]].append(row)
    print(
        f"{'result':12} {'sigma':>5} {'alarms':>7} {'advice gains dB: mean':>22} {'alarmed':>8}"
    )
    for (result, sigma), cells in table.items():
        told = [row["advice"] for row in cells if row["grade"] != "keep"]
        mean = np.mean([row["advice"] for row in cells])
        share = f"{len(told)}/{len(cells)}"
        alarmed = f"{np.mean(told):8.2f}" if told else ""
        print(f"{result:12} {sigma:5} {share:>7} {mean:22.2f} {alarmed}")
    return rows


def decibels(error: NDArray[Any]) -> float:
    """10 log10 of the mean square."""
    return float(10 * np.log10(np.square(error.astype(np.float64)).mean()))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--side", type=int, default=256, help="of the crops, pixels")
    parser.add_argument("--every", type=int, default=1, help="of so many images one")
    parser.add_argument("--only", choices=("real", "known"))
    parser.add_argument("--json", type=Path, help="write all rows")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = {}
    for name, measure in (("known", known), ("real", real)):
        if asked.only in (None, name):
            rows[name] = measure(asked.data, asked.side, asked.every)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
