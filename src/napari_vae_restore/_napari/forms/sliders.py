"""A slider with its number, as several widgets use it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from superqt import QLabeledDoubleSlider

_DECIMALS = 2


def slider(value: float, least: float, most: float, tooltip: str) -> QLabeledDoubleSlider:
    """A slider for a number, which can be typed as well."""
    found = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    found.setRange(least, most)
    found.setDecimals(_DECIMALS)
    found.setSingleStep((most - least) / 100)
    found.setValue(value)
    found.setToolTip(tooltip)
    return found
