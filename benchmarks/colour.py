"""Compare noisy colour pictures restored as luminance and chroma with channels apart.

    python benchmarks/colour.py DATA

DATA holds ``natural-bench`` and ``fmd-bench``. Peak signal-to-noise ratios over all three
colours in dB, range 255, the noise told; "together" is what a picture with an axis S gets.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

import napari_vae_restore as vr

Picture = NDArray[np.float32]

SIDE = 256
SIGMAS = (15, 25, 50)
STAINS = "Confocal_BPAE_{}.png"


def pictures(data: Path) -> Iterator[tuple[str, Picture]]:
    """The colour pictures of Set5 and Set14, cut, and three stains of one field."""
    for name in ("Set5", "Set14"):
        for path in sorted((data / "natural-bench" / name).iterdir()):
            picture = iio.imread(path)
            if picture.ndim == 3 and picture[..., :3].std(axis=-1).any():
                yield "photographs", picture[:SIDE, :SIDE, :3].astype(np.float32)
    stains = [iio.imread(data / "fmd-bench" / "gt" / STAINS.format(c)) for c in "RGB"]
    yield "stains", np.stack(stains, axis=-1)[:SIDE, :SIDE].astype(np.float32)


def compare(clean: Picture, sigma: int) -> tuple[float, float]:
    """PSNR of channels apart and together."""
    rng = np.random.default_rng(sigma)
    noisy = (clean + sigma * rng.standard_normal(clean.shape)).astype(np.float32)
    task = vr.Denoise(f"gaussian:{sigma}")
    apart, together = (vr.restore(noisy, task, axes=axes).mean for axes in ("YXC", "YXS"))
    return (
        float(peak_signal_noise_ratio(clean, apart, data_range=255)),
        float(peak_signal_noise_ratio(clean, together, data_range=255)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="folder of natural-bench and fmd-bench")
    data = parser.parse_args().data
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for kind, clean in pictures(data):
        for sigma in SIGMAS:
            found.setdefault((kind, sigma), []).append(compare(clean, sigma))
    print("| | pictures | channels apart | together | gain |")
    print("|---|---:|---:|---:|---:|")
    for (kind, sigma), values in found.items():
        apart, together = np.mean(values, axis=0)
        row = f"{apart:.2f} | {together:.2f} | {together - apart:+.2f}"
        print(f"| {kind}, σ {sigma} | {len(values)} | {row} |")


if __name__ == "__main__":
    main()
