"""Measure how well the noise is estimated from single images.

    python benchmarks/noise_estimators.py DATA

DATA holds ``natural-bench/Set12`` (clean pictures to which noise is added) and
``fmd-bench`` (real captures with the mean of 50 as reference; measured only). Tables
are printed; the exit code is 1 if an error exceeds its limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from skimage import data
from skimage.restoration import estimate_sigma

from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise

SEED = 1
SIGMAS = (2, 5, 10, 25, 50)
# Intensity units per photon and read-out variance, for pictures of range 255.
PAIRS = (
    (0.3, 0),
    (0.5, 4),
    (1, 0),
    (1, 25),
    (2, 9),
    (4, 100),
    (8, 0),
    (3, 400),
    (6, 20),
    (15, 50),
)
DARK_PAIRS = ((0.3, 0), (0.5, 4), (1, 0), (2, 9), (4, 100), (8, 0), (6, 20))
DARK = 0.12  # factor that makes a picture mostly dark, and clipped at 0 once noisy

# Pictures have grain of their own, which adds to the noise (at a third of it, 5 %, and
# more where its texture counts). Errors below this ratio are printed but not judged.
MIN_SIGMA_OVER_GRAIN = 3.5
LIMIT = 0.10
# A worst percentile is one of 19 on each picture: where a few dark or bright pixels lie.
WORST_LIMIT = 0.25
# Lag-1 correlations of white noise through a Gaussian of 0, 0.5, 0.7 and 1 pixels.
CORRELATIONS = (0.0, 0.26, 0.58, 0.78)
CORRELATED_MODELS = (
    *((sigma, None) for sigma in (5, 15, 25, 50)),
    *((1, 25), (4, 100)),
)
CORRELATED_MEDIAN_LIMIT = 0.08
# Captures: gt is rounded and the lasers bleach, so bins of few pixels say little.
MIN_BIN_SHARE = 0.02


# The many pairs are tried on these alone, to end within two minutes.
PAIR_PICTURES = (
    *("Set12/01", "Set12/03", "Set12/07", "Set12/08", "Set12/09"),
    *("camera", "coins", "moon"),
)


def main() -> int:
    """Print the tables; return 1 if a limit is exceeded, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the data folder")
    folder: Path = parser.parse_args().data
    pictures = dict(clean_pictures(folder / "natural-bench" / "Set12"))
    failures = gaussian_table(pictures)
    pictures = {name: pictures[name] for name in PAIR_PICTURES}
    failures += poisson_gaussian_table(pictures, PAIRS, 1.0)
    failures += poisson_gaussian_table(pictures, DARK_PAIRS, DARK)
    failures += correlated_table(pictures)
    failures += capture_table(folder / "fmd-bench")
    print("\n".join(["", *(f"LIMIT EXCEEDED: {failure}" for failure in failures)]))
    return 1 if failures else 0


def clean_pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and clean pictures, (H, W) float64, range 255."""
    for path in sorted(folder.glob("*.png")):
        yield f"Set12/{path.stem}", iio.imread(path).astype(np.float64)
    for name in ("camera", "coins", "moon", "brick"):
        yield name, getattr(data, name)().astype(np.float64)


def gaussian_sigma(image: np.ndarray) -> float:
    """Return the estimated standard deviation, taken as the same everywhere."""
    return float(np.sqrt(estimate_noise(image, "gaussian").variance(0.0)))


def gaussian_table(pictures: dict[str, np.ndarray]) -> list[str]:
    """Print relative errors of sigma, ours and scikit-image's; return what exceeds."""
    print("Gaussian: relative error of sigma in %, ours / ours on uint8 / scikit-image's")
    print(f"{'picture':10} {'grain':>5} " + "".join(f"{sigma:>16}" for sigma in SIGMAS))
    failures = []
    for name, clean in pictures.items():
        grain = gaussian_sigma(clean)
        cells = []
        for sigma in SIGMAS:
            y = clean + np.random.default_rng(SEED).normal(0, sigma, clean.shape)
            quantised = np.clip(y.round(), 0, 255).astype(np.uint8)
            ours, rounded = (gaussian_sigma(image) / sigma - 1 for image in (y, quantised))
            theirs = float(estimate_sigma(y)) / sigma - 1
            cells.append(f"{100 * ours:+6.0f}{100 * rounded:+5.0f}{100 * theirs:+5.0f}")
            judged = sigma >= MIN_SIGMA_OVER_GRAIN * grain
            if judged and max(abs(ours), abs(rounded)) > LIMIT:
                failures.append(f"gaussian {name} sigma {sigma}: {ours:+.2f} {rounded:+.2f}")
        print(f"{name:10} {grain:5.1f} " + "".join(cells))
    return failures


def poisson_gaussian_table(
    pictures: dict[str, np.ndarray], pairs: tuple[tuple[float, float], ...], factor: float
) -> list[str]:
    """Print errors of the predicted standard deviation; return what exceeds."""
    print(f"\nPoisson-Gaussian, pictures x {factor}, rounded and clipped to [0, 255]:")
    print("error of the standard deviation over the 5th to 95th percentile of unclipped")
    print("signal in %: median / worst (estimated a, b)")
    failures = []
    grains = {name: factor * gaussian_sigma(clean) for name, clean in pictures.items()}
    for a, b in pairs:
        print(f"  a = {a}, b = {b}")
        cells = []
        for name, clean in pictures.items():
            signal = clean * factor
            std = np.sqrt(a * signal + b)
            y = signal + std * np.random.default_rng(SEED).standard_normal(signal.shape)
            noise = estimate_noise(y.round().clip(0, 255), "poisson-gaussian")
            unclipped = signal[(signal > 1) & (signal < 254)]
            levels = np.percentile(unclipped, np.linspace(5, 95, 19))
            # Rounding adds 1/12 to the variance.
            error = np.sqrt(noise.variance(levels) / (a * levels + b + 1 / 12)) - 1
            median, worst = np.median(np.abs(error)), error[np.abs(error).argmax()]
            form = noise.to_dict()
            cells.append(
                f"{name} {100 * median:.0f}/{100 * worst:+.0f} "
                f"({form['a']:.2f}, {form['b']:.0f})"
            )
            judged = std.mean() >= MIN_SIGMA_OVER_GRAIN * grains[name]
            if judged and (median > LIMIT or abs(worst) > WORST_LIMIT):
                failures.append(f"poisson-gaussian ({a}, {b}) x {factor}: {cells[-1]}")
        for start in range(0, len(cells), 4):
            print("    " + "; ".join(cells[start : start + 4]))
    return failures


def correlated_table(pictures: dict[str, np.ndarray]) -> list[str]:
    """Print errors of sigma and correlation over all pictures; return what exceeds."""
    print("\nCorrelated noise, not rounded: relative error of sigma in % (of the median of the")
    print(
        "predicted ones where it depends on the signal) and the correlation found along Y, X:"
    )
    print("median [least, greatest] over the pictures")
    failures = []
    for first, second in CORRELATED_MODELS:
        for rho in CORRELATIONS:
            truth: NoiseModel = (
                GaussianNoise(first, (rho, rho))
                if second is None
                else PoissonGaussianNoise(first, second, (rho, rho))
            )
            errors, found = [], []
            for clean in pictures.values():
                y = truth.sample(clean, np.random.default_rng(SEED))
                noise = estimate_noise(y, truth.kind)
                levels = np.percentile(clean, np.linspace(5, 95, 19))
                ratio = noise.variance(levels) / truth.variance(levels)
                errors.append(100 * np.sqrt(np.median(ratio)) - 100)
                found.append(lag_one(noise.correlation))
            middle, lag = np.median(errors), np.array(found)
            print(
                f"{truth!s:32} {middle:+5.1f} [{min(errors):+4.0f}, {max(errors):+4.0f}]  "
                + "  ".join(f"{np.median(c):.2f} [{c.min():.2f}, {c.max():.2f}]" for c in lag.T)
            )
            if abs(middle) > 100 * CORRELATED_MEDIAN_LIMIT:
                failures.append(f"correlated {truth}: {middle:+.1f} %")
    return failures


def capture_table(folder: Path) -> list[str]:
    """Print predicted over measured standard deviation of captures; return what exceeds.

    Within a bin of the reference the captures follow it but for bleaching, which the
    regression of capture on reference takes away; what remains is the noise.
    """
    print("\nReal captures: intensity: error of the predicted standard deviation in %")
    failures = []
    for path in sorted((folder / "raw").glob("*_1.png")):
        y = iio.imread(path)
        reference = iio.imread(folder / "gt" / f"{path.stem.removesuffix('_1')}.png")
        noise = estimate_noise(y)
        edges = np.unique(np.percentile(reference, (0, 10, 25, 50, 75, 90, 97, 99, 100)))
        edges[-1] += 1
        bins = np.digitize(reference, edges)
        cells = []
        for index in np.unique(bins):
            members = y[bins == index].astype(np.float64)
            if members.size < MIN_BIN_SHARE * y.size:
                continue
            x = reference[bins == index].astype(np.float64)
            fit = np.polyfit(x, members, 1) if np.ptp(x) > 0 else np.array([members.mean()])
            measured = (members - np.polyval(fit, x)).std()
            error = float(np.sqrt(noise.variance(np.polyval(fit, x)).mean()) / measured - 1)
            cells.append(f"{members.mean():.0f}:{100 * error:+.0f}")
            if abs(error) > LIMIT:
                failures.append(f"capture {path.stem} at {cells[-1]} %")
        residual = y - reference.astype(np.float64)
        lags = [
            np.corrcoef(r[1:].ravel(), r[:-1].ravel())[0, 1] for r in (residual, residual.T)
        ]
        print(f"{path.stem:20} {noise!s:.50}  " + "  ".join(cells))
        print(f"{'':20} correlation {noise.correlation}, of the residual {np.round(lags, 2)}")
    return failures


if __name__ == "__main__":
    sys.exit(main())
