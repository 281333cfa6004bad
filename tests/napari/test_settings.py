"""Preferences, values that are kept between sessions, tooltips, sizes and themes."""

import json

import napari.settings
import pytest
from napari.settings import get_settings
from npe2 import PluginManifest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollArea,
    QScrollBar,
)

from napari_vae_restore._napari.forms import settings
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.settings import (
    RECENT_MODELS,
    Preferences,
    last_used,
    preferences,
    preferences_page,
    recent_models,
    remember,
    remember_model,
)

NAMES = ("Denoise", "Inpaint", "Super-resolve", "Train & Adapt", "Check & Compare")
FIELDS = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)


def test_values_are_kept_and_newest_models_come_first(tmp_path):
    assert last_used("Denoise") == {}
    remember("Denoise", {"samples": 4})
    remember("Enlarge", {"factor": 3})
    remember("Denoise", {"samples": 5})
    assert last_used("Denoise") == {"samples": 5}
    assert last_used("Enlarge") == {"factor": 3}
    paths = [tmp_path / f"{number}.safetensors" for number in range(RECENT_MODELS + 2)]
    for path in paths:
        path.touch()
        remember_model(path)
    remember_model(paths[3])
    paths[-1].unlink()
    expected = [paths[3], *reversed([p for p in paths[:-1] if p != paths[3]])]
    assert recent_models() == expected[: RECENT_MODELS - 1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"last used": {"Denoise": 3}}'])
def test_a_broken_file_is_as_none(text):
    settings.kept_file().parent.mkdir(parents=True, exist_ok=True)
    settings.kept_file().write_text(text)
    assert last_used("Denoise") == {}
    assert recent_models() == []
    remember("Denoise", {"samples": 2})
    kept = json.loads(settings.kept_file().read_text())
    assert kept["last used"]["Denoise"] == {"samples": 2}


def test_the_page_of_napari_has_the_same_defaults(plugin_settings, npe2pm, monkeypatch):
    monkeypatch.setattr(settings, "preferences_page", preferences_page)
    npe2pm.register(PluginManifest.from_distribution("napari-vae-restore"))
    assert preferences() == Preferences()
    preferences_page().tile = 64
    assert preferences() == Preferences(tile=64)
    monkeypatch.delattr(napari.settings, "get_plugin_settings")
    assert preferences() == Preferences()


@pytest.mark.gui
def test_the_next_session_begins_where_the_last_one_ended(
    viewer, open_widget, finish, tiny_model, make_image, tmp_path, own_page
):
    own_page.device, own_page.tile = "cpu", 64
    tiny_model.save(tmp_path / "mine.safetensors")
    viewer.add_image(make_image())
    denoise = open_widget("Denoise")
    assert denoise.header.device.value == "cpu"
    assert denoise.header.tile.value == 64
    denoise.open_model(str(tmp_path / "mine.safetensors"))
    finish(denoise)
    denoise.header.samples.value = 3
    denoise.run()
    finish(denoise)
    enlarge = open_widget("Super-resolve")
    enlarge.header.factors.value = 4
    enlarge.header.noisy.value = True
    enlarge.run()
    finish(enlarge)
    model_store().clear()  # as a new session
    remember("Enlarge", {**last_used("Enlarge"), "kernel": "unheard of", "more": 1})
    for name in ("Denoise", "Super-resolve"):
        viewer.window.remove_dock_widget(open_widget(name))
    denoise, enlarge = open_widget("Denoise"), open_widget("Super-resolve")
    assert denoise.header.samples.value == 3
    assert (enlarge.header.factors.value, enlarge.header.kernel.value) == (4, "bicubic")
    assert enlarge.header.noisy.value
    names = denoise.models.names.native
    names.setCurrentIndex(names.findText("mine (recent file)"))
    finish(denoise)
    assert denoise.models.model.name == "mine"
    own_page.remember = False
    viewer.window.remove_dock_widget(denoise)
    assert open_widget("Denoise").header.samples.value == 0


@pytest.mark.gui
def test_every_field_explains_itself_and_every_widget_fits_a_small_window(
    viewer, open_widget, qtbot
):
    for name in NAMES:
        widget = open_widget(name)
        area = widget.findChild(QScrollArea)
        for field in area.findChildren(FIELDS[0]) + [
            each for kind in FIELDS[1:] for each in area.findChildren(kind)
        ]:
            is_inner = field.objectName().startswith("qt_") or isinstance(field, QScrollBar)
            inside = isinstance(field.parent(), QAbstractSpinBox | QComboBox)
            if is_inner or inside or not field.isVisibleTo(widget):
                continue
            assert field.toolTip(), f"{name}: {field} {getattr(field, 'text', str)()}"
    before = get_settings().appearance.font_size
    for size in (before, 2 * before):
        get_settings().appearance.font_size = size
        for name in NAMES:
            widget = open_widget(name)
            # What does not fit is scrolled, but never sideways, and nothing is cut.
            assert widget.minimumSizeHint().height() < 300, name
            assert widget.minimumSizeHint().width() < (400 if size == before else 640), name
            area = widget.findChild(QScrollArea)

            def is_whole(area=area):
                return area.minimumWidth() >= area.widget().minimumSizeHint().width()

            qtbot.waitUntil(is_whole)
    get_settings().appearance.font_size = before
