"""Noise models in words, in the image's own intensity units."""

from __future__ import annotations

from napari_vae_restore.noise.autoregression import Autoregression
from napari_vae_restore.noise.correlation import WHITE, lag_one
from napari_vae_restore.noise.mixture import MixtureNoise
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise


def describe_noise(noise: NoiseModel | None) -> str:
    """Say what a noise model is; of None, that images or channels differ.

    Examples
    --------
    >>> from napari_vae_restore.noise.notation import parse_noise
    >>> describe_noise(parse_noise("gaussian:25@row:0.8"))
    'Gaussian, standard deviation 25, correlated along rows (X): lag-1 0.80'
    """
    if isinstance(noise, GaussianNoise):
        text = f"Gaussian, standard deviation {noise.sigma:.4g}"
    elif isinstance(noise, PoissonGaussianNoise):
        sign = "−" if noise.b < 0 else "+"
        text = f"Poisson-Gaussian, variance = {noise.a:.4g} · signal {sign} {abs(noise.b):.4g}"
    elif isinstance(noise, MixtureNoise):
        first, last = (
            float(noise.variance(knot)) ** 0.5 for knot in noise.knots[:: len(noise.knots) - 1]
        )
        text = (
            f"mixture of {len(noise.weights[0])} Gaussians, standard deviation {first:.4g} at "
            f"{noise.knots[0]:.4g} to {last:.4g} at {noise.knots[-1]:.4g}, "
            f"{noise.outliers:.2g} of the pixels outliers"
        )
    else:
        return "differs between the images or channels, measured for each"
    if noise.correlation == WHITE:
        return text
    y, x = lag_one(noise.correlation)
    if not isinstance(noise.correlation, Autoregression):
        return f"{text}, correlated between neighbours: {y:.2f} along Y, {x:.2f} along X"
    along = {
        "row": f"along rows (X): lag-1 {x:.2f}",
        "column": f"along columns (Y): lag-1 {y:.2f}",
        "plane": f"in both directions: lag-1 {y:.2f} along Y, {x:.2f} along X",
    }
    return f"{text}, correlated {along[noise.correlation.direction]}"
