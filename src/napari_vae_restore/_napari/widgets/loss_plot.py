"""Live plots of a training: loss and held-out bound; below, what else can be judged."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.utils.theme import get_theme
from qtpy import API_NAME
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

# Left to itself, pyqtgraph takes the first binding that any package has tried to import, which
# need not be the one that napari runs on.
os.environ.setdefault("PYQTGRAPH_QT_LIB", API_NAME)

import pyqtgraph as pg

from napari import Viewer
from napari_vae_restore._napari.messages import TrainingUpdate

_HEIGHT, _LOWER_HEIGHT = 140, 124
_AXIS_WIDTH = 46
_MIN_FOR_RANGE = 20
# Share of the first steps that the range leaves out: an untrained network's losses are hundreds
# of times those that matter.
_SKIPPED_SHARE = 0.1

_LOSS_COLOUR = "#4c9be8"
_HELD_OUT_COLOUR = "#e8833a"
_LEVEL_COLOURS = ("#5bbf8a", "#c58af9", "#f2c14e", "#ef6f8f", "#6fd3e8", "#b5b5b5")

_DOT = 6  # pixels
_SMOOTHING = 0.05  # weight of a new step in the smoothed loss
_LEAST_GAIN = 1e-4  # nats per pixel that the gain's scale shows, so that no rounding fills it
_ABOUT_UPPER = (
    "Loss of each training step (thin), its average (thick) and, of a VAE from\n"
    "nothing, −ELBO of patches that training never sees (dots), in nats per pixel.\n"
    "Lower is better"
)
_ABOUT_LEVELS = (
    "KL divergence of posterior from prior at each level of the network, finest\n"
    "first, in nats per pixel: how much information of the image each level carries"
)
_ABOUT_GAIN = (
    "By how much more likely the model finds measurements that it has not learned\n"
    "from than the model that it started from; higher is better. The gain is small\n"
    "in number, since most of what is left is noise, which nobody predicts"
)

Points = Sequence[tuple[float, float]]  # seconds, and a value


class TrainingPlots(QWidget):  # type: ignore[misc, unused-ignore]
    """Loss and held-out bound against time; below, the KL of each level, or the gain."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.upper = _Plot(viewer, _HEIGHT, self)
        self.upper.setToolTip(_ABOUT_UPPER)
        self.lower = _Plot(viewer, _LOWER_HEIGHT, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.upper)
        layout.addWidget(self.lower)
        faint = pg.mkColor(_LOSS_COLOUR)
        faint.setAlpha(70)
        self._raw = self.upper.curve(faint, width=1)
        self._smooth = self.upper.curve(_LOSS_COLOUR, width=2)
        self._held_out = self.upper.curve(_HELD_OUT_COLOUR, width=1, dots=True)
        self._gain = self.lower.curve(_HELD_OUT_COLOUR, width=1, dots=True)
        self._levels = [self.lower.curve(colour, width=2) for colour in _LEVEL_COLOURS]
        self.clear()

    def clear(self) -> None:
        """Forget the last training, and hide until there is something to show."""
        self.setVisible(False)
        self.lower.setVisible(False)
        self._losses: list[tuple[float, float]] = []
        self._smoothed: list[float] = []
        self._judged: list[tuple[float, float]] = []
        self._first: float | None = None
        self._kl: list[tuple[float, tuple[float, ...]]] = []
        for curve in (self._raw, self._smooth, self._held_out, self._gain, *self._levels):
            curve.setData([], [])

    def add(self, update: TrainingUpdate) -> None:
        if not update.seconds:
            return
        self._rewind(update.seconds[0])
        for at, loss in zip(update.seconds, update.losses, strict=True):
            self._losses.append((at, loss))
            last = self._smoothed[-1] if self._smoothed else loss
            # At first the mean of about the last quarter: the beginning is soon forgotten.
            weight = max(_SMOOTHING, 4 / (len(self._smoothed) + 4))
            step = weight * (loss - last)
            self._smoothed.append(last + step if math.isfinite(step) else last)
        self._first = update.held_out_first
        self._judged += update.held_out
        self._kl += [each for each in update.kl if each[1]]
        self._draw(update.seconds[-1])
        # One label for both of the time axes.
        self.upper.show_time_label(self.lower.isHidden())
        self.setVisible(True)

    def _rewind(self, second: float) -> None:
        """Forget what comes at or after a time."""
        kept = len(self._losses)
        while kept and self._losses[kept - 1][0] >= second:
            kept -= 1
        del self._losses[kept:], self._smoothed[kept:]
        self._judged = [each for each in self._judged if each[0] < second]
        self._kl = [each for each in self._kl if each[0] < second]

    def _draw(self, now: float) -> None:
        seconds, losses = zip(*self._losses, strict=True)
        self._raw.setData(seconds, losses)
        # One step is no line yet.
        self._smooth.setData(seconds, self._smoothed, symbol="o" if len(seconds) == 1 else None)
        bounds: Points = []
        if self._kl:
            bounds = [(at, -elbo) for at, elbo in self._judged]
            self._draw_levels(now)
        elif self._first is not None:
            self._draw_gain(self._first, now)
        _set(self._held_out, bounds)
        legend = [("━", _LOSS_COLOUR, "loss")]
        legend += [("●", _HELD_OUT_COLOUR, "−ELBO, held out")] if self._kl else []
        low, high = visible_range(losses, [bound for _, bound in bounds])
        self.upper.show_range(_legend(legend, "nats/pixel"), now, low, high)

    def _draw_levels(self, now: float) -> None:
        n_levels = len(self._kl[-1][1])
        for level, curve in enumerate(self._levels[:n_levels]):
            _set(curve, [(at, kl[level]) for at, kl in self._kl])
        colours = enumerate(_LEVEL_COLOURS[:n_levels], start=1)
        legend = [("━", colour, str(number)) for number, colour in colours]
        values = np.asarray([kl for _, kl in self._kl[len(self._kl) // 10 :]], float)
        top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
        self.lower.setToolTip(_ABOUT_LEVELS)
        self.lower.show_range(_legend(legend, "KL, finest first"), now, 0.0, max(top, 0.01))
        self.lower.setVisible(True)

    def _draw_gain(self, first: float, now: float) -> None:
        gains = [(0.0, 0.0)] + [(at, value - first) for at, value in self._judged]
        _set(self._gain, gains)
        finite = [gain for _, gain in gains if math.isfinite(gain)]
        low, high = min(*finite, -_LEAST_GAIN), max(*finite, _LEAST_GAIN)
        self.lower.setToolTip(_ABOUT_GAIN)
        legend = _legend([("●", _HELD_OUT_COLOUR, "gain, held out")], "nats/pixel")
        self.lower.show_range(legend, now, low, high)
        self.lower.setVisible(True)


class _Plot(QWidget):  # type: ignore[misc, unused-ignore]
    """A plot against time under its legend, in the colours of the theme."""

    def __init__(self, viewer: Viewer, height: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._plot = pg.PlotWidget(self)
        self._plot.setFixedHeight(height)
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        # Room for half a number above the topmost tick and right of the last one.
        self._plot.getPlotItem().layout.setContentsMargins(0, 8, 8, 4)
        # As wide as most numbers, so that plots above one another share their time axis.
        self._plot.getAxis("left").setWidth(_AXIS_WIDTH)
        # Above the plot instead of in it, where it would hide the end of the curves.
        self._legend = QLabel(self)
        self._legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._legend)
        layout.addWidget(self._plot)
        self._apply_theme()
        viewer.events.theme.connect(self._apply_theme)

    def curve(self, colour: Any, *, width: int, dots: bool = False) -> Any:
        symbol = "o" if dots else None
        look = {"symbolSize": _DOT, "symbolBrush": colour, "symbolPen": None}
        return self._plot.plot(pen=pg.mkPen(colour, width=width), symbol=symbol, **look)

    def show_range(self, legend: str, seconds: float, low: float, high: float) -> None:
        """Show what the curves are, the time so far, and a vertical range."""
        self._legend.setText(legend)
        self._plot.setYRange(low, high, padding=0.06)
        self._plot.setXRange(0, seconds, padding=0.02)

    def show_time_label(self, shown: bool) -> None:
        """Say what the horizontal axis is, or leave that to a plot below."""
        self._plot.getAxis("bottom").showLabel(shown)

    def _apply_theme(self, event: Any = None) -> None:
        theme = get_theme(self._viewer.theme)
        text = theme.text.as_hex()
        self._plot.setBackground(theme.background.as_hex())
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(theme.secondary.as_hex())
            axis.setTextPen(text)
        self._plot.setLabel("bottom", "time (s)", color=text)


def _set(curve: Any, points: Points) -> None:
    """Show points; NaN and all, as pyqtgraph leaves a gap there."""
    curve.setData([at for at, _ in points], [value for _, value in points])


def _legend(entries: Sequence[tuple[str, str, str]], unit: str) -> str:
    """Rich text of what the curves are: sign, colour and words of each."""
    parts = [
        f"<span style='color:{colour}'>{sign}</span> {text}" for sign, colour, text in entries
    ]
    return f"{' &nbsp; '.join(parts)} &nbsp; ({unit})"


def visible_range(losses: Sequence[float], bounds: Sequence[float]) -> tuple[float, float]:
    """Vertical range in which a training can be judged."""
    finite = np.asarray(losses, float)
    if len(finite) >= _MIN_FOR_RANGE:
        finite = finite[int(_SKIPPED_SHARE * len(finite)) :]
    kept = max(1, int(len(bounds) * (1 - _SKIPPED_SHARE)))
    finite = np.concatenate([finite, np.asarray(bounds, float)[-kept:]])
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.percentile(finite, (0, 98))
    return float(low), float(max(high, low + 0.1))
