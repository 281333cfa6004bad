"""Make the figures of the tutorials and of judging.md in docs/images.

Run it as ``python docs/figures.py``; names of figures as arguments make only those. It also
prints the numbers that the pages tell.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from skimage.transform import downscale_local_mean, rescale

import napari_vae_restore as vr
from napari_vae_restore.evaluation.metrics import psnr
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.samples import sample_path

Array = NDArray[Any]
Panel = tuple[str, Array, tuple[float, float]]
"""A caption, a picture, and the values that are black and white."""

FOLDER: Final = Path(__file__).parent / "images"
SIDE: Final = 320  # pixels of a panel
GAP: Final = 8
CAPTION: Final = 26  # pixels of height
N_SAMPLES: Final = 16
CELL: Final = np.s_[280:440, 100:260]
"""One of the cells, with its nucleus and exit sites."""
NUCLEI: Final = np.s_[19:179, 40:200]


def tutorial_denoise() -> None:
    """Cells, denoised, how sure, and what was removed."""
    cells = tifffile.imread(sample_path("cells"))[CELL]
    out = vr.denoise(cells, n_samples=N_SAMPLES)
    residual = cells - out.mean.astype(float)
    print(vr.estimate_noise(cells))
    print("residual: mean", residual.mean(), "lag 1", neighbours(residual))
    save(
        "tutorial-denoise",
        ("measured", cells, (470, 1100)),
        ("denoised", out.mean, (470, 1100)),
        ("error to expect, 0 to 80", out.expected_error(), (0, 80)),
        ("residual, -250 to 250", residual, (-250, 250)),
    )


def tutorial_inpaint() -> None:
    """Cells with a dead line and dust, filled, and what was there."""
    cells = tifffile.imread(sample_path("cells"))[CELL]
    hole = dead_line_and_dust(cells.shape)
    damaged = np.where(hole, cells.max(), cells)
    out = vr.restore(damaged, [vr.Inpaint(hole), vr.Denoise()], n_samples=N_SAMPLES)
    (noise,) = vr.estimate_noise(cells).noise
    sigma = np.sqrt(noise.variance(out.mean.astype(float)))
    error = (cells - out.mean.astype(float)) / sigma
    for name, where in (("line", np.s_[60:63]), ("dust", np.s_[96:112, 40:56])):
        print(
            f"{name}: {rms(error[where]):.2f} of the noise; elsewhere {rms(error[~hole]):.2f}"
        )
    limits = (470, 1100)
    save(
        "tutorial-inpaint",
        ("with a dead line and dust", damaged, limits),
        ("filled and denoised", out.mean, limits),
        ("what had been measured", cells, limits),
        ("error to expect, 0 to 80", out.expected_error(), (0, 80)),
    )


def tutorial_super_resolve() -> None:
    """Nuclei enlarged by interpolation and by the model."""
    nuclei = tifffile.imread(sample_path("nuclei"))[110:174, 18:82]
    out = vr.restore(nuclei, [vr.SuperResolve(2), vr.Denoise()], n_samples=N_SAMPLES)
    cubic = rescale(nuclei.astype(float), 2, order=3)
    camera = data.camera().astype(np.float32)
    small = downscale_local_mean(camera, (2, 2))
    ours = vr.super_resolve(small, 2, kernel="box").mean
    print("camera, binned 2 x 2: bicubic", psnr(rescale(small, 2, order=3), camera, 255))
    print("camera, binned 2 x 2: super-resolved", psnr(ours, camera, 255))
    limits = (0, 110)
    save(
        "tutorial-super-resolve",
        ("measured", nuclei, limits),
        ("bicubic interpolation", cubic, limits),
        ("super-resolved and denoised", out.mean, limits),
        ("error to expect, 0 to 8", out.expected_error(), (0, 8)),
    )


def judging_residual() -> None:
    """What is removed with the right noise, and with one three times too strong."""
    nuclei = tifffile.imread(sample_path("nuclei"))[NUCLEI]
    (noise,) = vr.estimate_noise(nuclei).noise
    panels: list[Panel] = []
    for name, factor in (("told the measured noise", 1), ("told three times that", 3)):
        told = vr.PoissonGaussianNoise(noise.a * factor**2, noise.b * factor**2)
        out = vr.denoise(nuclei, noise=told)
        residual = nuclei - out.mean.astype(float)
        print(name, "residual / noise", out.diagnostics.residual_std, neighbours(residual))
        panels.append((name, out.mean, (0, 110)))
        panels.append(("what was removed", residual, (-30, 30)))
    save("judging-residual", *panels)


def judging_holes() -> None:
    """A nucleus that lies in a hole is gone; half of one is guessed."""
    nuclei = tifffile.imread(sample_path("nuclei"))[NUCLEI]
    hole = np.zeros(nuclei.shape, bool)
    whole, half = np.s_[80:126, 114:160], np.s_[128:152, 34:76]
    hole[whole] = hole[half] = True
    tasks = [vr.Inpaint(hole), vr.Denoise()]
    out = vr.restore(nuclei, tasks, n_samples=N_SAMPLES, keep_samples=True)
    assert out.samples is not None
    truth = vr.denoise(nuclei).mean.astype(float)
    for name, where in (("whole nucleus", whole), ("half nucleus", half)):
        error, told = rms((out.mean - truth)[where]), rms(out.expected_error()[where])
        print(f"{name}: off by {error:.1f}, told {told:.1f}")
    limits = (0, 110)
    save(
        "judging-holes",
        ("what had been measured", nuclei, limits),
        ("with two holes", np.where(hole, 255, nuclei), limits),
        ("one sample", out.samples[0], limits),
        ("another sample", out.samples[1], limits),
    )


def judging_coverage() -> None:
    """No figure: how often intervals hold the truth, with and without calibration."""
    camera = data.camera().astype(np.float32)
    noise = vr.PoissonGaussianNoise(2.0, 25.0)
    noisy = noise.sample(camera, np.random.default_rng(0)).astype(np.float32)
    small = Downsampling(2).apply(camera).astype(np.float32)
    for measured, task, factor in ((noisy, vr.Denoise(), 1), (small, vr.SuperResolve(2), 2)):
        left, right = np.split(measured, 2, axis=1)
        learned, truth = np.split(camera, 2, axis=1)
        bundled = find_model("default")
        for name, model in (
            ("samples alone", replace(bundled, spreads={})),
            ("bundled calibration", bundled),
            ("calibrated on the left half", vr.calibrate(vr.Pairs(left, learned))),
        ):
            out = vr.restore(right, task, model, n_samples=N_SAMPLES)
            found = [np.mean((lo <= truth) & (truth <= hi)) for lo, hi in intervals(out)]
            print(f"x{factor} {name}: 0.5, 0.8, 0.9, 0.95 hold", np.round(found, 2))
            print("  error", rms(out.mean - truth), "expected", rms(out.expected_error()))


def judging_dark() -> None:
    """No figure: by how many photons a dark image comes out too low, and what that costs."""
    camera = data.camera()[100:300, 100:300] / 255
    rng = np.random.default_rng(0)
    for photons in (1, 2, 4, 10, 40):
        image = rng.poisson(photons * camera) * 70.0 + 500
        restored = vr.denoise(image).mean
        shift = image.mean() - restored.mean()
        truth = photons * camera * 70 + 500
        gained = psnr(restored, truth), psnr(restored + shift, truth)
        print(f"{photons * camera.mean():.1f} photons a pixel: {shift / 70:.2f} too low")
        print("  PSNR as it comes, and with the mean of the image", np.round(gained, 2))


FIGURES = {
    "tutorial-denoise": tutorial_denoise,
    "tutorial-inpaint": tutorial_inpaint,
    "tutorial-super-resolve": tutorial_super_resolve,
    "judging-residual": judging_residual,
    "judging-holes": judging_holes,
    "judging-coverage": judging_coverage,
    "judging-dark": judging_dark,
}


def main() -> None:
    """Make all figures, or those that were named."""
    for name in sys.argv[1:] or FIGURES:
        print(f"== {name}")
        FIGURES[name]()


def dead_line_and_dust(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Three rows and a square of 16 pixels."""
    hole = np.zeros(shape, bool)
    hole[60:63] = True
    hole[96:112, 40:56] = True
    return hole


def intervals(out: vr.Restoration) -> list[tuple[Array, Array]]:
    """Those of four levels."""
    return [out.interval(level) for level in (0.5, 0.8, 0.9, 0.95)]


def neighbours(residual: Array) -> tuple[float, float]:
    """Correlation of each pixel with the next, along Y and X."""
    return (
        float(np.corrcoef(residual[1:].ravel(), residual[:-1].ravel())[0, 1]),
        float(np.corrcoef(residual[:, 1:].ravel(), residual[:, :-1].ravel())[0, 1]),
    )


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.square(values).mean()))


def save(name: str, *panels: Panel) -> None:
    """Write the panels side by side, each with its caption above."""
    width = len(panels) * (SIDE + GAP) - GAP
    sheet = Image.new("L", (width, CAPTION + SIDE), 255)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=17)
    for i, (caption, picture, limits) in enumerate(panels):
        left = i * (SIDE + GAP)
        draw.text((left, 2), caption, fill=0, font=font)
        sheet.paste(as_panel(picture, limits), (left, CAPTION))
    levels: Sequence[int] = range(256)
    # 64 levels of grey are as good to the eye, and half the file.
    sheet = sheet.point([round(round(level / 4.05) * 4.05) for level in levels])
    sheet.save(FOLDER / f"{name}.png", optimize=True)


def as_panel(picture: Array, limits: tuple[float, float]) -> Image.Image:
    """Grey between the limits, enlarged without interpolation: pixels stay pixels."""
    black, white = limits
    grey = np.clip((picture.astype(float) - black) / (white - black), 0, 1) * 255
    image = Image.fromarray(grey.round().astype(np.uint8))
    return image.resize((SIDE, SIDE), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
