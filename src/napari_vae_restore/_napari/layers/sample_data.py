"""Sample images for napari's File > Open Sample."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from napari_vae_restore._napari.layers.mask_layers import MASK_COLOUR, MASK_OPACITY
from napari_vae_restore.images.image_files import read_image
from napari_vae_restore.samples import sample_path

LayerData = tuple[Any, dict[str, Any], str]

# Corners of two scratches, rows and columns.
_SCRATCHES = (
    ((60, 30), (150, 190), (205, 330), (300, 480)),
    ((470, 90), (380, 230), (330, 400)),
)
_SCRATCH_WIDTH = 7
_MASK_MARGIN = 3
_SHOWN = (1.0, 99.8)  # percentiles of the contrast limits


def cells() -> list[LayerData]:
    """Cells with labelled ER exit sites: 16 bit, with a pixel size."""
    return _layer("cells")


def nuclei() -> list[LayerData]:
    return _layer("nuclei")


def scratched() -> list[LayerData]:
    """A stained tissue section with white scratches, and a mask drawn over them."""
    from skimage.data import immunohistochemistry
    from skimage.draw import disk, line

    picture = immunohistochemistry()
    damaged = np.zeros(picture.shape[:2], bool)
    for path in _SCRATCHES:
        for start, end in pairwise(path):
            for row, column in zip(*line(*start, *end), strict=True):
                damaged[disk((row, column), _SCRATCH_WIDTH / 2, shape=damaged.shape)] = True
    picture[damaged] = 255
    image = {"name": "scratched tissue", "rgb": True, "axis_labels": ("y", "x")}
    image["metadata"] = {"licence": "no known copyright restrictions; from scikit-image"}
    mask = {
        "name": "mask of scratched tissue",
        "shape_type": "path",
        "edge_width": _SCRATCH_WIDTH + _MASK_MARGIN,
        "edge_color": MASK_COLOUR,
        "face_color": "transparent",
        "opacity": MASK_OPACITY,
        "axis_labels": ("y", "x"),
    }
    return [(picture, image, "image"), ([np.array(p) for p in _SCRATCHES], mask, "shapes")]


def _layer(name: str) -> list[LayerData]:
    picture = read_image(sample_path(name))
    attributes = {
        "name": name,
        # A few hot pixels would leave everything else in the dark.
        "contrast_limits": tuple(np.percentile(picture.data, _SHOWN).tolist()),
        "scale": picture.scale,
        "units": picture.units,
        "axis_labels": tuple(picture.axes.lower()),
        "metadata": {"licence": "CC BY 4.0, NEUBIAS training resources"},
    }
    return [(picture.data, attributes, "image")]
