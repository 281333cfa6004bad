"""Train from scratch on one noisy picture, denoise it, and print the peers beside.

    python benchmarks/denoising.py camera
    python benchmarks/denoising.py fmd DATA [--only Confocal_MICE]

`camera` is scikit-image's picture with Gaussian noise of 25 (of 255), 300 seconds.
`fmd` takes the seven `*_1` single shots of DATA/fmd-bench/raw (nothing known about
their noise) against the mean of 50 shots, 330 seconds each. PSNR for a range of 255.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from skimage import data

import napari_vae_restore as vr
import peers
from napari_vae_restore.noise.estimation.estimate import estimate_noise


@dataclass(frozen=True)
class Case:
    """A noisy picture, its clean reference, and what the methods are told."""

    name: str
    noisy: peers.Image
    clean: peers.Image
    sigma: float | None
    seconds: float


def camera(seconds: float) -> Iterator[Case]:
    """scikit-image's camera with sigma = 25; every method is told sigma."""
    clean = data.camera().astype(float)
    noisy = clean + 25 * np.random.default_rng(0).standard_normal(clean.shape)
    yield Case("camera", noisy, clean, 25.0, seconds)


def fmd(folder: Path, seconds: float, only: str) -> Iterator[Case]:
    """The single shots of the FMD benchmark; no method is told the noise."""
    for path in sorted((folder / "fmd-bench" / "raw").glob(f"{only}*_1.png")):
        clean = folder / "fmd-bench" / "gt" / f"{path.stem.removesuffix('_1')}.png"
        noisy, reference = (iio.imread(file).astype(float) for file in (path, clean))
        yield Case(path.stem, noisy, reference, None, seconds)


def scores(case: Case, seed: int) -> dict[str, float]:
    """PSNR of each method in dB, and what the training cost."""
    noise = "auto" if case.sigma is None else f"gaussian:{case.sigma}"
    training = vr.Training(case.noisy, noise=noise, budget=case.seconds, seed=seed)
    started = time.monotonic()
    for _ in training.run():
        pass
    seconds = time.monotonic() - started
    model = training.model
    ours = vr.denoise(case.noisy, model, n_samples=8, keep_samples=True, seed=seed)
    print(
        f"# {case.name}: noise {model.noise}, {model.record.n_steps} steps kept, "
        f"{seconds:.0f} s, held-out ELBO {model.record.elbo:.4f} nats per pixel, "
        f"residual std / sigma {ours.diagnostics.residual_std:.3f}",
        flush=True,
    )
    assert ours.samples is not None
    noisy, clean = case.noisy, case.clean
    return {
        "noisy": peers.psnr(noisy, clean),
        "NLM": peers.psnr(peers.nl_means(noisy, case.sigma), clean),
        "wavelet": peers.psnr(peers.wavelet(noisy, case.sigma), clean),
        "TV oracle": peers.psnr(peers.total_variation(noisy, clean), clean),
        "BM3D": peers.psnr(peers.bm3d_white(noisy, case.sigma), clean),
        "BM3D+VST": peers.psnr(
            peers.bm3d_stabilised(noisy, model.noise or estimate_noise(noisy)), clean
        ),
        "1 sample": peers.psnr(ours.samples[0], clean),
        "mean of 8": peers.psnr(ours.samples.mean(axis=0), clean),
        "mean path": peers.psnr(ours.mean, clean),
    }


def main() -> None:
    """Run the chosen cases and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["camera", "fmd"])
    parser.add_argument("data", nargs="?", type=Path, help="folder that holds fmd-bench")
    parser.add_argument("--only", default="", help="start of the pictures' names")
    parser.add_argument("--seconds", type=float, default=None, help="time budget")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "camera":
        cases = camera(arguments.seconds or 300)
    elif arguments.data is None:
        parser.error("fmd needs the data folder")
    else:
        cases = fmd(arguments.data, arguments.seconds or 330, arguments.only)
    print(
        f"# torch {torch.__version__}, {torch.get_num_threads()} threads, seed {arguments.seed}"
    )
    rows = []
    for case in cases:
        row = scores(case, arguments.seed)
        if not rows:
            print(f"{'PSNR, dB':20}" + "".join(f"{name:>11}" for name in row))
        rows.append(row)
        print(
            f"{case.name:20}" + "".join(f"{value:11.2f}" for value in row.values()), flush=True
        )
    if len(rows) > 1:
        means = [np.mean([row[name] for row in rows]) for name in rows[0]]
        print(f"{'mean':20}" + "".join(f"{value:11.2f}" for value in means))


if __name__ == "__main__":
    main()
