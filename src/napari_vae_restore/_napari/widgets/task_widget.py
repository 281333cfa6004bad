"""What all widgets do alike: run one computation at a time, show it, end it properly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from napari_vae_restore._napari.forms.column import Column
from napari_vae_restore._napari.forms.form import Form
from napari_vae_restore._napari.forms.model_choice import (
    ModelChoice,
    load_steps,
    removes_noise_only,
)
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.settings import remember_model
from napari_vae_restore._napari.jobs.warm_up import warm_up
from napari_vae_restore._napari.layers.placement import layer_data
from napari_vae_restore._napari.messages import Source, Update
from napari_vae_restore._napari.widgets.model_report import ModelReportDialog, report_steps
from napari_vae_restore._napari.widgets.status_panel import StatusPanel
from napari_vae_restore._napari.worker import Job, Steps

if TYPE_CHECKING:
    from napari.layers import Image

    from napari import Viewer
    from napari_vae_restore.errors import VAERestoreError
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.reports.model_report import ModelReport

PLUGIN = "napari-vae-restore"
"""Name of the plugin, as the viewer knows its widgets."""

_TURN_MS = 15
"""Between the layers of a result: about a frame of the screen."""

_SETTLED_MS = 200  # until a new widget has been drawn

NO_LAYER = "Open an image first, or try one from File ▸ Open Sample ▸ VAE Restore."


class TaskWidget(QWidget):  # type: ignore[misc, unused-ignore]
    """Base of the widgets: a form, a status panel and at most one running job.

    A job ends when its layer is deleted, when the widget leaves its dock, and when
    napari closes.
    """

    header: Any
    """The form: it has `layers`, `device` and, for `_source`, `axes`."""

    models: ModelChoice

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._job: Job | None = None
        self._job_layer: Image | None = None
        self._on_success: Callable[[Any], Any] = _ignore
        self._in_turns = False
        self._turns: Iterator[None] = iter(())
        self._next_turn = QTimer(self)
        self._next_turn.setSingleShot(True)
        self._next_turn.setInterval(_TURN_MS)
        self._next_turn.timeout.connect(self._take_turn)
        self._note = ""
        self.panel = StatusPanel(self)
        content = QWidget()
        self._layout = QVBoxLayout(content)
        self._layout.setContentsMargins(8, 8, 8, 8)
        self._layout.setSpacing(10)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._column = Column(content, self)
        column.addWidget(self._column)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that there are now; napari calls this where one comes or goes."""
        self.header.reset_choices()

    def open_model(self, path: str) -> None:
        """Open a model file, ``.safetensors``, and select its model."""
        if not self.is_busy:
            done = partial(self._on_model, Path(path))
            self._launch(load_steps(Path(path)), layer=None, on_success=done)

    def show_report(self) -> None:
        """Show what is known of the chosen model, in a window of its own."""
        if not self.is_busy:
            steps = report_steps(self.models.model)
            self._launch(steps, layer=None, on_success=self._on_report)

    @property
    def is_busy(self) -> bool:
        """Whether a computation is under way, one that is being stopped included."""
        return self._job is not None

    @property
    def status(self) -> str:
        """What the widget says."""
        return self.panel.text

    def cancel(self) -> None:
        """End the computation and throw its result away."""
        if self._job is not None and not self._job.is_cancelled:
            self._job.cancel()
            self.panel.update_progress(Update("Cancelling…"))
            self._refresh()

    def _show_form(self, form: Form, models: ModelChoice | None = None) -> None:
        """Show a form, and follow it; the models are those that its choice offers."""
        self.header = form
        self._layout.addWidget(form.native)
        self._column.restyled.connect(form.align_labels)
        form.changed.connect(self._on_changed)
        model_store().changed.connect(self._on_models_changed)
        if models is not None:
            self.models = models
            models.file_chosen.connect(self.open_model)
            models.about_asked.connect(self.show_report)
            # Not at once: an import holds up the thread of the window.
            QTimer.singleShot(_SETTLED_MS, warm_up)

    def _add_buttons(self, *buttons: QWidget) -> None:
        row = QHBoxLayout()
        for each in buttons:
            row.addWidget(each)
        self._layout.addLayout(row)

    def _launch(
        self,
        steps: Steps,
        *,
        layer: Image | None,
        on_success: Callable[[Any], Any],
        in_turns: bool = False,
    ) -> None:
        """Run steps in a thread; `on_success` gets their result, in the window's thread.

        With `in_turns` it is a generator: each of its steps shows a part of the result.
        """
        self._note, self._in_turns = "", in_turns
        self._job, self._job_layer, self._on_success = Job(steps, self), layer, on_success
        self._job.message.connect(self._on_message)
        self._job.succeeded.connect(self._on_succeeded)
        self._job.failed.connect(self._on_failed)
        self._job.cancelled.connect(self._on_cancelled)
        # A deleted widget hears no more signals, but its thread must end all the same.
        self.destroyed.connect(self._job.quit_worker)
        self.panel.update_progress(Update("Starting…"))
        self._refresh()
        self._job.start()

    def _source(self, layer: Image) -> Source:
        return Source(layer_data(layer), self.header.axes.axes)

    def _show_widget(self, name: str, layer: Image | None) -> None:
        """Bring another widget of the plugin to the front, with a layer chosen."""
        dock, widget = self._viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        dock.show()
        dock.raise_()
        if layer is not None and not widget.is_busy:
            widget.header.layers.value = layer

    def _say(self, text: str) -> None:
        """Keep a sentence in the status line until the next computation."""
        self._note = text
        self._refresh()

    def _hint(self) -> str:
        """What to do next, in words, when nothing runs and nothing was said."""
        raise NotImplementedError

    def _refresh(self) -> None:
        """Show what can be done now; subclasses enable their buttons."""
        if not self.is_busy:
            self.panel.idle(self._note or self._hint())

    def _on_message(self, message: Any) -> None:
        """Show what a computation reports; subclasses know more messages."""
        if isinstance(message, Update) and self._job is not None:
            self.panel.update_progress(message)

    def _on_succeeded(self, result: object) -> None:
        on_success = self._on_success
        if self._in_turns:
            self._turns = on_success(result)
            self._take_turn()
        else:
            self._end()
            on_success(result)

    def _take_turn(self) -> None:
        """Show a part of a result, and the next one when the window has drawn this one."""
        is_over = True
        try:
            if self._job is not None and not self._job.is_cancelled:
                next(self._turns)
                is_over = False
                self._next_turn.start()
        except StopIteration:
            pass
        finally:
            if is_over:
                self._end()

    def _end(self) -> None:
        if self._job is not None:
            self.destroyed.disconnect(self._job.quit_worker)
            self._job.deleteLater()
        self._job = self._job_layer = None
        self._on_success = _ignore
        self.header.device.reset_choices()
        self._refresh()

    def _on_failed(self, error: VAERestoreError) -> None:
        self._end()
        self._say(f"That did not work: {error}")
        show_error(str(error))

    def _on_cancelled(self) -> None:
        self._end()
        self._say("Cancelled; nothing was changed.")

    def _on_changed(self, *change: object) -> None:
        """Something was chosen: old news give way to what can be done now."""
        self._note = ""
        self._refresh()

    def _on_models_changed(self) -> None:
        self.reset_choices()
        self._on_changed()

    def _on_model(self, path: Path, model: Model) -> None:
        remember_model(path)
        name = model_store().add(model, model.name)
        text = f"Model “{name}” opened."
        if removes_noise_only(model) and not self.models.takes_denoising_only:
            text += " It removes noise only: it is there for Denoise."
        self._say(text)

    def _on_report(self, report: ModelReport) -> None:
        ModelReportDialog(report, self).show()

    def _on_layer_removed(self, event: Any) -> None:
        if self._job_layer is not None and event.value is self._job_layer:
            self.cancel()

    def event(self, event: QEvent) -> bool:
        """End the computation when the widget leaves its dock; see Qt."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.cancel()
                self._disconnect_viewer()
            else:
                # napari has not finished docking it yet.
                QTimer.singleShot(0, self._join_tabs)
        return bool(super().event(event))

    def _join_tabs(self) -> None:
        """Lie over the other widgets of the plugin, not below them in a strip."""
        dock = _dock_of(self)
        if dock is None or dock.isFloating() or not isinstance(dock.parent(), QMainWindow):
            return
        window = dock.parent()
        docks = (_dock_of(other) for other in window.findChildren(TaskWidget))
        alone = {dock, *window.tabifiedDockWidgets(dock)}
        for other in docks:
            if other is None or other in alone or other.isFloating() or not other.isVisible():
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

    def _disconnect_viewer(self) -> None:
        events = self._viewer.layers.events
        events.removed.disconnect(self._on_layer_removed)
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.disconnect(self.reset_choices)
        model_store().changed.disconnect(self._on_models_changed)


def _tab_title(title: str) -> str:
    """A dock's title in a word, so that tabs fit side by side.

    >>> _tab_title("Train & Adapt (VAE Restore)")
    'Train'
    """
    # napari adds the plugin's name, in one way or another.
    return title.split(" (")[0].split(" & ")[0]


def _dock_of(widget: QWidget) -> Any:
    """The dock that holds a widget, if one does."""
    parent = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent


def _ignore(result: object) -> None:
    """No result is expected."""
