"""The recipe of a result, to take elsewhere: Python, a command line, another layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari.layers import Image
from qtpy.QtWidgets import QApplication, QGridLayout, QLabel, QMenu, QWidget

from napari_vae_restore._napari.forms.model_store import model_of
from napari_vae_restore._napari.forms.recipe_places import file_of, places_for
from napari_vae_restore._napari.layers.comparing import WIPE_KEY
from napari_vae_restore._napari.layers.placement import PREVIEW_KEY, RECIPE_KEY
from napari_vae_restore._napari.widgets.task_widget import TaskWidget
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.restoration.recipes.code import as_command, as_python


class RecipePanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Buttons that repeat the result of a widget's form elsewhere.

    `run_again` gets the layer that the recipe is to be applied to.
    """

    def __init__(self, widget: TaskWidget, run_again: Callable[[Image], None]) -> None:
        super().__init__(widget)
        self._widget, self._run_again = widget, run_again
        self.python_button = widget.button(
            "Copy as Python",
            "The Python that gives this result again, for a notebook or napari's console",
            partial(self._copy, to_command=False),
        )
        self.command_button = widget.button(
            "Copy as command line",
            "The command that gives this result again, for a terminal or a cluster",
            partial(self._copy, to_command=True),
        )
        about = "Apply the same recipe to another layer"
        again = widget.button("Run again on…", about, lambda: None)
        self._menu = QMenu(again)
        self._menu.aboutToShow.connect(self._fill_menu)
        again.setMenu(self._menu)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("<b>Recipe</b>"), 0, 0, 1, 2)
        layout.addWidget(self.python_button, 1, 0)
        layout.addWidget(self.command_button, 1, 1)
        layout.addWidget(again, 2, 0, 1, 2)

    def _copy(self, *, to_command: bool) -> None:
        if (pair := self._widget.header.pair) is None:
            return
        source, result = pair
        recipe = result.metadata[RECIPE_KEY]
        try:
            needs_file = to_command or file_of(source) is not None
            places = places_for(result, source, model_of(recipe), needs_file=needs_file)
            if to_command:
                text = as_command(recipe, places, _output(places.image))
            else:
                text = as_python(recipe, places)
        except VAERestoreError as error:
            self._widget.say(str(error))
            return
        QApplication.clipboard().setText(text)
        what = "command line" if to_command else "Python"
        self._widget.say(f"Copied the {what} that gives “{result.name}” again.")

    def _fill_menu(self) -> None:
        self._menu.clear()
        for layer in self._widget.viewer.layers:
            is_passing = PREVIEW_KEY in layer.metadata or WIPE_KEY in layer.metadata
            if isinstance(layer, Image) and not is_passing:
                action = self._menu.addAction(layer.name)
                action.triggered.connect(lambda checked=False, on=layer: self._run_again(on))


def _output(image: str) -> str:
    """Beside the image: cells.tif becomes cells.restored.tif."""
    stem, _, ending = image.rpartition(".")
    return f"{stem}.restored.{ending if ending in ('tif', 'tiff', 'png') else 'tif'}"
