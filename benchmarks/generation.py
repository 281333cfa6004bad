"""Train a small VAE on 64² patches, draw pictures of any size, and ask three questions.

Do samples of 64², 256² and 200 × 328 look alike in their statistics? Are they copies of what
was trained on? Does the model tell held-out pictures from noise? The pictures are those that
scikit-image ships::

    python benchmarks/generation.py --budget "3 min" -o FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from skimage.feature import match_template

import napari_vae_restore as vr
from napari_vae_restore.models.latents import random_noise
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.training.objective import elbo

SIGMA = 10.0
SIDE = 64
SIZES = [(64, 64), (256, 256), (200, 328)]
N = 8
HELD_OUT_ROWS = 128

Image = NDArray[np.float32]


def main() -> None:
    """Train, draw, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="3 min")
    parser.add_argument("-o", "--output", type=Path, help="folder for the pictures")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    pictures = [grass().astype(np.float32) for grass in (data.grass, data.gravel, data.brick)]
    pictures.append(data.immunohistochemistry()[..., 0].astype(np.float32))
    noisy = [p + SIGMA * rng.standard_normal(p.shape).astype(np.float32) for p in pictures]
    known = [p[:-HELD_OUT_ROWS] for p in noisy]
    held_out = [p[-HELD_OUT_ROWS:] for p in noisy]
    model = vr.train(known, noise=f"gaussian:{SIGMA}", budget=given.budget)
    print(f"{model.record.n_steps} steps in {model.record.seconds:.0f} s, patches of {SIDE}²")
    for size in SIZES:
        drawn = vr.sample(model, N, size)
        print(f"{size[0]} × {size[1]}: mean {drawn.mean():.1f}, std {drawn.std():.1f}")
        if given.output:
            shown = np.hstack(list(drawn[:2])).clip(0, 255).astype(np.uint8)
            iio.imwrite(given.output / f"samples-{size[0]}x{size[1]}.png", shown)
    copies(
        [p[:-HELD_OUT_ROWS] for p in pictures], [p[-HELD_OUT_ROWS:] for p in pictures], model
    )
    against_noise(model, held_out, rng)


def copies(known: list[Image], held_out: list[Image], model: Model) -> None:
    """Largest correlation of patches with any place of the training pictures."""
    samples = list(vr.sample(model, N, SIDE))
    others = [p[:SIDE, x : x + SIDE] for p in held_out for x in (100, 300)]
    trained = [p[40 : 40 + SIDE, x : x + SIDE] for p in known for x in (100, 300)]
    for name, patches in (("samples", samples), ("held-out", others), ("trained", trained)):
        nearest = [max(match_template(p, patch).max() for p in known) for patch in patches]
        text = f"median {np.median(nearest):.3f}, largest {max(nearest):.3f}"
        print(f"nearest neighbour in training, correlation, {name}: {text}")


def against_noise(model: Model, held_out: list[Image], rng: np.random.Generator) -> None:
    """ELBO of held-out pictures and of noise with their mean and variance."""
    assert model.normalisation is not None
    stabilised = [p / SIGMA for p in held_out]
    mixed = [p.mean() + p.std() * rng.standard_normal(p.shape) for p in stabilised]
    shuffled = [rng.permutation(p.ravel()).reshape(p.shape) for p in stabilised]
    likelihood = GaussianNoise(model.normalisation.noise_std)
    for name, planes in (("held out", stabilised), ("noise", mixed), ("shuffled", shuffled)):
        values = []
        for plane in planes:
            x = torch.from_numpy(model.normalisation.to_network(plane))[None, None]
            source = random_noise(torch.Generator().manual_seed(0))
            with torch.inference_mode():
                bound = elbo(model.network, x, likelihood, source)
            values.append(float(bound.value(1.0)) - np.log(model.normalisation.scale))
        print(f"ELBO, nats per pixel of intensity / σ, {name}: {np.mean(values):.3f}")


if __name__ == "__main__":
    main()
