"""How often warnings are right: real pictures as they are, and each spoiled on purpose.

    python benchmarks/cautions.py DATA [--limit N] [--budget 60] [--only bundled,adapted]

Bundled: every picture of FMD, W2S and OCT, 256 x 256 pixels of its middle, is restored as it
is: a warning then is a false alarm. The same pictures are then given as a JPEG file of quality
20, enlarged by a half, saturated, smoothed by a Gaussian of one pixel or a median, denoised by
the bundled model before, as noise alone, and as one stack of three unlike scenes called Z: a
warning is then right, whichever it is. Pages of text are unlike all that the model has learned
from.

Adapted: the model is adapted for `--budget` seconds to the left halves of three captures of
each scene of FMD, and once to the sixty noisy fields of w2s-train. Pictures of its own kind
are the right halves of that scene's four captures, and w2s-bench; other modalities the two
other sets. Here only the model's own score counts, `diagnostics.ood_score`.

Printed are the share of warnings, and the area under the ROC curve of the score against
pictures of the same set or kind as they are.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, median_filter, zoom

import napari_vae_restore as vr
from adapting import pairs

Image = NDArray[np.float32]
Outcome = tuple[float, tuple[str, ...]]
"""Score and warnings of one restoration."""
SIDE = 256
QUALITY = 20
ENLARGED = 1.5
PAGES = 12
SCENES_APART = 4
"""Captures of one scene follow each other in FMD's list."""


def middle(image: NDArray[np.float64]) -> Image:
    top, left = ((length - SIDE) // 2 for length in image.shape)
    return image[top : top + SIDE, left : left + SIDE].astype(np.float32)


def as_jpeg(image: Image) -> Image:
    file = io.BytesIO()
    levels = 255 * (image - image.min()) / np.ptp(image)
    Pillow.fromarray(levels.astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return iio.imread(file.getvalue(), extension=".jpg").astype(np.float32)


def enlarged(image: Image) -> Image:
    return zoom(image, ENLARGED, order=3).astype(np.float32)


def saturated(image: Image) -> Image:
    return np.minimum(image, np.percentile(image, 98)).round().astype(np.float32)


def denoised(image: Image) -> Image:
    return vr.denoise(image).mean


def smoothed(image: Image) -> Image:
    return gaussian_filter(image, 1.0)


def by_median(image: Image) -> Image:
    return median_filter(image, 3)


def upside_down(image: Image) -> Image:
    return (image.max() + image.min() - image).astype(np.float32)


def noise_alone(image: Image) -> Image:
    rng = np.random.default_rng(0)
    (model,) = vr.estimate_noise(image).noise
    return model.sample(np.full(image.shape, image.mean(), float), rng).astype(np.float32)


def pages() -> Iterator[Image]:
    """Scanned text: black on white in several sizes, with a little noise."""
    rng = np.random.default_rng(0)
    words = str(vr.restore.__doc__).split()
    for number in range(PAGES):
        size = 9 + number
        font = ImageFont.load_default(size)
        page = Pillow.new("L", (SIDE, SIDE), 255 - int(rng.integers(40)))
        draw = ImageDraw.Draw(page)
        for top in range(4, SIDE, int(1.4 * size)):
            line = " ".join(rng.choice(words, 40))
            draw.text((4, top), line, fill=int(rng.integers(60)), font=font)
        noise = rng.normal(0, rng.uniform(2, 12), (SIDE, SIDE))
        yield (np.asarray(page) + noise).astype(np.float32)


Spoil = Callable[[Image], Image]
SPOILED: dict[str, Spoil] = {
    f"JPEG {QUALITY}": as_jpeg,
    "upside down": upside_down,
    "noise alone": noise_alone,
}
SPOILED_FILES: dict[str, Spoil] = {
    "enlarged": enlarged,
    "saturated": saturated,
    "smoothed": smoothed,
    "median of 3 × 3": by_median,
    "denoised": denoised,
}


def outcomes(
    images: Sequence[Image], model: vr.Model | str = "default", axes: str = "YX"
) -> list[Outcome]:
    found = [vr.denoise(image, model, axes=axes).diagnostics for image in images]
    return [(each.ood_score or 0.0, each.warnings) for each in found]


def stacks(images: Sequence[Image], apart: int) -> list[Image]:
    """Three scenes that have nothing to do with each other, as if they were slices."""
    n = len(images)
    return [np.stack([images[(i + j * apart) % n] for j in range(3)]) for i in range(n)]


def area(own: list[Outcome], other: list[Outcome]) -> float:
    """Under the ROC curve: how often another picture's score is above an own one's."""
    ones, others = (np.array([score for score, _ in each]) for each in (own, other))
    above = (others[:, None] > ones).mean() + 0.5 * (others[:, None] == ones).mean()
    return float(above)


def bundled(sets: dict[str, list[Image]]) -> None:
    """The bundled model: all warnings together, and its own score."""
    print(f"\n{'bundled':8}{'kind':16}{'warned':>8}{'AUC of the score':>18}")
    text = outcomes(list(pages()))
    for name, images in sets.items():
        own = outcomes(images)
        told(name, "as it is", own, None)
        for kind, spoil in (SPOILED | SPOILED_FILES).items():
            told(name, kind, outcomes([spoil(image) for image in images]), own)
        apart = SCENES_APART if name == "fmd" else 1
        told(name, "channels as Z", outcomes(stacks(images, apart), axes="ZYX"), own)
        told(name, "text", text, own)


def told(name: str, kind: str, found: list[Outcome], own: list[Outcome] | None) -> None:
    share = sum(bool(warnings) for _, warnings in found) / max(len(found), 1)
    first = {sentence.split(" (")[0][:40] for _, each in found for sentence in each}
    against = "" if own is None else f"{area(own, found):.2f}"
    print(f"{name:8}{kind:16}{share:8.0%}{against:>18}  {'; '.join(sorted(first))}", flush=True)


def adapted(data: Path, sets: dict[str, list[Image]], budget: float, limit: int | None) -> None:
    """Models of one kind: their own score alone."""
    print(f"\n{'adapted':24}{'kind':16}{'above 1':>8}{'AUC':>6}{'least to most':>16}")
    captures = pairs(data / "fmd-bench", "raw")[
        : None if limit is None else SCENES_APART * limit
    ]
    totals: dict[str, list[tuple[float, float]]] = {}
    for start in range(0, len(captures), SCENES_APART):
        scene = [
            noisy.astype(np.float32) for _, noisy, _ in captures[start : start + SCENES_APART]
        ]
        half = scene[0].shape[1] // 2
        model = vr.adapt([each[:, :half] for each in scene[:3]], budget=budget)
        own = [np.ascontiguousarray(each[:, half:]) for each in scene]
        others = {"other modality": sets["w2s"] + sets["oct"]}
        every = sets["fmd"][start + SCENES_APART :] + sets["fmd"][:start]
        scored(captures[start][0], model, own, others, every[::SCENES_APART], totals)
    fields = [noisy.astype(np.float32) for _, noisy, _ in pairs(data / "w2s-train")]
    model = vr.adapt(fields, budget=budget)
    others = {"other modality": sets["fmd"] + sets["oct"]}
    scored("w2s-train", model, sets["w2s"], others, sets["fmd"][::SCENES_APART], totals)
    for kind, found in totals.items():
        share, mean = np.mean(found, axis=0)
        print(f"{'mean of the models':24}{kind:16}{share:8.0%}{mean:6.2f}")


def scored(
    name: str,
    model: vr.Model,
    own: list[Image],
    others: dict[str, list[Image]],
    scenes: list[Image],
    totals: dict[str, list[tuple[float, float]]],
) -> None:
    kinds = others | {kind: [f(image) for image in own] for kind, f in SPOILED.items()}
    kinds["text"] = list(pages())
    first = outcomes(own, model)
    found = {"its own kind": first} | {k: outcomes(v, model) for k, v in kinds.items()}
    unlike = [*sets_of_three(own, scenes)]
    found["channels as Z"] = outcomes(unlike, model, axes="ZYX")
    for kind, each in found.items():
        scores = np.array([score for score, _ in each])
        share, against = float((scores > 1).mean()), area(first, each)
        span = f"{scores.min():.2f} to {scores.max():.2f}"
        print(f"{name:24}{kind:16}{share:8.0%}{against:6.2f}{span:>16}", flush=True)
        totals.setdefault(kind, []).append((share, against))


def sets_of_three(own: list[Image], others: list[Image]) -> Iterator[Image]:
    """A picture of the own kind with two of other scenes, as if they were slices."""
    for number, image in enumerate(own):
        two = [others[(number + j) % len(others)] for j in range(2)]
        yield np.stack([middle(each.astype(float)) for each in (image, *two)])


def main() -> None:
    """Print shares and areas."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, help="pictures of each set; scenes to adapt to")
    parser.add_argument("--budget", type=float, default=60, help="seconds of each adapting")
    parser.add_argument("--only", default="bundled,adapted")
    asked = parser.parse_args()
    found = {
        "fmd": pairs(asked.data / "fmd-bench", "raw"),
        "w2s": pairs(asked.data / "w2s-bench"),
        "oct": pairs(asked.data / "oct-bench"),
    }
    sets = {name: [middle(noisy) for _, noisy, _ in each] for name, each in found.items()}
    if "bundled" in asked.only:
        bundled({name: images[: asked.limit] for name, images in sets.items()})
    if "adapted" in asked.only:
        adapted(asked.data, sets, asked.budget, asked.limit)


if __name__ == "__main__":
    main()
