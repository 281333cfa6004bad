"""pyqtgraph with the Qt binding of this session.

Left to itself it takes the first binding that any package has tried to import, which need
not be the one that napari runs on.
"""

from __future__ import annotations

import os

from qtpy import API_NAME

os.environ.setdefault("PYQTGRAPH_QT_LIB", API_NAME)

import pyqtgraph as pg

__all__ = ["pg"]
