"""A picture of noise as SVG: variance against signal, and an autocorrelation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.noise.words import describe_noise
from napari_vae_restore.reports.channel_noise import ChannelNoise
from napari_vae_restore.reports.pages import render
from napari_vae_restore.reports.plot import Curve, Plot

_CURVE_POINTS: Final = 100
_LEAST_SHOWN: Final = 0.1  # autocorrelation from which on it is written into its cell


def draw(channels: Sequence[ChannelNoise]) -> str:
    """Draw a row of two panels for each channel."""
    rows = [
        (
            describe_noise(each.noise),
            _variance_plot(each),
            [_cells(row) for row in each.autocorrelation],
        )
        for each in channels
    ]
    return render("noise.svg", channels=rows)


def _variance_plot(channel: ChannelNoise) -> Plot:
    """Measured variances as dots, the model's as a line."""
    curve = channel.curve
    signal = np.linspace(curve.signal.min(), curve.signal.max(), _CURVE_POINTS)
    measured, model = curve.variance.tolist(), channel.noise.variance(signal).tolist()
    return Plot(
        (
            Curve("measured", tuple(curve.signal.tolist()), tuple(measured), has_line=False),
            Curve("model", tuple(signal.tolist()), tuple(model), has_dots=False),
        ),
        "signal",
        "variance of the noise",
        from_zero=True,
    )


def _cells(row: NDArray[np.float64]) -> list[tuple[str, str]]:
    """The colour of each lag, and its value where it is large."""
    return [
        (_colour(v), f"{v:.1f}".replace("0.", ".") if abs(v) >= _LEAST_SHOWN else "")
        for v in row.tolist()
    ]


def _colour(value: float) -> str:
    """White at 0, red at 1, blue at -1."""
    strength = min(abs(value), 1.0)
    strong = (200, 40, 40) if value > 0 else (40, 80, 200)
    mixed = (round(255 + strength * (channel - 255)) for channel in strong)
    return "#{:02x}{:02x}{:02x}".format(*mixed)
