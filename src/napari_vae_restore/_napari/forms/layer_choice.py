"""Choices among the layers of a viewer; napari has them reset when layers come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Image, Layer

from napari import Viewer
from napari_vae_restore._napari.forms.fields import Choice
from napari_vae_restore._napari.layers.comparing import WIPE_KEY
from napari_vae_restore._napari.layers.placement import (
    LOOK_KEY,
    PREVIEW_KEY,
    RESIDUAL_KEY,
    SPREAD_KEY,
)

# Keys in the metadata of layers that show something else than an image of the user's.
_NO_PICTURES = {PREVIEW_KEY, WIPE_KEY, RESIDUAL_KEY, SPREAD_KEY, LOOK_KEY}


def layer_choice(
    viewer: Viewer,
    *kinds: type[Layer],
    accepts: Callable[[Layer], bool] = lambda layer: True,
    **options: Any,
) -> Choice:
    """Layers of some kinds, the active one chosen first."""

    def entries(choice: Choice) -> list[tuple[str, Layer]]:
        return [
            (layer.name, layer)
            for layer in viewer.layers
            if isinstance(layer, kinds)
            and _NO_PICTURES.isdisjoint(layer.metadata)
            and accepts(layer)
        ]

    choice = Choice(entries, **options)
    active = viewer.layers.selection.active
    if active is not None and active in choice.choices and not options.get("none"):
        choice.value = active
    return choice


def image_choice(
    viewer: Viewer, *, label: str = "Layer", tooltip: str = "The image layer to work on"
) -> Choice:
    return layer_choice(viewer, Image, label=label, tooltip=tooltip, placeholder="no image yet")
