"""A first session by mouse and keyboard alone, with a picture of each step.

Run it with a display, or without one as ``xvfb-run -a python docs/tour.py``. Everything that
happens is a click, a drag or a key that Qt delivers as a user's; the script only looks at
what is there, to know where to click and when to go on.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import screenshots
from PIL import Image
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QListView,
    QMainWindow,
    QMenu,
    QMenuBar,
    QWidget,
)
from screenshots import SIZE, settle, take, wait_until

import napari
from napari_vae_restore._napari.widgets.task_widget import TaskWidget

LEFT = Qt.MouseButton.LeftButton
PLUGIN_MENU = ("Plugins", "VAE Restore")
POLYGON = ((0.40, 0.60), (0.46, 0.58), (0.47, 0.66), (0.41, 0.68))
"""Corners of what is drawn, as shares of the canvas's width and height."""

BUDGET = "20 s"

SMALL, COLOURS = (896, 560), 256
"""Size and colours of a picture of the gallery."""


def main() -> None:
    """Go through all steps, from an empty viewer to a file that is opened again."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
        viewer = napari.Viewer(show=True)
        viewer.window.resize(*SIZE)
        settle()
        Tour(viewer, folder).go()
        viewer.close()


class Tour:
    """The steps, each of which leaves a picture.

    Parameters
    ----------
    viewer : napari.Viewer
        Empty.
    folder : str
        For what is saved.
    """

    def __init__(self, viewer: napari.Viewer, folder: str) -> None:
        self.viewer, self.folder, self.number = viewer, folder, 0
        windows = QApplication.topLevelWidgets()
        self.window = next(w for w in windows if isinstance(w, QMainWindow) and w.isVisible())

    def go(self) -> None:
        """Do all of it."""
        self.open_sample()
        self.denoise()
        self.inpaint()
        self.enlarge()
        self.adapt()
        self.compare()
        self.save_and_reopen()

    def open_sample(self) -> None:
        """An empty viewer, and the sample."""
        self.menu(*PLUGIN_MENU, "Denoise")
        self.picture("empty")
        self.menu("File", "Open Sample", "VAE Restore", "Cells, ER exit sites (noisy, 16 bit)")
        wait_until(lambda: len(self.viewer.layers) == 1)
        self.picture("sample")

    def denoise(self) -> None:
        """Preview, then Run."""
        widget = self.widget()
        self.click(widget.preview_button)
        self.finish(widget)
        self.picture("preview")
        self.click(widget.run_button)
        self.finish(widget)
        self.picture("denoised")

    def inpaint(self) -> None:
        """Draw a polygon and fill it."""
        self.menu(*PLUGIN_MENU, "Inpaint")
        widget = self.widget()
        self.choose(widget.header.layers.native, "cells denoised")
        self.click(widget.header.new_button)
        for corner in POLYGON:
            self.click(self.canvas(), corner)
        QTest.mouseDClick(self.canvas(), LEFT, pos=self.place(POLYGON[-1]))
        settle()
        self.picture("drawn")
        self.click(widget.run_button)
        self.finish(widget)
        self.picture("filled")

    def enlarge(self) -> None:
        """Twice as many pixels along each side."""
        self.menu(*PLUGIN_MENU, "Super-resolve")
        widget = self.widget()
        self.choose(widget.header.layers.native, "cells denoised")
        self.click(widget.run_button)
        self.finish(widget)
        self.picture("enlarged")

    def adapt(self) -> None:
        """Twenty seconds of adapting the bundled model to the cells."""
        self.menu(*PLUGIN_MENU, "Train & Adapt")
        widget = self.widget()
        self.choose(widget.header.layers.native, "cells")
        line = widget.time.native.lineEdit()
        QTest.mouseDClick(line, LEFT)
        QTest.keyClick(line, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClicks(line, BUDGET)
        self.click(widget.start_button)
        self.finish(widget)
        self.picture("adapted")

    def compare(self) -> None:
        """The residual, then a wipe that is dragged across the picture."""
        self.menu(*PLUGIN_MENU, "Check & Compare")
        widget = self.widget()
        self.choose(widget.header.layers.native, "cells denoised")
        self.click(widget.check_button)
        self.finish(widget)
        self.picture("checked")
        self.click(widget.comparing.wipe_button)
        canvas = self.canvas()
        QTest.mousePress(canvas, LEFT, pos=self.place((0.5, 0.5)))
        for share in (0.45, 0.4, 0.35):
            QTest.mouseMove(canvas, self.place((share, 0.5)))
            settle()
        QTest.mouseRelease(canvas, LEFT, pos=self.place((0.35, 0.5)))
        self.picture("wiped")
        self.click(widget.comparing.wipe_button)
        QTest.keyPress(canvas, Qt.Key.Key_H)
        self.picture("before")
        QTest.keyRelease(canvas, Qt.Key.Key_H)

    def save_and_reopen(self) -> None:
        """The result into a file, and the file opened again, with its pixel size."""
        self.select("cells denoised")
        saved = self.viewer.layers["cells denoised"]
        path = str(Path(self.folder, "cells denoised.tif"))
        self.answer_dialog(path, kind="with pixel size")
        self.menu("File", "Save Selected Layers...")
        wait_until(Path(path).exists)
        before = len(self.viewer.layers)
        self.answer_dialog(path)
        self.menu("File", "IO Utilities", "Open images with pixel size and recipe…")
        wait_until(lambda: len(self.viewer.layers) > before)
        opened = self.viewer.layers[-1]
        if not np.allclose(opened.scale, saved.scale) or opened.units != saved.units:
            raise SystemExit(f"saved with {saved.scale}, opened with {opened.scale}")
        self.picture("reopened")

    def layer_list(self) -> QListView:
        """The list of layers."""
        return next(
            w for w in self.window.findChildren(QListView) if "Layer" in type(w).__name__
        )

    def select(self, name: str) -> None:
        """Click on a layer in the list."""
        view = self.layer_list()
        model = view.model()
        rows = (model.index(row, 0) for row in range(model.rowCount()))
        index = next(row for row in rows if row.data() == name)
        view.scrollTo(index)
        QTest.mouseClick(view.viewport(), LEFT, pos=view.visualRect(index).center())
        settle()

    def answer_dialog(self, path: str, kind: str = "") -> None:
        """Type a path into the file dialog that comes next, and choose the kind of file.

        Its loop runs inside the click that opens it, so the answer has to be on its way. A
        list of names that complete what was typed takes all keys until it is closed.
        """
        timer = QTimer(self.window)
        timer.setSingleShot(True)

        def answer() -> None:
            dialog = QApplication.activeModalWidget()
            if isinstance(dialog, QFileDialog):
                field = dialog.findChild(QLineEdit, "fileNameEdit")
                kinds = dialog.findChild(QComboBox, "fileTypeCombo")
                if kind not in kinds.currentText():
                    QTest.keyClick(kinds, Qt.Key.Key_Down)
                    timer.start()
                    return
                if field.text() != path:
                    QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
                    QTest.keyClicks(field, path)
                elif (names := QApplication.activePopupWidget()) is not None:
                    QTest.keyClick(names, Qt.Key.Key_Escape)
                else:
                    QTest.keyClick(field, Qt.Key.Key_Return)
                    return
            timer.start()

        timer.setInterval(200)
        timer.timeout.connect(answer)
        timer.start()

    def picture(self, name: str) -> None:
        """Take a picture of the window, numbered."""
        self.number += 1
        path = take(self.viewer, f"tour-{self.number:02d}-{name}")
        picture = Image.open(path).convert("RGB").resize(SMALL, Image.Resampling.LANCZOS)
        picture = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
        picture.save(path, optimize=True)

    def menu(self, *titles: str) -> None:
        """Click through menus."""
        menu: Any = self.window.findChild(QMenuBar)
        for title in titles:
            names = {plain(action.text()): action for action in menu.actions()}
            action = names.get(title) or names[f"{title} (VAE Restore)"]
            QTest.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())
            settle()
            menu = action.menu()
        while isinstance(popup := QApplication.activePopupWidget(), QMenu):
            popup.close()
        settle()

    def widget(self) -> Any:
        """The widget of the plugin that is in front."""
        shown = [
            w for w in self.window.findChildren(TaskWidget) if not w.visibleRegion().isEmpty()
        ]
        return shown[-1]

    def click(self, widget: QWidget, share: tuple[float, float] | None = None) -> None:
        """Click on a widget, in its middle or elsewhere."""
        where = widget.rect().center() if share is None else self.place(share)
        for steps in (6, 3, 0):  # as a hand comes near
            QTest.mouseMove(widget, where + QPoint(steps, steps))
            QTest.qWait(60)
        QTest.mouseClick(widget, LEFT, pos=where)
        settle()

    def choose(self, box: QComboBox, text: str) -> None:
        """Choose an entry by the keyboard."""
        box.setFocus()
        wanted = box.findText(text)
        while box.currentIndex() != wanted:
            key = Qt.Key.Key_Down if box.currentIndex() < wanted else Qt.Key.Key_Up
            QTest.keyClick(box, key)
        settle()

    def canvas(self) -> QWidget:
        """What the picture is drawn on."""
        widgets = self.window.findChildren(QWidget)
        return next(w for w in widgets if type(w).__name__ == "CanvasBackendDesktop")

    def place(self, share: tuple[float, float]) -> QPoint:
        """A place on the canvas."""
        size = self.canvas().size()
        return QPoint(round(share[0] * size.width()), round(share[1] * size.height()))

    def finish(self, widget: Any) -> None:
        """Wait for the end of what a click began."""
        wait_until(lambda: not widget.is_busy)


def plain(title: str) -> str:
    """A menu's title without the mark of its shortcut."""
    return title.replace("&&", "\0").replace("&", "").replace("\0", "&")


if __name__ == "__main__":
    screenshots.FOLDER.mkdir(exist_ok=True)
    main()
