"""What all widgets do alike: run one computation at a time, show it, end it properly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, Qt, QTimer, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QPushButton,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from napari import Viewer
from napari_vae_restore._napari.forms.column import Column
from napari_vae_restore._napari.forms.fields import button
from napari_vae_restore._napari.forms.model_choice import (
    ModelChoice,
    load_steps,
    removes_noise_only,
)
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.recipe_places import report_steps
from napari_vae_restore._napari.forms.settings import PLUGIN, remember_model
from napari_vae_restore._napari.jobs.warm_up import warm_up
from napari_vae_restore._napari.messages import Update
from napari_vae_restore._napari.widgets.status_panel import StatusPanel
from napari_vae_restore._napari.worker import Computation, Steps
from napari_vae_restore.errors import VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_TURN_MS = 15  # between the layers of a result: about a frame of the screen
_SETTLED_MS = 200  # until a new widget has been drawn


class TaskWidget(QWidget):  # type: ignore[misc, unused-ignore]
    """Base of the widgets: a form, buttons, a status panel and at most one computation.

    A computation ends when its layer is deleted, when the widget leaves its dock, and when
    napari closes.
    """

    locks_form: ClassVar[bool] = True
    """Whether nothing can be chosen while something is computed."""

    cancelling = Signal()
    ended = Signal()

    def __init__(self, viewer: Viewer, form: Any, models: ModelChoice | None = None) -> None:
        super().__init__()
        self.viewer = viewer
        self.header = form
        self.models = models
        self.panel = StatusPanel(self)
        self._running: Computation | None = None
        self._layer: Image | None = None
        self._on_success: Callable[[Any], Any] = _ignore
        self._turns: Iterator[None] = iter(())
        self._next_turn = QTimer(self, singleShot=True, interval=_TURN_MS)
        self._next_turn.timeout.connect(self._take_turn)
        self._note = ""
        self._ready: dict[QPushButton, Callable[[], bool]] = {}
        self._on_leaving = ExitStack()
        content = QWidget()
        self._layout = QVBoxLayout(content)
        self._layout.setContentsMargins(8, 8, 8, 8)
        self._layout.setSpacing(10)
        self._layout.addWidget(form.native)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        column = Column(content, self)
        whole.addWidget(column)
        column.restyled.connect(form.align_labels)
        form.changed.connect(self._on_changed)
        self.listen(viewer.layers.events.removed, self._on_layer_removed)
        self.listen(model_store().changed, self._on_models_changed)
        if models is not None:
            models.file_chosen.connect(self.open_model)
            models.about_asked.connect(self.show_report)
            # Not at once: an import holds up the thread of the window.
            QTimer.singleShot(_SETTLED_MS, warm_up)

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that there are now; napari calls this where one comes or goes."""
        self.header.reset_choices()

    def open_model(self, path: str) -> None:
        """Open a model file, ``.safetensors``, and select its model."""
        if not self.is_busy:
            self.launch(load_steps(Path(path)), partial(self._on_model, Path(path)))

    def show_report(self) -> None:
        """Show what is known of the chosen model, as a page in the browser."""
        if not self.is_busy and self.models is not None:
            self.launch(report_steps(self.models.model), self._on_report)

    @property
    def is_busy(self) -> bool:
        """Whether a computation is under way, one that is being stopped included."""
        return self._running is not None

    @property
    def is_ready(self) -> bool:
        """Whether nothing runs and all is chosen."""
        return not self.is_busy and not self.header.problem

    @property
    def can_cancel(self) -> bool:
        return self._running is not None and not self._running.is_cancelled

    @property
    def status(self) -> str:
        return self.panel.text

    def cancel(self) -> None:
        """End the computation and throw its result away."""
        self.cancelling.emit()
        if self._running is not None and self.can_cancel:
            self._running.cancel()
            self.panel.update_progress(Update("Cancelling…"))
            self.refresh()

    def add(self, *widgets: QWidget) -> None:
        for each in widgets:
            self._layout.addWidget(each)

    def add_row(self, *buttons: QPushButton) -> None:
        row = QHBoxLayout()
        for each in buttons:
            row.addWidget(each)
        self._layout.addLayout(row)

    def button(
        self,
        text: str,
        tooltip: str,
        action: Callable[[], Any],
        ready: Callable[[], bool] | None = None,
    ) -> QPushButton:
        """A button that is enabled while `ready`: by default, nothing runs, all is chosen."""
        push = button(text, tooltip, action)
        self._ready[push] = ready or (lambda: self.is_ready)
        return push

    def make_cancel_button(self, tooltip: str = "Stop without a result") -> QPushButton:
        return self.button("Cancel", tooltip, self.cancel, lambda: self.can_cancel)

    def listen(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a signal until the widget leaves its dock."""
        signal.connect(slot)
        self._on_leaving.callback(signal.disconnect, slot)

    def on_leaving(self, action: Callable[..., Any], *values: Any) -> None:
        self._on_leaving.callback(action, *values)

    def launch(
        self, steps: Steps, on_success: Callable[[Any], Any], layer: Image | None = None
    ) -> None:
        """Run steps for a layer in a thread; `on_success` gets their result, in the window's.

        Where it gives an iterator, each of its steps shows a part of the result.
        """
        self._note = ""
        self._running, self._layer = Computation(steps, self), layer
        self._on_success = on_success
        self._running.message.connect(self._on_message)
        self._running.succeeded.connect(self._on_succeeded)
        self._running.failed.connect(self.fail)
        self._running.cancelled.connect(self._on_cancelled)
        # A deleted widget hears no more signals, but its thread must end all the same.
        self.destroyed.connect(self._running.cancel)
        self.panel.update_progress(Update("Starting…"))
        self.refresh()
        self._running.start()

    def say(self, text: str) -> None:
        """Keep a sentence in the status line until the next computation."""
        self._note = text
        self.refresh()

    def fail(self, error: VAERestoreError) -> None:
        self._end()
        self.say(f"That did not work: {error}")
        show_error(str(error))

    def refresh(self) -> None:
        self.header.follow()
        if self.locks_form:
            self.header.enabled = not self.is_busy
        for push, is_ready in self._ready.items():
            push.setEnabled(is_ready())
        if not self.is_busy:
            self.panel.idle(self._note or self._hint())

    def _hint(self) -> str:
        """What to do next, in words, when nothing runs and nothing was said."""
        return str(self.header.problem or self.header.hint)

    def _on_message(self, message: Any) -> None:
        """Show what a computation reports; subclasses know more messages."""
        if isinstance(message, Update) and self._running is not None:
            self.panel.update_progress(message)

    def _on_succeeded(self, result: object) -> None:
        self._turns = self._shown(result)
        self._take_turn()

    def _shown(self, result: object) -> Iterator[None]:
        yield from self._on_success(result) or ()

    def _take_turn(self) -> None:
        """Show a part of a result, and the next one when the window has drawn this one."""
        is_over = True
        try:
            if self.can_cancel:
                next(self._turns)
                is_over = False
                self._next_turn.start()
        except StopIteration:
            pass
        finally:
            if is_over:
                self._end()

    def _end(self) -> None:
        if self._running is not None:
            self.destroyed.disconnect(self._running.cancel)
            self._running.deleteLater()
        self._running = self._layer = None
        self._on_success, self._turns = _ignore, iter(())
        self.header.device.reset_choices()
        self.refresh()
        self.ended.emit()

    def _on_cancelled(self) -> None:
        self._end()
        self.say("Cancelled; nothing was changed.")

    def _on_changed(self, *change: object) -> None:
        """Something was chosen: old news give way to what can be done now."""
        self.say("")

    def _on_models_changed(self) -> None:
        self.reset_choices()
        self._on_changed()

    def _on_model(self, path: Path, model: Model) -> None:
        remember_model(path)
        name = model_store().add(model, model.name)
        text = f"Model “{name}” opened."
        takes_it = self.models is not None and self.models.takes_denoising_only
        if removes_noise_only(model) and not takes_it:
            text += " It removes noise only: it is there for Denoise."
        self.say(text)

    def _on_report(self, page: Path) -> None:
        is_open = QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))
        how = "is open in your browser" if is_open else "can be opened in a browser"
        self.say(f"The report of the model {how}: {page}")

    def _on_layer_removed(self, event: Any) -> None:
        if self._layer is not None and event.value is self._layer:
            self.cancel()

    def event(self, event: QEvent) -> bool:
        """End the computation when the widget leaves its dock; see Qt."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.cancel()
                events = self.viewer.layers.events
                for each in (events.inserted, events.removed, events.reordered, events.renamed):
                    each.disconnect(self.reset_choices)
                self._on_leaving.close()
            else:
                # napari has not finished docking it yet.
                QTimer.singleShot(0, self._join_tabs)
        return bool(super().event(event))

    def _join_tabs(self) -> None:
        """Lie over the other widgets of the plugin, not below them in a strip."""
        window = self.window()
        if not isinstance(window, QMainWindow):  # it floats, or was closed at once
            return
        docks = [
            each for each in window.findChildren(QDockWidget) if each.findChild(TaskWidget)
        ]
        dock = next(each for each in docks if each.isAncestorOf(self))
        alone = {dock, *window.tabifiedDockWidgets(dock)}
        for other in docks:
            if other in alone or other.isFloating() or not other.isVisible():
                continue
            window.tabifyDockWidget(other, dock)
            for each in (other, dock):
                each.setWindowTitle(_tab_title(each.windowTitle()))
            for bar in window.findChildren(QTabBar):
                # Whole words and arrows where there are too many, not the first letters.
                bar.setElideMode(Qt.TextElideMode.ElideNone)
                bar.setUsesScrollButtons(True)
            QTimer.singleShot(0, dock.raise_)
            return


def show_widget(viewer: Viewer, name: str) -> Any:
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
    return widget


def _tab_title(title: str) -> str:
    """A dock's title in a word, so that tabs fit side by side.

    >>> _tab_title("Train & Adapt (VAE Restore)")
    'Train'
    """
    # napari adds the plugin's name, in one way or another.
    return title.split(" (")[0].split(" & ")[0]


def _ignore(result: object) -> None:
    """No result is expected."""
