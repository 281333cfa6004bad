"""What the widgets that use a model have in common: opening one, telling of it, warming up."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from napari_vae_restore._napari.forms.model_choice import (
    ModelChoice,
    load_steps,
    removes_noise_only,
)
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.settings import remember_model
from napari_vae_restore._napari.jobs.warm_up import warm_up
from napari_vae_restore._napari.widgets.model_report import ModelReportDialog, report_steps
from napari_vae_restore._napari.widgets.task_widget import TaskWidget

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.reports.model_report import ModelReport

_SETTLED_MS = 200  # until a new widget has been drawn


class ModelWidget(TaskWidget):
    """A widget with a choice of models."""

    models: ModelChoice

    def _use(self, models: ModelChoice) -> None:
        """Take the choice of models."""
        self.models = models
        models.file_chosen.connect(self.open_model)
        models.about_asked.connect(self.show_report)
        # Not at once: an import holds up the thread of the window.
        QTimer.singleShot(_SETTLED_MS, warm_up)

    def open_model(self, path: str) -> None:
        """Open a model file and select its model."""
        if not self.is_busy:
            done = partial(self._on_model, Path(path))
            self._launch(load_steps(Path(path)), layer=None, on_success=done)

    def show_report(self) -> None:
        """Show what is known of the chosen model, in a window of its own."""
        if not self.is_busy:
            steps = report_steps(self.models.model)
            self._launch(steps, layer=None, on_success=self._on_report)

    def _on_model(self, path: Path, model: Model) -> None:
        remember_model(path)
        name = model_store().add(model, model.name)
        text = f"Model “{name}” opened."
        if removes_noise_only(model) and not self.models.takes_denoising_only:
            text += " It removes noise only: it is there for Denoise."
        self._say(text)

    def _on_report(self, report: ModelReport) -> None:
        ModelReportDialog(report, self).show()
