"""HTML pages and SVG pictures from the templates beside this module.

A page loads nothing from elsewhere, and every string in it is escaped: whoever made a file
chose its names.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jinja2 import Environment

# Colours of curves, one after the other.
_COLOURS: Final = ("#3b82c4", "#d9772b", "#3d9a58", "#b5489b", "#8a7a1f", "#7a6ad0")


def render(template: str, **values: Any) -> Markup:
    """Fill in a template, such as "model.html"."""
    return Markup(_environment().get_template(template).render(values))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("napari_vae_restore.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    found.globals |= {"png": _png, "colours": _COLOURS}
    found.filters["path"] = _path
    return found


def _png(pixels: NDArray[np.uint8], enlarged: int = 1) -> str:
    """A picture, (H, W) or (H, W, 3), as an address that holds its data."""
    from PIL import Image

    image = Image.fromarray(pixels)
    size = (enlarged * image.width, enlarged * image.height)
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _path(points: Iterable[tuple[float, float]]) -> str:
    """Points joined by straight lines, as SVG writes them."""
    return "M" + "L".join(f"{x} {y}" for x, y in points)
