"""Before and after, three ways: a key that is held, a wipe, and a linked grid."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from napari.layers import Image
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSlider, QWidget

from napari import Viewer, layers
from napari_vae_restore._napari.forms.fields import toggle
from napari_vae_restore._napari.layers.comparing import (
    Slices,
    ViewState,
    current_slices,
    grid_of,
    move_wipe,
    share_at,
    show_only,
    show_wipe,
)
from napari_vae_restore._napari.widgets.task_widget import TaskWidget
from napari_vae_restore.errors import VAERestoreError

# Keys that show the image before while they are held, in the order of preference.
BEFORE_KEYS = ("H", "K", "Q", "J", "F8")
_RESOLUTION = 1000


class ComparePanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Shows a source and its result against each other; off, all is as it was."""

    def __init__(self, widget: TaskWidget) -> None:
        super().__init__(widget)
        self._widget, self._viewer = widget, widget.viewer
        self._pair: tuple[Image, Image] | None = None
        self._before: ViewState | None = None
        self._held: ViewState | None = None
        self._wipe: Image | None = None
        self._slices: Slices | None = None
        self.key = free_key(self._viewer, BEFORE_KEYS)
        key = f" (or the key {self.key})" if self.key else ""
        self.hold_button = QPushButton(f"Hold to see before{key}")
        self.hold_button.setToolTip("Shows the image before, as long as it is pressed")
        self.hold_button.pressed.connect(self.show_before)
        self.hold_button.released.connect(self.show_after)
        about = "Before on the left, after on the right: drag the line across the picture"
        self.wipe_button = toggle("Wipe", about, self._on_wipe)
        about = "Side by side; zoom and planes move together"
        self.grid_button = toggle("Grid", about, self._on_grid)
        self.share = QSlider(Qt.Orientation.Horizontal)
        self.share.setRange(0, _RESOLUTION)
        self.share.setValue(_RESOLUTION // 2)
        self.share.setToolTip("Where the line of the wipe is")
        self.share.valueChanged.connect(self._on_share)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("<b>Compare</b>"), 0, 0, 1, 2)
        layout.addWidget(self.hold_button, 1, 0, 1, 2)
        layout.addWidget(self.wipe_button, 2, 0)
        layout.addWidget(self.grid_button, 2, 1)
        layout.addWidget(self.share, 3, 0, 1, 2)
        if self.key:
            self._viewer.bind_key(self.key, self._while_held)
            widget.on_leaving(self._viewer.bind_key, self.key, None)
        dims = self._viewer.dims.events
        for event in (dims.current_step, dims.order, dims.ndisplay):
            widget.listen(event, self._renew)
        widget.listen(self._viewer.layers.events.removed, self._on_layer_removed)
        widget.on_leaving(self.stop)
        self.compare(None)

    def compare(self, pair: tuple[Image, Image] | None) -> None:
        """Take a source and its result; a comparison of another pair ends."""
        if pair != self._pair:
            self.stop()
        self._pair = pair
        for each in (self.hold_button, self.wipe_button, self.grid_button):
            each.setEnabled(pair is not None)
        self.share.setEnabled(self._wipe is not None)

    def stop(self) -> None:
        """End every comparison: the viewer looks as before."""
        self.wipe_button.setChecked(False)
        self.grid_button.setChecked(False)
        self.show_after()

    def show_before(self) -> None:
        """Show the source alone until :meth:`show_after`."""
        if self._pair is not None and self._held is None:
            self._held = ViewState.of(self._viewer)
            show_only(self._viewer, [self._pair[0]])

    def show_after(self) -> None:
        """Show what was shown before :meth:`show_before`."""
        if self._held is not None:
            self._held.restore(self._viewer)
            self._held = None

    def _while_held(self, viewer: Viewer) -> Iterator[None]:
        self.show_before()
        yield
        self.show_after()

    def _on_grid(self, is_on: bool) -> None:
        if not is_on:
            self._bring_back()
        elif self._begin(self.wipe_button) is not None:
            grid = grid_of(self._viewer)
            grid.stride, grid.shape, grid.enabled = 1, (-1, -1), True
            show_only(self._viewer, self._pair or ())

    def _on_wipe(self, is_on: bool) -> None:
        if not is_on:
            wipe, self._wipe, self._slices = self._wipe, None, None
            if wipe is not None and wipe in self._viewer.layers:
                self._viewer.layers.remove(wipe)
            self._bring_back()
            self.share.setEnabled(False)
        elif (pair := self._begin(self.grid_button)) is not None and self._cut(pair):
            self._wipe = show_wipe(self._viewer, *pair, self._share)
            self._wipe.mouse_drag_callbacks.append(self._dragged)
            self.share.setEnabled(True)

    def _begin(self, other: QPushButton) -> tuple[Image, Image] | None:
        """End the other comparison and note the view; what to compare, if there is a pair."""
        other.setChecked(False)
        if self._pair is not None:
            self._before = ViewState.of(self._viewer)
        return self._pair

    def _cut(self, pair: tuple[Image, Image]) -> bool:
        """Take the slices in view; where that is impossible, the wipe ends."""
        try:
            self._slices = current_slices(self._viewer, *pair)
        except VAERestoreError as error:
            self.wipe_button.setChecked(False)
            self._widget.say(str(error))
            return False
        return True

    @property
    def _share(self) -> float:
        return float(self.share.value()) / _RESOLUTION

    def _on_share(self, value: int) -> None:
        if self._wipe is not None and self._slices is not None and self._pair is not None:
            move_wipe(self._wipe, self._slices, self._pair[1], self._share)

    def _renew(self, event: Any = None) -> None:
        """Another slice is in view."""
        if self._wipe is not None and self._pair is not None and self._cut(self._pair):
            self._on_share(0)

    def _dragged(self, layer: Image, event: Any) -> Generator[None, None, None]:
        """Move the line to where the mouse is, from the press to the release."""
        yield
        while event.type == "mouse_move":
            if self._slices is not None and self._wipe is not None:
                share = share_at(layer, self._slices, event.position)
                self.share.setValue(round(_RESOLUTION * share))
            yield

    def _bring_back(self) -> None:
        if self._before is not None:
            self._before.restore(self._viewer)
            self._before = None

    def _on_layer_removed(self, event: Any) -> None:
        # Equal, not identical: a plugin gets layers that it added itself in a wrapper.
        if event.value == self._wipe:
            self.wipe_button.setChecked(False)
        elif self._pair is not None and event.value in self._pair:
            self.compare(None)


def free_key(viewer: Viewer, wanted: Sequence[str]) -> str:
    """Choose a key that neither the viewer, nor a kind of layer, nor the settings use."""
    kinds = (getattr(layers, name) for name in layers.__all__)
    maps = [viewer.keymap, *(getattr(kind, "class_keymap", {}) for kind in kinds)]
    maps += [layer.keymap for layer in viewer.layers]
    taken = {str(key) for each in maps for key in each}
    for bindings in get_settings().shortcuts.shortcuts.values():
        taken |= {str(binding) for binding in bindings}
    return next((key for key in wanted if str(coerce_keybinding(key)) not in taken), "")
