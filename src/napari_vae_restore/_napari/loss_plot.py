"""A live plot of a training: loss of each step and the held-out bound.

This module knows pyqtgraph and the colours of napari's theme, nothing of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari import Viewer

_HEIGHT = 176
_MIN_FOR_RANGE = 20
_SKIPPED_SHARE = 0.1
"""Share of the first steps that the range leaves out: an untrained network's losses are
hundreds of times those that matter."""

_LOSS_COLOUR = "#4c9be8"
_HELD_OUT_COLOUR = "#e8833a"
_LEGEND = (
    f"<span style='color:{_LOSS_COLOUR}'>━</span> loss &nbsp; "
    f"<span style='color:{_HELD_OUT_COLOUR}'>●</span> −ELBO, held out &nbsp; (nats/pixel)"
)

_SMOOTHING = 0.05
"""Weight of a new step in the smoothed loss."""


class LossPlot(QWidget):  # type: ignore[misc, unused-ignore]
    """Loss and held-out bound against time, in nats per pixel; lower is better.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose theme the plot takes.
    """

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._plot = pg.PlotWidget(self)
        self._plot.setFixedHeight(_HEIGHT)
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        # Room for half a number above the topmost tick and right of the last one.
        self._plot.getPlotItem().layout.setContentsMargins(0, 8, 8, 4)
        self._plot.setToolTip(
            "Loss of each training step (thin), its average (thick) and −ELBO of patches that\n"
            "training never sees (dots), in nats per pixel. Lower is better; when the dots\n"
            "stop falling, more time brings little."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        # Above the plot instead of in it, where it would hide the end of the curves.
        layout.addWidget(QLabel(_LEGEND, self))
        layout.addWidget(self._plot)
        faint = pg.mkColor(_LOSS_COLOUR)
        faint.setAlpha(70)
        self._raw = self._plot.plot(pen=pg.mkPen(faint, width=1))
        self._smooth = self._plot.plot(pen=pg.mkPen(_LOSS_COLOUR, width=2))
        self._held_out = self._plot.plot(
            pen=pg.mkPen(_HELD_OUT_COLOUR, width=1),
            symbol="o",
            symbolSize=6,
            symbolBrush=_HELD_OUT_COLOUR,
            symbolPen=None,
        )
        self.clear()
        self._apply_theme()
        viewer.events.theme.connect(self._apply_theme)

    def clear(self) -> None:
        """Forget the last training, and hide until there is something to show."""
        self.setVisible(False)
        self._seconds: list[float] = []
        self._losses: list[float] = []
        self._smoothed: list[float] = []
        self._bounds: list[tuple[float, float]] = []
        for curve in (self._raw, self._smooth, self._held_out):
            curve.setData([], [])

    def add(
        self,
        seconds: Sequence[float],
        losses: Sequence[float],
        held_out: Iterable[tuple[float, float]],
    ) -> None:
        """Append steps.

        Parameters
        ----------
        seconds, losses : sequence of float
            Time and loss of each step.
        held_out : iterable of (float, float)
            Time and held-out ELBO where it was measured.
        """
        self.setVisible(True)
        self._seconds += seconds
        self._losses += losses
        for loss in losses:
            last = self._smoothed[-1] if self._smoothed else loss
            # At first the mean of about the last quarter: the beginning is soon forgotten.
            weight = max(_SMOOTHING, 4 / (len(self._smoothed) + 4))
            self._smoothed.append(last + weight * (loss - last))
        self._bounds += [(at, -elbo) for at, elbo in held_out]
        self._raw.setData(self._seconds, self._losses)
        self._smooth.setData(self._seconds, self._smoothed)
        if self._bounds:
            self._held_out.setData(*map(list, zip(*self._bounds, strict=True)))
        low, high = visible_range(self._losses, [bound for _, bound in self._bounds])
        self._plot.setYRange(low, high, padding=0.06)
        self._plot.setXRange(0, self._seconds[-1] if self._seconds else 1, padding=0.02)

    def _apply_theme(self, event: Any = None) -> None:
        theme = get_theme(self._viewer.theme)
        text = theme.text.as_hex()
        self._plot.setBackground(theme.background.as_hex())
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(theme.secondary.as_hex())
            axis.setTextPen(text)
        self._plot.setLabel("bottom", "time (s)", color=text)


def visible_range(losses: Sequence[float], bounds: Sequence[float]) -> tuple[float, float]:
    """Vertical range in which a training can be judged.

    Parameters
    ----------
    losses : sequence of float
        Of all steps so far.
    bounds : sequence of float
        Held-out values so far.

    Returns
    -------
    (float, float)
        Without the first steps, as soon as there are enough others.
    """
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
