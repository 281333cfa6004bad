"""The recipe of a result, to take elsewhere: Python, a command line, another layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_vae_restore._napari.forms.fields import button
from napari_vae_restore._napari.forms.model_store import model_of
from napari_vae_restore._napari.forms.recipe_places import file_of, places_for
from napari_vae_restore._napari.layers.comparing import WIPE_KEY
from napari_vae_restore._napari.layers.placement import PREVIEW_KEY, RECIPE_KEY
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.restoration.recipes.code import as_command, as_python

if TYPE_CHECKING:
    from napari import Viewer


class RecipePanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Buttons that repeat a result elsewhere."""

    message = Signal(str)
    """What was done, or why it could not be, in words."""

    again_on = Signal(object)
    """The layer that the recipe is to be applied to."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._pair: tuple[Image, Image] | None = None
        self.python_button = button(
            "Copy as Python",
            "The Python that gives this result again, for a notebook or napari's console",
            self.copy_python,
        )
        self.command_button = button(
            "Copy as command line",
            "The command that gives this result again, for a terminal or a cluster",
            self.copy_command,
        )
        self.again_button = QPushButton("Run again on…")
        self.again_button.setToolTip("Apply the same recipe to another layer")
        self._menu = QMenu(self.again_button)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.again_button.setMenu(self._menu)
        row = QHBoxLayout()
        row.addWidget(self.python_button)
        row.addWidget(self.command_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("<b>Recipe</b>"))
        layout.addLayout(row)
        layout.addWidget(self.again_button)

    def take(self, source: Image | None, result: Image | None) -> None:
        """Take a result with its source."""
        self._pair = None if source is None or result is None else (source, result)

    def enable(self, is_ready: bool) -> None:
        """Let the buttons be pressed, or not."""
        for each in (self.python_button, self.command_button, self.again_button):
            each.setEnabled(is_ready)

    def copy_python(self) -> None:
        """Put the Python on the clipboard."""
        self._copy(to_command=False)

    def copy_command(self) -> None:
        """Put the command line on the clipboard."""
        self._copy(to_command=True)

    def _copy(self, *, to_command: bool) -> None:
        if self._pair is None:
            return
        source, result = self._pair
        recipe = result.metadata[RECIPE_KEY]
        try:
            needs_file = to_command or file_of(source) is not None
            places = places_for(result, source, model_of(recipe), needs_file=needs_file)
            if to_command:
                text = as_command(recipe, places, _output(places.image))
            else:
                text = as_python(recipe, places)
        except VAERestoreError as error:
            self.message.emit(str(error))
            return
        QApplication.clipboard().setText(text)
        what = "command line" if to_command else "Python"
        self.message.emit(f"Copied the {what} that gives “{result.name}” again.")

    def _fill_menu(self) -> None:
        self._menu.clear()
        for layer in self._viewer.layers:
            is_passing = PREVIEW_KEY in layer.metadata or WIPE_KEY in layer.metadata
            if isinstance(layer, Image) and not is_passing:
                action = self._menu.addAction(layer.name)
                action.triggered.connect(lambda checked=False, on=layer: self.again_on.emit(on))


def _output(image: str) -> str:
    """Beside the image: cells.tif becomes cells.restored.tif."""
    stem, _, ending = image.rpartition(".")
    return f"{stem}.restored.{ending if ending in ('tif', 'tiff', 'png') else 'tif'}"
