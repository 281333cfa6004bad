"""Noise models in words, in the image's own intensity units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore.noise.autoregression import Autoregression

if TYPE_CHECKING:
    from napari_vae_restore.noise.correlation import Correlation
    from napari_vae_restore.noise.models import NoiseModel

_ALONG = {"row": "along rows (X)", "column": "along columns (Y)", "plane": "in both directions"}


def describe_noise(noise: NoiseModel | None) -> str:
    """Return what a noise model says; of None, that images or channels differ.

    Examples
    --------
    >>> from napari_vae_restore.noise.notation import parse_noise
    >>> describe_noise(parse_noise("gaussian:25@row:0.8"))
    'Gaussian, standard deviation 25, correlated along rows (X): lag-1 0.80'
    """
    from napari_vae_restore.noise.mixture import MixtureNoise
    from napari_vae_restore.noise.models import GaussianNoise, PoissonGaussianNoise

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
    neighbours = describe_correlation(noise.correlation)
    return f"{text}, {neighbours}" if neighbours else text


def describe_correlation(correlation: Correlation) -> str:
    """Return what neighbours have in common; nothing for white noise."""
    from napari_vae_restore.noise.correlation import WHITE, lag_one

    if correlation == WHITE:
        return ""
    y, x = lag_one(correlation)
    if not isinstance(correlation, Autoregression):
        return f"correlated between neighbours: {y:.2f} along Y, {x:.2f} along X"
    along = _ALONG[correlation.direction]
    lags = {
        "row": f"{x:.2f}",
        "column": f"{y:.2f}",
        "plane": f"{y:.2f} along Y, {x:.2f} along X",
    }
    return f"correlated {along}: lag-1 {lags[correlation.direction]}"
