"""Pictures that show a restoration: panels side by side, with a close-up of each.

It draws arrays into an array; it knows nothing of models, files or the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.float64]

_PANEL = 512  # pixels of a panel's sides; a power of two, as are the magnifications
_GAP = 12
_CAPTION = 62
_CLOSE_UP = 4  # the image's shorter side is about that many times the close-up's

_BACKGROUND = (18, 18, 20)
_TEXT = (240, 240, 240)
_FAINT = (170, 170, 175)
_FRAME = (255, 196, 0)

_CONTRAST = (0.5, 99.7)  # percentiles of an image that become black and white
_TOP_UNCERTAINTY = 99.7

# Black over violet and orange to pale yellow: even steps of lightness, and the same
# order to colour-blind eyes.
_COLOURS = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)],
    np.float64,
)


def to_grey(plane: FloatArray, low: float, high: float) -> Picture:
    """(H, W) intensities to 8 bits, `low` black and `high` white."""
    grey: Picture = np.rint(255 * _unit(plane, low, high)).astype(np.uint8)
    return grey


def to_colour(plane: FloatArray, high: float) -> Picture:
    """(H, W) values to (H, W, 3) colours, 0 black and `high` pale yellow."""
    positions = np.linspace(0, 1, len(_COLOURS))
    unit = _unit(plane, 0.0, high)
    channels = [np.interp(unit, positions, channel) for channel in _COLOURS.T]
    colours: Picture = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colours


def contrast_limits(plane: FloatArray) -> tuple[float, float]:
    """Intensities that become black and white, for all images of a comparison."""
    low, high = np.percentile(plane, _CONTRAST)
    return float(low), float(high)


def uncertainty_limit(std: FloatArray) -> float:
    """Standard deviation that is drawn in the brightest colour."""
    return float(np.percentile(std, _TOP_UNCERTAINTY))


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One picture of a comparison, and the text above it."""

    picture: Picture  # (H, W) grey or (H, W, 3) colour
    title: str
    subtitle: str


def comparison(panels: Sequence[Panel], focus: FloatArray) -> Picture:
    """Draw pictures of one size side by side, (height, width, 3) uint8.

    Below each, a close-up shows where `focus` (H, W) has the most detail.
    """
    rows, cols = _close_up(focus)
    width = len(panels) * _PANEL + (len(panels) + 1) * _GAP
    canvas = Image.new("RGB", (width, _CAPTION + 2 * _PANEL + 3 * _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for n, panel in enumerate(panels):
        left = _GAP + n * (_PANEL + _GAP)
        draw.text((left, 8), panel.title, fill=_TEXT, font=ImageFont.load_default(26))
        draw.text((left, 40), panel.subtitle, fill=_FAINT, font=ImageFont.load_default(15))
        whole, scale, offset = _fitted(panel.picture)
        canvas.paste(whole, (left, _CAPTION))
        x, y = left + offset[0], _CAPTION + offset[1]
        start = (x + cols.start * scale, y + rows.start * scale)
        stop = (x + cols.stop * scale, y + rows.stop * scale)
        draw.rectangle([start, stop], outline=_FRAME, width=2)
        below = _CAPTION + _PANEL + _GAP
        canvas.paste(_fitted(panel.picture[rows, cols])[0], (left, below))
        corner = (left + _PANEL - 1, below + _PANEL - 1)
        draw.rectangle([(left, below), corner], outline=_FRAME, width=2)
    return np.asarray(canvas)


def _unit(plane: FloatArray, low: float, high: float) -> FloatArray:
    return np.clip((plane - low) / max(high - low, 1e-12), 0, 1)


def _fitted(picture: Picture) -> tuple[Image.Image, float, tuple[int, int]]:
    """The picture in the middle of a panel, its scale, and where its corner lies."""
    height, width = picture.shape[:2]
    scale = _PANEL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Enlarged pixels stay visible as pixels.
    method = Image.Resampling.NEAREST if scale % 1 == 0 else Image.Resampling.BICUBIC
    panel = Image.new("RGB", (_PANEL, _PANEL), _BACKGROUND)
    corner = (_PANEL - size[0]) // 2, (_PANEL - size[1]) // 2
    panel.paste(Image.fromarray(picture).resize(size, method), corner)
    return panel, scale, corner


def _close_up(denoised: FloatArray) -> tuple[slice, slice]:
    """The square with the steepest slopes, off the border where there is room."""
    shape = denoised.shape
    fields = min(shape) / _CLOSE_UP
    side = min(*shape, _PANEL >> round(np.log2(max(1.0, _PANEL / fields))))
    slopes = np.hypot(*np.gradient(denoised))
    squares = [
        (slice(row, row + side), slice(column, column + side))
        for row in _starts(shape[0], side)
        for column in _starts(shape[1], side)
    ]
    return max(squares, key=lambda square: float(slopes[square].mean()))


def _starts(length: int, side: int) -> range:
    margin = side // 4 if length >= 2 * side else 0
    return range(margin, length - side - margin + 1, max(1, side // 4))
