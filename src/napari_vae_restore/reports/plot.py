"""Curves on two axes, drawn as SVG: no plotting library is needed, and any browser shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from napari_vae_restore.reports.pages import render

# Pixels: a plot's inside, and the space around it.
_WIDTH, _HEIGHT = 400, 240
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 14, 150, 46
_TICKS: Final = 5
_MARGIN: Final = 0.06  # share of a plot's range that is left free at its ends


@dataclass(frozen=True, slots=True)
class Curve:
    """Points that belong together; as many x as y, all finite."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    has_line: bool = True
    has_dots: bool = True


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves on two axes, at least one; `x` and `y` label the axes, with units."""

    curves: tuple[Curve, ...]
    x: str
    y: str
    is_log: bool = False  # x by its logarithm, with its values as ticks
    diagonal: bool = False  # a broken line where y is x
    from_zero: bool = False  # y begins at 0

    def svg(self, frame: Literal["page", "file", "group"] = "page") -> str:
        """As SVG for a page, for a file of its own, or as a part of another SVG: Qt shows no
        SVG within an SVG."""
        x_values = sorted({x for curve in self.curves for x in curve.x})
        y_values = [y for curve in self.curves for y in curve.y]
        y_values += [0.0] if self.from_zero else []
        across, up = [self._scaled(x) for x in x_values], y_values
        if self.diagonal:
            across = up = [*across, *up]
        left, right = _range(across)
        low, high = _range(up)

        def place(x: float, y: float) -> tuple[float, float]:
            return (
                round(_LEFT + _WIDTH * (self._scaled(x) - left) / (right - left), 1),
                round(_TOP + _HEIGHT * (high - y) / (high - low), 1),
            )

        x_ticks = x_values if self.is_log else _ticks(x_values[0], x_values[-1])
        y_ticks = _ticks(min(y_values), max(y_values))
        return render(
            "plot.svg",
            frame=frame,
            width=_LEFT + _WIDTH + _RIGHT,
            height=_TOP + _HEIGHT + _BOTTOM,
            left=_LEFT,
            top=_TOP,
            bottom=_TOP + _HEIGHT,
            inner_width=_WIDTH,
            x=self.x,
            y=self.y,
            x_ticks=[(place(x, y_values[0])[0], f"{x:g}") for x in x_ticks],
            y_ticks=[(place(x_values[0], y)[1], f"{y:g}") for y in y_ticks],
            diagonal=self.diagonal and [place(end, end) for end in (min(up), max(up))],
            curves=[
                (curve, [place(x, y) for x, y in zip(curve.x, curve.y, strict=True)])
                for curve in self.curves
            ],
        )

    def _scaled(self, x: float) -> float:
        return math.log2(x) if self.is_log else x


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or _MARGIN * max(abs(high), 1.0)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """About five round values between two."""
    if high <= low:
        return [low]
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]
