"""A picture of noise, as SVG: variance against signal, and an autocorrelation.

SVG is text, so that no plotting library is needed, and any browser shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.noise.estimation.residuals import VarianceCurve
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.words import describe_noise

FloatArray: TypeAlias = NDArray[np.float64]

_PANEL: Final = (320, 260)  # width and height of a panel's inside
_LEFT: Final = 80
_TOP: Final = 50
_GAP: Final = 110
_ROW: Final = 360
_WIDTH: Final = _LEFT + _PANEL[0] + _GAP + _PANEL[1] + 30
_CURVE_POINTS: Final = 100
_TICKS: Final = 4
_LEAST_SHOWN: Final = 0.1  # autocorrelation that is written into its cell


def draw(channels: Sequence[tuple[NoiseModel, VarianceCurve, FloatArray]]) -> str:
    """Draw a row of two panels for each channel.

    Parameters
    ----------
    channels : sequence of tuple
        Noise model, measured variance against signal, and autocorrelation of the
        residual, (2 R + 1, 2 R + 1).

    Returns
    -------
    str
        SVG.
    """
    height = _ROW * len(channels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for row, (noise, curve, lags) in enumerate(channels):
        parts.append(f'<g transform="translate(0 {row * _ROW})">')
        parts.append(_text(_LEFT, 24, describe_noise(noise), anchor="start"))
        parts += _variance_panel(noise, curve)
        parts += _lag_panel(lags)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


def _variance_panel(noise: NoiseModel, curve: VarianceCurve) -> list[str]:
    """Measured variances as dots, the model's as a line."""
    width, height = _PANEL
    low, high = float(curve.signal.min()), float(curve.signal.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    signal = np.linspace(low, high, _CURVE_POINTS)
    model = noise.variance(signal)
    top = 1.08 * max(float(curve.variance.max()), float(model.max()))

    def place(s: float, v: float) -> tuple[float, float]:
        return _LEFT + width * (s - low) / (high - low), _TOP + height * (1 - v / top)

    parts = [_frame(_LEFT, width)]
    for s in _ticks(low, high):
        x, y = place(s, 0)
        parts += [_line(x, y, x, y + 4), _text(x, y + 18, f"{s:g}")]
    for v in _ticks(0, top):
        x, y = place(low, v)
        parts += [_line(x - 4, y, x, y), _text(x - 8, y + 4, f"{v:g}", anchor="end")]
    parts.append(_text(_LEFT + width / 2, _TOP + height + 38, "signal"))
    middle = _TOP + height / 2
    parts.append(
        f'<text transform="translate(16 {middle:.1f}) rotate(-90)" '
        'text-anchor="middle">variance of the noise</text>'
    )
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, signal, model))
    parts.append(f'<polyline points="{points}" fill="none" stroke="#d95f02" stroke-width="2"/>')
    for s, v in zip(curve.signal, curve.variance, strict=True):
        x, y = place(float(s), float(v))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#1b6ca8"/>')
    return parts


def _lag_panel(lags: FloatArray) -> list[str]:
    """A cell for each lag, blue where neighbours differ, red where they are alike."""
    side = _PANEL[1]
    left = _LEFT + _PANEL[0] + _GAP
    radius = len(lags) // 2
    cell = side / len(lags)
    parts = []
    for row, column in np.ndindex(lags.shape):
        value = float(lags[row, column])
        x, y = left + column * cell, _TOP + row * cell
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell:.2f}" height="{cell:.2f}" '
            f'fill="{_colour(value)}"/>'
        )
        if abs(value) >= _LEAST_SHOWN:
            shown = f"{value:.1f}".replace("0.", ".")
            parts.append(_text(x + cell / 2, y + cell / 2 + 3, shown, size=8))
    parts.append(_frame(left, side))
    for lag in range(-radius, radius + 1, 2):
        centre = (lag + radius + 0.5) * cell
        parts.append(_text(left + centre, _TOP + side + 18, str(lag)))
        parts.append(_text(left - 8, _TOP + centre + 4, str(lag), anchor="end"))
    parts.append(_text(left + side / 2, _TOP + side + 38, "lag along X in pixels"))
    parts.append(
        f'<text transform="translate({left - 40} {_TOP + side / 2:.1f}) rotate(-90)" '
        'text-anchor="middle">lag along Y</text>'
    )
    parts.append(_text(left + side / 2, _TOP - 8, "autocorrelation of the residual"))
    return parts


def _colour(value: float) -> str:
    """White at 0, red at 1, blue at -1."""
    strength = min(abs(value), 1.0)
    strong = (200, 40, 40) if value > 0 else (40, 80, 200)
    mixed = (round(255 + strength * (channel - 255)) for channel in strong)
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _ticks(low: float, high: float) -> list[float]:
    """About four round numbers between two."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min(f for f in (1, 2, 5, 10) if f * power >= rough)
    first = math.ceil(low / step)
    return [round(n * step, 12) for n in range(first, math.floor(high / step) + 1)]


def _frame(left: float, width: float) -> str:
    return (
        f'<rect x="{left}" y="{_TOP}" width="{width}" height="{_PANEL[1]}" '
        'fill="none" stroke="#444"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#444"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )
