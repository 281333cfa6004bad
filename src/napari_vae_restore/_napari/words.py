"""Tasks, noise and the outcome of a restoration in plain words; no Qt and no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.restoration.tasks import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.result import Diagnostics
    from napari_vae_restore.restoration.tasks import Task

_LEAST_CORRELATION = 0.05  # below it, neighbours are as good as independent
_MAX_CHANNELS = 4
_WARNING_SIGN = "⚠"
_NO_BREAK = "\N{NO-BREAK SPACE}"


def doing(tasks: Iterable[Task]) -> str:
    """Name of a computation, after the one of its tasks that changes most."""
    given = {task.kind for task in tasks}
    boldest = next(kind for kind in reversed(KINDS) if kind in given)
    return KINDS[boldest].doing.capitalize()


def done(kinds: Iterable[str]) -> str:
    """Name of a result after its tasks, such as "denoised and inpainted"."""
    return " and ".join(KINDS[kind].done for kind in kinds)


def account(
    first: str, image: NDArray[Any], axes: str, diagnostics: Diagnostics, *, is_whole: bool
) -> str:
    """Report a restoration: noise and residual in a paragraph, each warning in one of its own.

    `first` is the sentence to begin with. A part of an image (not `is_whole`) gives no
    warnings, which only the whole can justify.
    """
    planes = Layout.of(image, axes).to_planes(image)
    levels = [float(planes[:, channel].mean()) for channel in range(planes.shape[1])]
    noise = noise_in_words(diagnostics.noise, levels) if diagnostics.noise else ""
    parts = (first, noise, diagnostics.verdict.text)
    paragraphs = [" ".join(part for part in parts if part)]
    paragraphs += diagnostics.findings
    paragraphs += [f"{note[:1].upper()}{note[1:]}." for note in diagnostics.notes]
    if is_whole and diagnostics.warnings:
        paragraphs.append(as_paragraphs(diagnostics.warnings))
    return "\n\n".join(paragraphs)


def as_paragraphs(warnings: Iterable[str]) -> str:
    """Warnings as paragraphs, each behind a warning sign."""
    return "\n\n".join(f"{_WARNING_SIGN} {warning}" for warning in warnings)


def noise_in_words(noise: Sequence[NoiseModel], levels: Sequence[float]) -> str:
    """Measured noise in one sentence, with `levels` the mean intensity of each channel.

    Empty without noise. A number stays on one line with its σ.

    >>> from napari_vae_restore.noise.models import PoissonGaussianNoise
    >>> noise_in_words([GaussianNoise(12.34, (0.6, 0.62))], [100])
    'Noise: σ\\xa012.3, correlated between neighbours (0.6).'
    >>> noise_in_words([PoissonGaussianNoise(0.8, 4.0)], [120])
    'Noise: σ\\xa010 on average, more where it is brighter.'
    """
    words = (_one_in_words(each, level) for each, level in zip(noise, levels, strict=True))
    found = list(dict.fromkeys(words))
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
