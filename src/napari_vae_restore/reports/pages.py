"""Pages of HTML that need nothing beside them: tables, plots as SVG, pictures as PNG.

Every text that is given is escaped: names come from whoever made a file. This module knows
neither models nor what a page is about.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BAR, _ROW, _LABEL, _VALUE = 260, 24, 90, 70
"""Pixels: length of the longest bar, height of a row, width of the texts beside it."""
_PANEL: Final = (400, 240)
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 14, 150, 46
"""Pixels: a plot's inside, and what is around it."""
_TICKS: Final = 5
_N_COLOURS: Final = 6
_MARGIN: Final = 0.06
"""Of a plot's range, left free at its ends."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1e21; --faint: #6b7280; --line: #e2e5ea;
  --page: #ffffff; --bar: #3b82c4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #9aa2ad;
  --line: #363b43; --page: #1b1e23; --bar: #5aa2e0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 52rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 1.25rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { color: var(--faint); margin: .4rem 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1rem .35rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.facts th { font-weight: 600; width: 9rem; }
.grid td { font-variant-numeric: tabular-nums; }
.chosen td { font-weight: 600; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top; }
figcaption { color: var(--faint); font-size: 13px; }
img { image-rendering: pixelated; max-width: 100%; border-radius: 4px; }
svg { max-width: 100%; height: auto; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg rect { fill: var(--bar); }
svg .axis { stroke: var(--faint); fill: none; }
svg .grid { stroke: var(--line); }
.c0 { --c: #3b82c4; } .c1 { --c: #d9772b; } .c2 { --c: #3d9a58; }
.c3 { --c: #b5489b; } .c4 { --c: #8a7a1f; } .c5 { --c: #7a6ad0; }
svg .curve { stroke: var(--c); fill: none; stroke-width: 1.8; }
svg .dot { fill: var(--c); }
svg .aim { stroke: var(--faint); stroke-dasharray: 4 4; fill: none; }
"""

_PRINTED: Final = """
text { fill: #1c1e21; font: 13px sans-serif; }
.axis { stroke: #6b7280; fill: none; } .grid { stroke: #e2e5ea; }
.aim { stroke: #6b7280; stroke-dasharray: 4 4; fill: none; }
.curve { fill: none; stroke-width: 1.8; }
.c0 .curve { stroke: #3b82c4; } .c1 .curve { stroke: #d9772b; } .c2 .curve { stroke: #3d9a58; }
.c3 .curve { stroke: #b5489b; } .c4 .curve { stroke: #8a7a1f; } .c5 .curve { stroke: #7a6ad0; }
.c0 .dot { fill: #3b82c4; } .c1 .dot { fill: #d9772b; } .c2 .dot { fill: #3d9a58; }
.c3 .dot { fill: #b5489b; } .c4 .dot { fill: #8a7a1f; } .c5 .dot { fill: #7a6ad0; }
"""
"""Of a plot alone: programs other than browsers know no variables."""


def document(title: str, body: str, *, meta: str = "") -> str:
    """A whole page.

    Parameters
    ----------
    title : str
        In the window's bar, and above.
    body : str
        HTML.
    meta : str
        HTML for its head.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{meta}
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of a label and its text in each row."""
    lines = (
        f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in rows
    )
    return f'<table class="facts">{"".join(lines)}</table>'


def grid(rows: Sequence[Sequence[str]], chosen: int | None = None) -> str:
    """A table whose first row is its heading; row `chosen` of the others stands out."""
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    lines = []
    for number, row in enumerate(rows[1:]):
        mark = ' class="chosen"' if number == chosen else ""
        lines.append(f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    return f'<table class="grid"><tr>{heading}</tr>{"".join(lines)}</table>'


def bars(values: Sequence[tuple[str, float]], form: str = ".4f") -> str:
    """Bars as SVG, the longest of full length; at least one."""
    largest = max(max(value for _, value in values), 1e-12)
    parts = []
    for index, (label, value) in enumerate(values):
        top, length = index * _ROW, max(_BAR * max(value, 0.0) / largest, 1.0)
        middle = top + 0.7 * _ROW
        parts.append(
            f'<text x="0" y="{middle:.1f}">{escape(label)}</text>'
            f'<rect x="{_LABEL}" y="{top + 4}" rx="2" width="{length:.1f}" '
            f'height="{_ROW - 8}"/>'
            f'<text x="{_LABEL + length + 8:.1f}" y="{middle:.1f}">{value:{form}}</text>'
        )
    width, height = _LABEL + _BAR + _VALUE, _ROW * len(values)
    return f'<svg width="{width}" height="{height}" role="img">{"".join(parts)}</svg>'


@dataclass(frozen=True, slots=True)
class Curve:
    """Points that belong together.

    Attributes
    ----------
    name : str
        For the legend.
    x, y : tuple of float
        As many of both, finite.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves on two axes.

    Attributes
    ----------
    curves : tuple of Curve
        At least one.
    x, y : str
        What the axes show, with units.
    is_log : bool
        Whether x is shown by its logarithm, with its values as ticks.
    diagonal : bool
        Whether a broken line shows where y is x.
    """

    curves: tuple[Curve, ...]
    x: str
    y: str
    is_log: bool = False
    diagonal: bool = False

    def svg(self, *, alone: bool = False) -> str:
        """As SVG for a page, or as a file that stands `alone`."""
        width, height = _LEFT + _PANEL[0] + _RIGHT, _TOP + _PANEL[1] + _BOTTOM
        about = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"'
        style = ""
        if alone:
            about += ' xmlns="http://www.w3.org/2000/svg"'
            behind = f'<path fill="white" d="M0 0H{width}V{height}H0z"/>'
            style = f"<style>{_PRINTED}</style>{behind}"
        return f"<svg {about}>{style}{''.join([*self._axes(), *self._curves()])}</svg>"

    def _range(self, values: list[float]) -> tuple[float, float]:
        low, high = min(values), max(values)
        margin = _MARGIN * (high - low) or _MARGIN * max(abs(high), 1.0)
        return low - margin, high + margin

    def _placed(self, x: float, y: float) -> tuple[float, float]:
        across = [self._scaled(value) for curve in self.curves for value in curve.x]
        up = [value for curve in self.curves for value in curve.y]
        if self.diagonal:
            across = up = [*across, *up]
        (left, right), (low, high) = self._range(across), self._range(up)
        return (
            _LEFT + _PANEL[0] * (self._scaled(x) - left) / (right - left),
            _TOP + _PANEL[1] * (high - y) / (high - low),
        )

    def _scaled(self, x: float) -> float:
        return math.log2(x) if self.is_log else x

    def _axes(self) -> list[str]:
        width, height = _PANEL
        bottom = _TOP + height
        values = sorted({value for curve in self.curves for value in curve.x})
        up = [value for curve in self.curves for value in curve.y]
        parts = []
        for y in _ticks(min(up), max(up)):
            _, place = self._placed(values[0], y)
            parts.append(
                f'<path class="grid" d="M{_LEFT} {place:.1f}h{width}"/>'
                f'<text x="{_LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{y:g}</text>'
            )
        for x in values if self.is_log else _ticks(values[0], values[-1]):
            place, _ = self._placed(x, up[0])
            parts.append(
                f'<path class="axis" d="M{place:.1f} {bottom}v4"/>'
                f'<text x="{place:.1f}" y="{bottom + 18}" text-anchor="middle">{x:g}</text>'
            )
        middle = _TOP + height / 2
        parts += [
            f'<path class="axis" d="M{_LEFT} {_TOP}v{height}h{width}"/>',
            f'<text x="{_LEFT + width / 2}" y="{bottom + 38}" text-anchor="middle">'
            f"{escape(self.x)}</text>",
            f'<text x="14" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 14 {middle})">{escape(self.y)}</text>',
        ]
        if self.diagonal:
            low, high = min([*values, *up]), max([*values, *up])
            ends = [self._placed(end, end) for end in (low, high)]
            parts.append(f'<path class="aim" d="{_path(ends)}"/>')
        return parts

    def _curves(self) -> list[str]:
        parts = []
        for number, curve in enumerate(self.curves):
            points = [self._placed(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
            dots = "".join(
                f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points
            )
            line, place = _LEFT + _PANEL[0] + 16, _TOP + 10 + number * 20
            parts.append(
                f'<g class="c{number % _N_COLOURS}"><path class="curve" d="{_path(points)}"/>'
                f'{dots}<circle class="dot" cx="{line}" cy="{place}" r="4"/>'
                f'<text x="{line + 10}" y="{place + 4}">{escape(curve.name)}</text></g>'
            )
        return parts


def picture(pixels: NDArray[np.uint8], about: str, enlarged: int = 1) -> str:
    """A picture, (H, W) or (H, W, 3), with each pixel `enlarged` times as high and wide."""
    from PIL import Image

    image = Image.fromarray(pixels)
    size = (enlarged * image.width, enlarged * image.height)
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="{escape(about)}" src="data:image/png;base64,{data}">'


def captioned(content: str, caption: str) -> str:
    """A picture or plot with a line below it."""
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two."""
    if high <= low:
        return [low]
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]
