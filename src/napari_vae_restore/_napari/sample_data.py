"""The sample images as napari's File > Open Sample shows them."""

from __future__ import annotations

from typing import Any

from napari_vae_restore.image_files import read_image
from napari_vae_restore.samples import sample_path

LayerData = tuple[Any, dict[str, Any], str]


def cells() -> list[LayerData]:
    """Cells with labelled ER exit sites: 16 bit, with a pixel size."""
    return _layer("cells")


def nuclei() -> list[LayerData]:
    """Nuclei: 8 bit, many pixels at zero."""
    return _layer("nuclei")


def _layer(name: str) -> list[LayerData]:
    picture = read_image(sample_path(name))
    attributes = {
        "name": name,
        "scale": picture.scale,
        "units": picture.units,
        "axis_labels": tuple(picture.axes.lower()),
        "metadata": {"licence": "CC BY 4.0, NEUBIAS training resources"},
    }
    return [(picture.data, attributes, "image")]
