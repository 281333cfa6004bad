"""Choices among the layers of a viewer; napari has them reset when layers come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer, Shapes

from napari_vae_restore._napari.forms.fields import Choice
from napari_vae_restore._napari.layers.comparing import WIPE_KEY
from napari_vae_restore._napari.layers.placement import (
    LOOK_KEY,
    PREVIEW_KEY,
    RESIDUAL_KEY,
    SPREAD_KEY,
)
from napari_vae_restore._napari.layers.results import is_result

if TYPE_CHECKING:
    from napari import Viewer

_NO_PICTURES = {PREVIEW_KEY, WIPE_KEY, RESIDUAL_KEY, SPREAD_KEY, LOOK_KEY}
"""Keys in the metadata of layers that show something else than an image of the user's."""


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
    """Image layers."""
    return layer_choice(viewer, Image, label=label, tooltip=tooltip, placeholder="no image yet")


def result_choice(viewer: Viewer) -> Choice:
    """Restored images."""
    return layer_choice(
        viewer,
        Image,
        accepts=is_result,
        label="Result",
        placeholder="no result yet",
        tooltip="The restored image to look at",
    )


def reference_choice(viewer: Viewer) -> Choice:
    """Image layers, or none."""
    return layer_choice(
        viewer,
        Image,
        none="none",
        label="Reference",
        tooltip="What the result should be, such as a slow, clean exposure of the same place.\n"
        "Gives PSNR and SSIM",
    )


def mask_choice(viewer: Viewer) -> Choice:
    """Layers that can say what is missing."""
    choice = layer_choice(
        viewer,
        Shapes,
        Labels,
        placeholder="no mask yet",
        tooltip="What to fill: the inside of shapes, lines as broad as they are drawn,\n"
        "or the labels of a Labels layer, all but 0",
    )
    # Beside it is a button.
    choice.native.setMinimumContentsLength(4)
    return choice
