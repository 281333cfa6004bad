"""The textbook VAE on faces: what it learns, draws and restores, against PCA and an HVAE.

The data are the 100 faces of 25 × 25 pixels in scikit-image's ``lfw_subset``, values from 0 to
1. In each of five rounds twenty of them are held out, each once. Three questions:

* ``--part latents``: how near do the mean, PCA and the textbook VAE come to held-out faces?
  All see the other 80 faces and the 100 pictures of no faces, in all places of 24 × 24 pixels
  and mirrored, and have a vector of the same length.
* ``--part restoring``: one round; faces with noise, holes and at half the size, restored by
  a textbook VAE and by a hierarchical one that saw the same noisy faces for the same time.
  Both solve all tasks in the same way, by alternating between model and data.
* ``-o FOLDER``: pictures of all this to look at.

::

    python benchmarks/textbook.py --part latents
    python benchmarks/textbook.py --part restoring -o FOLDER
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.generation.network_inputs import padded_to
from napari_vae_restore.models.config import FlatVAEConfig, HVAEConfig, ModelConfig
from napari_vae_restore.models.model import Model

N_FACES, ROUNDS = 100, 5
SIDE, CUT = 28, 24
SIGMA = 0.2
"""Of the noise to restore from, and that of the likelihood."""
SIZES = (1, 2, 4)
COPIES, COPY_SIGMA = 8, 0.1
"""Of every picture the VAE sees so many with noise, or its encoder knows them by heart."""
Z_DIM = 8
N_TURNS = 30
HOLE = slice(8, 17)
SHOWN = 8
ENLARGED = 4

Faces = NDArray[np.float32]


def main() -> None:
    """Run a part, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("latents", "restoring"), default="latents")
    parser.add_argument("--steps", type=int, default=600, help="of each VAE of the first part")
    parser.add_argument("--budget", default="30 s", help="of each VAE of the second part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="folder for the pictures")
    given = parser.parse_args()
    faces = data.lfw_subset()[:N_FACES].astype(np.float32)
    rounds = np.array_split(np.random.default_rng(given.seed).permutation(N_FACES), ROUNDS)
    if given.part == "latents":
        latents(faces, rounds, given.steps, given.seed, given.output)
    else:
        restoring(faces, rounds[0], given.budget, given.seed, given.output)


def latents(
    faces: Faces, rounds: list[NDArray[Any]], steps: int, seed: int, folder: Path | None
) -> None:
    """Squared error of held-out faces, rebuilt from vectors of several lengths."""
    errors: dict[str, list[float]] = {}
    others = data.lfw_subset()[N_FACES:].astype(np.float32)
    rng = np.random.default_rng(seed + 2)
    for unseen in rounds:
        known = np.concatenate([np.delete(faces, unseen, axis=0), others])
        held_out = faces[unseen][:, :CUT, :CUT]
        seen = cuts(known)
        errors.setdefault("mean", []).append(mse(seen.mean(0), held_out))
        copies = np.concatenate([known] * COPIES)
        copies += COPY_SIGMA * rng.standard_normal(copies.shape).astype(np.float32)
        for n in SIZES:
            projected = pca(seen, held_out, n)
            errors.setdefault(f"PCA {n}", []).append(mse(projected, held_out))
            started = time.monotonic()
            config = FlatVAEConfig(size=CUT, width=8, z_dim=n)
            settings = vr.TrainingSettings(
                batch=32, patch=CUT, learning_rate=5e-3, patience=1.0, symmetries=2
            )
            model = vr.train(
                copies,
                steps=steps,
                noise=f"gaussian:{SIGMA}",
                config=config,
                settings=settings,
                seed=seed,
            )
            rebuilt = vr.decode(vr.encode(held_out, model), model)
            errors.setdefault(f"VAE {n}", []).append(mse(rebuilt, held_out))
            errors.setdefault(f"seconds {n}", []).append(time.monotonic() - started)
            if folder and n == SIZES[-1] and unseen is rounds[0]:
                drawn = vr.sample(model, SHOWN, seed=seed)
                rows = [held_out, projected, rebuilt, drawn]
                write(folder / "textbook-faces.png", [row[:SHOWN] for row in rows])
    print(f"mean: {np.mean(errors['mean']):.5f}")
    print("| latents | PCA | VAE | rounds in which the VAE is nearer | s |")
    for n in SIZES:
        p, v = np.array(errors[f"PCA {n}"]), np.array(errors[f"VAE {n}"])
        took = np.mean(errors[f"seconds {n}"])
        print(f"| {n} | {p.mean():.5f} | {v.mean():.5f} | {(v < p).sum()} | {took:.0f} |")


def restoring(
    faces: Faces, unseen: NDArray[Any], budget: str, seed: int, folder: Path | None
) -> None:
    """PSNR (range 1) of held-out faces, restored by both kinds and by the bundled model.

    Holes are scored inside.
    """
    rng = np.random.default_rng(seed + 1)
    known, clean = np.delete(faces, unseen, axis=0), faces[unseen]
    noisy = known + SIGMA * rng.standard_normal(known.shape).astype(np.float32)
    degraded = {
        "noise": clean + SIGMA * rng.standard_normal(clean.shape).astype(np.float32),
        "hole": clean.copy(),
        "half size": enlarged(halved(padded(clean)))[:, : clean.shape[1], : clean.shape[2]],
    }
    degraded["hole"][:, HOLE, HOLE] = 0.5
    rows = [clean[:SHOWN], *(image[:SHOWN] for image in degraded.values())]
    configs: dict[str, ModelConfig] = {
        "textbook VAE": FlatVAEConfig(size=SIDE, width=4, z_dim=Z_DIM),
        "hierarchical VAE": HVAEConfig(levels=3, width=16, latent=8),
    }
    names = list(degraded)
    print("| | " + " | ".join(names) + " | ELBO | s |")
    print("| as given | " + " | ".join(scores(degraded, clean)) + " | | |")
    for kind, config in configs.items():
        settings = None
        if isinstance(config, HVAEConfig):
            settings = vr.TrainingSettings(patch=32, batch=16, beta_warmup=0.1, symmetries=2)
        model = vr.train(
            noisy,
            budget=budget,
            noise=f"gaussian:{SIGMA}",
            config=config,
            settings=settings,
            seed=seed,
        )
        restored = {
            "noise": vr.denoise(degraded["noise"], model, n_samples=0).mean,
            "hole": filled(model, degraded["hole"]),
            "half size": super_resolved(model, degraded["half size"]),
        }
        told = " | ".join(scores(restored, clean))
        elbo = vr.evaluate(model, degraded["noise"]).elbo
        print(f"| {kind} | {told} | {elbo:.3f} | {model.record.seconds:.0f} |")
        rows += [restored[name][:SHOWN] for name in names]
        if folder:
            drawn = vr.sample(model, SHOWN, seed=seed)[:, :SIDE, :SIDE]
            write(folder / f"textbook-samples-{config.__class__.__name__}.png", [drawn])
    restored = bundled(degraded)
    print("| bundled model | " + " | ".join(scores(restored, clean)) + " | | |")
    rows += [restored[name][:SHOWN] for name in names]
    if folder:
        write(folder / "textbook-restored.png", rows)


def bundled(degraded: dict[str, Faces]) -> dict[str, Faces]:
    """The same by the model that comes with the package, face by face."""
    mask = np.zeros(degraded["hole"].shape[1:], bool)
    mask[HOLE, HOLE] = True
    small = halved(padded(degraded["half size"]))
    side = slice(0, mask.shape[0])
    return {
        "noise": np.stack(
            [vr.denoise(face, noise=f"gaussian:{SIGMA}").mean for face in degraded["noise"]]
        ),
        "hole": np.stack(
            [vr.restore(face, vr.Inpaint(mask)).mean for face in degraded["hole"]]
        ),
        "half size": np.stack([vr.super_resolve(f, factor=2).mean[side, side] for f in small]),
    }


def scores(found: dict[str, Faces], clean: Faces) -> list[str]:
    """PSNR of each task, in the order in which they were given."""
    values = []
    for name, images in found.items():
        place = (slice(None), HOLE, HOLE) if name == "hole" else (slice(None),)
        values.append(f"{psnr(images[place], clean[place]):.2f}")
    return values


def filled(model: Model, holed: Faces) -> Faces:
    """Inpainting as Rezende et al. 2014 (arXiv:1401.4082, appendix F): rebuild, put back."""
    current = holed.copy()
    for _ in range(N_TURNS):
        rebuilt = vr.decode(vr.encode(current, model), model)
        current[:, HOLE, HOLE] = rebuilt[:, HOLE, HOLE]
    return current


def super_resolved(model: Model, blocks: Faces) -> Faces:
    """The same with the means of 2 × 2 pixels put back."""
    known = halved(padded(blocks))
    current = padded(blocks)
    for _ in range(N_TURNS):
        current = vr.decode(vr.encode(current, model), model)
        current += enlarged(known - halved(current))
    return current[:, : blocks.shape[1], : blocks.shape[2]]


def pca(known: Faces, held_out: Faces, n: int) -> Faces:
    """Held-out faces, projected on the first components of the known ones."""
    mean = known.mean(0).ravel()
    covariance = np.cov((known.reshape(len(known), -1) - mean).T)
    components = np.linalg.eigh(covariance)[1][:, ::-1][:, :n]
    scores = (held_out.reshape(len(held_out), -1) - mean) @ components
    return (scores @ components.T + mean).reshape(held_out.shape)


def cuts(images: Faces) -> Faces:
    """All places of 24 × 24 pixels, and their mirror images."""
    places = range(images.shape[1] - CUT + 1)
    found = [images[:, y : y + CUT, x : x + CUT] for y in places for x in places]
    return np.concatenate([*found, *(cut[:, :, ::-1] for cut in found)])


def padded(images: Faces) -> Faces:
    """Mirrored on to what the textbook VAE sees."""
    return padded_to(images, SIDE)


def halved(images: Faces) -> Faces:
    """Means of 2 × 2 pixels."""
    n, height, width = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))


def enlarged(images: Faces) -> Faces:
    """Every pixel 2 × 2 times."""
    return images.repeat(2, 1).repeat(2, 2)


def mse(x: Faces, y: Faces) -> float:
    """Mean squared error."""
    return float(np.square(x.astype(np.float64) - y).mean())


def psnr(x: Faces, y: Faces) -> float:
    """dB, range 1, of the mean squared error over all faces."""
    return float(-10 * np.log10(mse(x, y)))


def write(path: Path, rows: list[Faces]) -> None:
    """Rows of pictures, enlarged."""
    page = np.vstack([np.hstack(list(row)) for row in rows])
    pixels = (255 * np.clip(page, 0, 1)).round().astype(np.uint8)
    iio.imwrite(path, pixels.repeat(ENLARGED, 0).repeat(ENLARGED, 1))


if __name__ == "__main__":
    main()
