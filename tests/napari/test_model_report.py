"""The report of a model in the window."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.widgets.model_report import ModelReportDialog, report_steps
from napari_vae_restore.reports.model_report import report_of

pytestmark = pytest.mark.gui


def test_the_button_shows_what_the_chosen_model_is(
    viewer, open_widget, finish, tiny_model, tmp_path
):
    denoise = open_widget("Denoise")
    for name, shown in (("", "hierarchical VAE for every task"), ("mine", "deviation 8")):
        if name:
            model_store().add(tiny_model, name)
        denoise.models.about.click()
        finish(denoise)
        dialog = denoise.findChildren(ModelReportDialog)[-1]
        assert dialog.isVisible()
        assert dialog.windowTitle() == f"About “{name or 'default'}”"
        assert any(shown in label.text() for label in dialog.findChildren(QLabel))
        assert dialog.samples.pixmap().width() > 400
        dialog.close()
    dialog.save(str(tmp_path / "mine"))
    assert "data:image/png" in (tmp_path / "mine.html").read_text(encoding="utf-8")
    # The status line says what to do next again.
    assert "Looking" not in denoise.status


def test_names_are_no_html(viewer, open_widget, tiny_model):
    evil = "<b>bold</b>"
    model = replace(tiny_model, name=evil, record=replace(tiny_model.record, start=evil))
    dialog = ModelReportDialog(report_of(model), open_widget("Denoise"))
    texts = [label.text() for label in dialog.findChildren(QLabel)]
    assert any("&lt;b&gt;bold" in text for text in texts)
    assert not any("<b>" in text for text in texts)
    dialog.close()


def test_steps_make_the_report_of_any_model(drained, tiny_model):
    messages, report = drained(report_steps(tiny_model))
    assert len(messages) == 1
    assert report.sha256 == tiny_model.sha256
    assert np.ptp(report.samples) > 0
    assert drained(report_steps("default"))[1].name == "default"
