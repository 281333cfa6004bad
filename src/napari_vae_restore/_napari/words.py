"""What a restoration found, said in plain words; no Qt and no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.models import GaussianNoise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.result import Diagnostics

_LEAST_CORRELATION = 0.05
"""Below it, neighbours are as good as independent."""

_MAX_CHANNELS = 4
_CAUTION = "⚠"
_NO_BREAK = "\N{NO-BREAK SPACE}"


def account(
    first: str, image: NDArray[Any], axes: str, diagnostics: Diagnostics, *, is_whole: bool
) -> str:
    """Tell how a restoration went.

    Parameters
    ----------
    first : str
        The sentence to begin with.
    image : numpy.ndarray
        The restored image.
    axes : str
        Its axes.
    diagnostics : Diagnostics
        Of the restoration.
    is_whole : bool
        Whether it is all of the image: a part does not show what to be careful about.

    Returns
    -------
    str
        The noise and what the residual says in a paragraph; what was done for want of
        memory, and each warning, in one of its own.
    """
    planes = Layout.of(image, axes).to_planes(image)
    levels = [float(planes[:, channel].mean()) for channel in range(planes.shape[1])]
    noise = noise_in_words(diagnostics.noise, levels) if diagnostics.noise else ""
    parts = (first, noise, diagnostics.verdict.text)
    paragraphs = [" ".join(part for part in parts if part)]
    paragraphs += diagnostics.findings
    paragraphs += [f"{note[:1].upper()}{note[1:]}." for note in diagnostics.notes]
    if is_whole and diagnostics.warnings:
        paragraphs.append(cautious(diagnostics.warnings))
    return "\n\n".join(paragraphs)


def cautious(warnings: Iterable[str]) -> str:
    """Warnings as paragraphs that are seen; none gives no text."""
    return "\n\n".join(f"{_CAUTION} {warning}" for warning in warnings)


def noise_in_words(noise: Sequence[NoiseModel], levels: Sequence[float]) -> str:
    """The noise that was found, one sentence; empty for an image without noise.

    Parameters
    ----------
    noise : sequence of NoiseModel
        One per channel.
    levels : sequence of float
        Mean intensity of each channel, where noise that depends on it is told.

    Returns
    -------
    str
        Such as "Noise: σ 12.3, correlated between neighbours (0.6).", the number kept on
        one line with its σ.

    Examples
    --------
    >>> from napari_vae_restore.noise.models import PoissonGaussianNoise
    >>> noise_in_words([GaussianNoise(12.34, (0.6, 0.62))], [100])
    'Noise: σ\\xa012.3, correlated between neighbours (0.6).'
    >>> noise_in_words([PoissonGaussianNoise(0.8, 4.0)], [120])
    'Noise: σ\\xa010 on average, more where it is brighter.'
    """
    told = [_one_in_words(each, level) for each, level in zip(noise, levels, strict=True)]
    found = list(dict.fromkeys(told))
    if not found:
        return ""
    more = "; …" if len(found) > _MAX_CHANNELS else ""
    label = "Noise" if len(found) == 1 else "Noise of the channels"
    return f"{label}: {'; '.join(found[:_MAX_CHANNELS])}{more}."


def _one_in_words(noise: NoiseModel, level: float) -> str:
    sigma = math.sqrt(float(noise.variance(level)))
    text = f"σ{_NO_BREAK}{_rounded(sigma)}"
    if not isinstance(noise, GaussianNoise):
        text += " on average, more where it is brighter"
    correlation = max(lag_one(noise.correlation))
    if correlation >= _LEAST_CORRELATION:
        text += f", correlated between neighbours ({correlation:.1f})"
    return text


def _rounded(value: float) -> str:
    """Three digits, without an exponent where it can be avoided."""
    return f"{value:.0f}" if 100 <= value < 1e6 else f"{value:.3g}"
