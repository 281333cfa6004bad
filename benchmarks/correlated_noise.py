"""Measure what a model of correlated noise is worth: stripes, columns, both directions.

    python benchmarks/correlated_noise.py DATA [--train SECONDS]

DATA holds ``fmd-bench/gt`` (means of 50 captures, taken as clean). Noise of sigma = 25 is
added to crops of 256 x 256: a first-order autoregression of 0.8 along rows or columns,
blurred white noise with a lag-1 correlation of 0.6 both ways, and geometric decay both
ways. The bundled model restores each with its noise measured (``auto``), told, and taken
as white of the same level. PSNR is for a range of 255; correlations are lag 1 along Y, X.
With ``--train``, models are trained from scratch on one striped picture as well, with the
likelihood of its noise and with one that takes pixels as independent.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np

import napari_vae_restore as vr
from napari_vae_restore.noise.estimation.residuals import LAGS, residual_autocorrelation

SEED = 0
SIGMA = 25
SIDE = 256
PICTURES = ("Confocal_MICE", "Confocal_BPAE_R", "TwoPhoton_BPAE_G")
KINDS = {
    "rows, AR(1) of 0.8": "row:0.8",
    "columns, AR(1) of 0.8": "column:0.8",
    "blurred, 0.6 both ways": "0.6,0.6",
    "geometric, 0.6 both ways": "plane:0.6,-0.36,0.6,0.0",
}
TOLD = (0.3, 0.5, 0.65, 0.8, 0.9, 0.95)  # correlations along rows
HOT = 0.001  # share of pixels


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the data folder")
    parser.add_argument("--train", type=float, default=0, help="seconds for each model")
    options = parser.parse_args()
    pictures = dict(clean_pictures(options.data / "fmd-bench" / "gt"))
    bundled_table(pictures)
    told_table(pictures)
    flat_table()
    difficult_table(pictures[PICTURES[0]])
    if options.train:
        training_table(pictures[PICTURES[0]], options.train)


def clean_pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and crops, (256, 256) float64, range 255."""
    for name in PICTURES:
        yield (
            name,
            iio.imread(folder / f"{name}.png").astype(np.float64)[128:, 128:][:SIDE, :SIDE],
        )


def noisy(clean: np.ndarray, correlation: str) -> np.ndarray:
    """Add noise, the same for each kind, to a picture."""
    noise = vr.parse_noise(f"gaussian:{SIGMA}@{correlation}")
    return noise.sample(clean, np.random.default_rng(SEED)).astype(np.float32)


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB, for a range of 255."""
    return float(10 * np.log10(255**2 / np.mean((image - clean) ** 2)))


def lag_one(residual: np.ndarray) -> str:
    """Return the lag-1 autocorrelation along Y and X as text."""
    lags = residual_autocorrelation(residual)
    return f"{lags[LAGS + 1, LAGS]:+.2f},{lags[LAGS, LAGS + 1]:+.2f}"


def bundled_table(pictures: dict[str, np.ndarray]) -> None:
    """Print the bundled model's PSNR with the noise measured, told, and taken as white."""
    print("Bundled model: PSNR in dB of noisy / white / told / auto, gain of auto over white,")
    print("residual's lag 1 (white; auto), and what was measured")
    for kind, correlation in KINDS.items():
        gains = []
        print(kind)
        for name, clean in pictures.items():
            y = noisy(clean, correlation)
            forms = (f"gaussian:{SIGMA}", f"gaussian:{SIGMA}@{correlation}", "auto")
            found = [vr.denoise(y, noise=form) for form in forms]
            white, told, auto = (psnr(each.mean, clean) for each in found)
            gains.append(auto - white)
            print(
                f"  {name:18} {psnr(y, clean):.2f} / {white:.2f} / {told:.2f} / {auto:.2f}  "
                f"{auto - white:+.2f}  ({lag_one(y - found[0].mean)}; "
                f"{lag_one(y - found[2].mean)})  {found[2].recipe.noise[0]}"
            )
        print(f"  {'mean gain':18} {np.mean(gains):+.2f} dB, least {min(gains):+.2f}")


def told_table(pictures: dict[str, np.ndarray]) -> None:
    """Print which blur the bundled model is best told for noise along rows."""
    print("\nNoise along rows: PSNR with the lag-1 correlation itself told, with the nearest")
    print("blur, and with the best of a grid (which)")
    for rho in TOLD:
        grid = {0.0: 0.0} | {round(x, 2): 0.0 for x in np.arange(0.2, 0.96, 0.05)}
        own = nearest = 0.0
        for clean in pictures.values():
            y = noisy(clean, f"row:{rho}")

            def restored(form: str, y: np.ndarray = y, clean: np.ndarray = clean) -> float:
                found = vr.denoise(y, noise=f"gaussian:{SIGMA}@{form}").mean
                return psnr(found, clean) / len(pictures)

            own += restored(f"0,{rho}")
            nearest += restored(f"row:{rho}")
            for x in grid:
                grid[x] += restored(f"0,{x}")
        best = max(grid, key=lambda x: grid[x])
        print(f"  {rho:4}  {own:.2f} / {nearest:.2f} / {grid[best]:.2f} ({best})")


def flat_table() -> None:
    """Print what is left of noise without any signal."""
    print(f"\nPure noise of {SIGMA} on a constant: standard deviation of the output")
    for kind, correlation in {"white": "0,0", **KINDS}.items():
        y = noisy(np.full((SIDE, SIDE), 100.0), correlation)
        print(f"  {kind:26} {vr.denoise(y, noise='auto').mean.std():.2f}")


def difficult_table(clean: np.ndarray) -> None:
    """Print what is found where pixels are hot, saturated, or few grey levels."""
    print("\nDifficult pixels: the true standard deviation, and the one found by each kind")
    truth = vr.PoissonGaussianNoise(4.0, 9.0)
    rng = np.random.default_rng(SEED)
    y = truth.sample(clean, rng)
    hot = np.where(rng.random(y.shape) < HOT, 60000, y)
    dim = vr.PoissonGaussianNoise(0.5, 0.3)
    dark = dim.sample(clean / 40, rng)
    cases = {
        "hot pixels of 60000": (hot.astype(np.float32), truth, np.median(clean)),
        "saturated at 60": (y.round().clip(0, 60).astype(np.uint8), truth, np.median(clean)),
        "dark, 8 bits": (
            dark.round().clip(0, 255).astype(np.uint8),
            dim,
            np.median(clean) / 40,
        ),
    }
    for name, (image, noise, level) in cases.items():
        found = []
        for kind in ("auto", "mixture"):
            report = vr.estimate_noise(image, kind=kind)
            found.append(float(np.sqrt(report.noise[0].variance(level))))
        expected = float(np.sqrt(noise.variance(level)))
        print(f"  {name:22} {expected:.2f}: auto {found[0]:.2f}, mixture {found[1]:.2f}")


def training_table(clean: np.ndarray, seconds: float) -> None:
    """Print PSNR of models trained from scratch on one noisy picture."""
    print(f"\nTrained from scratch for {seconds:.0f} s on {PICTURES[0]}")
    for kind in ("rows, AR(1) of 0.8", "blurred, 0.6 both ways"):
        y = noisy(clean, KINDS[kind])
        for form in (f"gaussian:{SIGMA}", f"gaussian:{SIGMA}@{KINDS[kind]}"):
            model = vr.train(y, noise=form, budget=seconds)
            restored = vr.denoise(y, model).mean
            print(
                f"  {kind:26} {form:24} {psnr(restored, clean):.2f} dB, residual's lag 1 "
                f"{lag_one(y - restored)}, {model.record.n_steps} steps"
            )


if __name__ == "__main__":
    main()
