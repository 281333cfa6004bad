"""A key for the window that nothing else listens to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding

from napari import layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer

BEFORE_KEYS = ("H", "K", "Q", "J", "F8")
"""Keys that show the image before while they are held, in the order of preference."""


def free_key(viewer: Viewer, wanted: Sequence[str]) -> str:
    """Choose a key that neither the viewer, nor a kind of layer, nor the settings use."""
    taken = taken_keys(viewer)
    return next((key for key in wanted if str(coerce_keybinding(key)) not in taken), "")


def taken_keys(viewer: Viewer) -> set[str]:
    """All keys that do something already, as napari writes them."""
    kinds = (getattr(layers, name) for name in layers.__all__)
    maps = [viewer.keymap, *(getattr(kind, "class_keymap", {}) for kind in kinds)]
    maps += [layer.keymap for layer in viewer.layers]
    keys = {str(key) for each in maps for key in each}
    for bindings in get_settings().shortcuts.shortcuts.values():
        keys |= {str(binding) for binding in bindings}
    return keys
