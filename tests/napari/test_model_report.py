"""The report of a model, which the window opens in the browser."""

from dataclasses import replace
from pathlib import Path

import pytest
from qtpy.QtCore import QObject, QUrl, Slot
from qtpy.QtGui import QDesktopServices

from napari_vae_restore._napari.forms import recipe_places
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.recipe_places import report_steps


class Browser(QObject):
    """Takes the place of the user's browser."""

    def __init__(self):
        super().__init__()
        self.paths = []

    @Slot(QUrl)
    def open(self, url):
        self.paths.append(url.toLocalFile())


@pytest.fixture
def opened():
    """Paths that a browser would have opened."""
    browser = Browser()
    QDesktopServices.setUrlHandler("file", browser, "open")
    yield browser.paths
    QDesktopServices.unsetUrlHandler("file")


@pytest.mark.gui
def test_the_button_shows_what_the_chosen_model_is(
    viewer, open_widget, finish, tiny_model, opened
):
    denoise = open_widget("Denoise")
    for name, shown in (("", "hierarchical VAE for every task"), ("mine", "deviation 8")):
        if name:
            model_store().add(tiny_model, name)
        denoise.models.about.click()
        finish(denoise)
        assert opened[-1] in denoise.status
        text = Path(opened[-1]).read_text(encoding="utf-8")
        assert f"<h1>{name or 'default'}</h1>" in text
        assert shown in text
        assert "data:image/png" in text
    assert len(set(opened)) == 2


def test_names_are_no_html(drained, tiny_model):
    evil = "<b>bold</b>"
    model = replace(tiny_model, name=evil, record=replace(tiny_model.record, start=evil))
    text = drained(report_steps(model))[1].read_text(encoding="utf-8")
    assert "&lt;b&gt;bold" in text
    assert "<b>" not in text


def test_steps_make_the_report_of_any_model(drained, tiny_model):
    messages, page = drained(report_steps(tiny_model))
    assert len(messages) == 1
    assert tiny_model.sha256 in page.read_text(encoding="utf-8")
    assert page.parent == recipe_places.kept_folder()
    assert "default" in drained(report_steps("default"))[1].read_text(encoding="utf-8")
