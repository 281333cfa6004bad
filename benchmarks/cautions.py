"""How often warnings are right: real pictures as they are, and each spoiled on purpose.

    python benchmarks/cautions.py DATA [--limit N]

Every picture of FMD, W2S and OCT, 256 x 256 pixels of its middle, is restored as it is: a
warning then is a false alarm. The same pictures are then given as a JPEG file of quality
20, enlarged by a half, saturated, denoised before, as noise alone, and as one stack of three
unlike channels called Z: a warning is then right. Printed are the shares.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.ndimage import zoom

import napari_vae_restore as vr
from adapting import pairs

Image = NDArray[np.float32]
SIDE = 256
QUALITY = 20
ENLARGED = 1.5


def middle(image: NDArray[np.float64]) -> Image:
    top, left = ((length - SIDE) // 2 for length in image.shape)
    return image[top : top + SIDE, left : left + SIDE].astype(np.float32)


def as_jpeg(image: Image, reference: Image) -> Image:
    file = io.BytesIO()
    levels = 255 * (image - image.min()) / np.ptp(image)
    Pillow.fromarray(levels.astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return iio.imread(file.getvalue(), extension=".jpg").astype(np.float32)


def enlarged(image: Image, reference: Image) -> Image:
    return zoom(image, ENLARGED, order=3).astype(np.float32)


def saturated(image: Image, reference: Image) -> Image:
    return np.minimum(image, np.percentile(image, 98)).round().astype(np.float32)


def filtered(image: Image, reference: Image) -> Image:
    return vr.denoise(image).mean


def noise_alone(image: Image, reference: Image) -> Image:
    rng = np.random.default_rng(0)
    (model,) = vr.estimate_noise(image).noise
    return model.sample(np.full(image.shape, image.mean(), float), rng).astype(np.float32)


SPOILED: dict[str, Callable[[Image, Image], Image]] = {
    f"JPEG {QUALITY}": as_jpeg,
    "enlarged": enlarged,
    "saturated": saturated,
    "filtered": filtered,
    "noise alone": noise_alone,
}


def main() -> None:
    """Print the shares of warnings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, help="pictures of each set")
    asked = parser.parse_args()
    sets = {
        "fmd": pairs(asked.data / "fmd-bench", "raw"),
        "w2s": pairs(asked.data / "w2s-bench"),
        "oct": pairs(asked.data / "oct-bench"),
    }
    print(f"{'set':6}{'kind':14}warned")
    for name, found in sets.items():
        images = [(middle(noisy), middle(clean)) for _, noisy, clean in found[: asked.limit]]
        alarms = [vr.denoise(noisy).diagnostics.warnings for noisy, _ in images]
        told(name, "as it is", alarms)
        for kind, spoil in SPOILED.items():
            told(name, kind, [vr.denoise(spoil(*pair)).diagnostics.warnings for pair in images])
        stacks = zip(images, images[1:], images[2:], strict=False)
        unlike = [np.stack([noisy for noisy, _ in three]) for three in stacks]
        told(
            name,
            "channels as Z",
            [vr.denoise(stack, axes="ZYX").diagnostics.warnings for stack in unlike],
        )


def told(name: str, kind: str, warnings: list[tuple[str, ...]]) -> None:
    share = sum(map(bool, warnings)) / max(len(warnings), 1)
    first = sorted({sentence.split(" (")[0][:48] for each in warnings for sentence in each})
    print(f"{name:6}{kind:14}{share:6.0%}  {'; '.join(first)}", flush=True)


if __name__ == "__main__":
    main()
