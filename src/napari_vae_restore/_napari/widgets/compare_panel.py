"""Before and after, three ways: a key that is held, a wipe, and a linked grid."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

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
from napari_vae_restore._napari.widgets.shortcuts import BEFORE_KEYS, free_key
from napari_vae_restore.errors import VAERestoreError

if TYPE_CHECKING:
    from napari.layers import Image

    from napari import Viewer

_RESOLUTION = 1000


class ComparePanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Shows a source and its result against each other; off, all is as it was."""

    failed = Signal(str)
    """Why nothing can be compared, in words."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._pair: tuple[Image, Image] | None = None
        self._before: ViewState | None = None
        self._held: ViewState | None = None
        self._wipe: Image | None = None
        self._slices: Slices | None = None
        self.hold_button = QPushButton()
        self.hold_button.setToolTip("Shows the image before, as long as it is pressed")
        self.wipe_button = _toggle(
            "Wipe", "Before on the left, after on the right: drag the line across the picture"
        )
        self.grid_button = _toggle("Grid", "Side by side; zoom and planes move together")
        self.share = QSlider(Qt.Orientation.Horizontal)
        self.share.setRange(0, _RESOLUTION)
        self.share.setValue(_RESOLUTION // 2)
        self.share.setToolTip("Where the line of the wipe is")
        self.key = free_key(viewer, BEFORE_KEYS)
        key = f" (or the key {self.key})" if self.key else ""
        self.hold_button.setText(f"Hold to see before{key}")
        row = QHBoxLayout()
        for each in (self.wipe_button, self.grid_button):
            row.addWidget(each)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("<b>Compare</b>"))
        layout.addWidget(self.hold_button)
        layout.addLayout(row)
        layout.addWidget(self.share)
        self.hold_button.pressed.connect(self.show_before)
        self.hold_button.released.connect(self.show_after)
        self.wipe_button.toggled.connect(self._on_wipe)
        self.grid_button.toggled.connect(self._on_grid)
        self.share.valueChanged.connect(self._on_share)
        if self.key:
            viewer.bind_key(self.key, self._while_held)
        viewer.dims.events.current_step.connect(self._renew)
        viewer.dims.events.order.connect(self._renew)
        viewer.dims.events.ndisplay.connect(self._renew)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self.compare(None, None)

    def compare(self, source: Image | None, result: Image | None) -> None:
        """Take a pair of layers; a comparison of another pair ends."""
        pair = None if source is None or result is None else (source, result)
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

    def disconnect_viewer(self) -> None:
        """Bring the viewer back to what it was, and listen to it no more."""
        self.stop()
        if self.key:
            self._viewer.bind_key(self.key, None)
        for event in ("current_step", "order", "ndisplay"):
            getattr(self._viewer.dims.events, event).disconnect(self._renew)
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)

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
            return
        self.wipe_button.setChecked(False)
        if self._pair is None:
            return
        self._before = ViewState.of(self._viewer)
        show_only(self._viewer, self._pair)
        grid = grid_of(self._viewer)
        grid.stride, grid.shape, grid.enabled = 1, (-1, -1), True

    def _on_wipe(self, is_on: bool) -> None:
        if not is_on:
            wipe, self._wipe, self._slices = self._wipe, None, None
            if wipe is not None and wipe in self._viewer.layers:
                self._viewer.layers.remove(wipe)
            self._bring_back()
            self.share.setEnabled(False)
            return
        self.grid_button.setChecked(False)
        if self._pair is None:
            return
        self._before = ViewState.of(self._viewer)
        try:
            self._slices = current_slices(self._viewer, *self._pair)
            self._wipe = show_wipe(self._viewer, *self._pair, self._share)
        except VAERestoreError as error:
            self.wipe_button.setChecked(False)
            self.failed.emit(str(error))
            return
        self._wipe.mouse_drag_callbacks.append(self._dragged)
        self.share.setEnabled(True)

    @property
    def _share(self) -> float:
        return float(self.share.value()) / _RESOLUTION

    def _on_share(self, value: int) -> None:
        if self._wipe is not None and self._slices is not None and self._pair is not None:
            move_wipe(self._wipe, self._slices, self._pair[1], self._share)

    def _renew(self, event: Any = None) -> None:
        """Another slice is in view."""
        if self._wipe is None or self._pair is None:
            return
        try:
            self._slices = current_slices(self._viewer, *self._pair)
        except VAERestoreError as error:
            self.wipe_button.setChecked(False)
            self.failed.emit(str(error))
            return
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
            self.compare(None, None)


def _toggle(text: str, tooltip: str) -> QPushButton:
    push = QPushButton(text)
    push.setCheckable(True)
    push.setToolTip(tooltip)
    return push
