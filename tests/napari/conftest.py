"""A viewer, a tiny model, and images for the tests of the window."""

import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool

from napari_vae_restore import HVAEConfig, Training
from napari_vae_restore._napari.forms import settings
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.settings import Preferences
from napari_vae_restore._napari.training import process as training_process
from napari_vae_restore._napari.training import runs as training_runs

TINY_PROGRAM = """
import sys
from napari_vae_restore import HVAEConfig
from napari_vae_restore.cli import main, runs
from napari_vae_restore.training import supervision
supervision.HVAEConfig = lambda: HVAEConfig(levels=2, width=8, latent=4)
runs.WATCHED_SAVE_SECONDS = 1.0
sys.exit(main())
"""
TINY = HVAEConfig(levels=2, width=8, latent=4)
PLUGIN = "napari-vae-restore"
PATIENCE = 60_000
"""Milliseconds that a computation may take on a busy machine."""


def noisy_image(shape=(64, 72), sigma=8.0, seed=0):
    """Smooth structure with white noise, uint16."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    clean = 200 + 60 * np.sin(rows / 7) * np.cos(columns / 9)
    return (clean + sigma * rng.standard_normal(shape)).astype(np.uint16)


@pytest.fixture(scope="session")
def make_image():
    """Make a noisy image of any shape."""
    return noisy_image


@pytest.fixture(scope="session")
def drained():
    """Run a generator to its end: what it yields, and what it returns."""

    def run(steps):
        messages = []
        while True:
            try:
                messages.append(next(steps))
            except StopIteration as stop:
                return messages, stop.value

    return run


@pytest.fixture
def shown_errors(monkeypatch):
    """Messages that the user is shown as errors."""
    messages = []
    monkeypatch.setattr(
        "napari_vae_restore._napari.widgets.task_widget.show_error", messages.append
    )
    return messages


@pytest.fixture(scope="session")
def tiny_model():
    """A model that was trained for a moment."""
    training = Training(noisy_image(), steps=8, config=TINY, noise="gaussian:8", device="cpu")
    for _ in training.run():
        pass
    return training.model


@pytest.fixture
def tiny_networks(monkeypatch):
    """Let trainings in the window use a network that takes milliseconds."""
    monkeypatch.setattr(training_process, "PROGRAM", (sys.executable, "-c", TINY_PROGRAM))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def fake_trainer(monkeypatch, tiny_model, tmp_path_factory):
    """Let trainings in the window be a script that starts at once; see fake_trainer.py.

    Gives the function that says which model comes out and how the process ends.
    """
    script = Path(__file__).with_name("fake_trainer.py")
    monkeypatch.setattr(training_process, "PROGRAM", (sys.executable, str(script)))

    def prepare(model=tiny_model, end=""):
        path = tmp_path_factory.mktemp("fake") / "model.safetensors"
        model.save(path)
        monkeypatch.setenv("FAKE_MODEL", str(path))
        monkeypatch.setenv("FAKE_END", end)

    prepare()
    return prepare


@pytest.fixture(autouse=True)
def own_runs(monkeypatch, tmp_path):
    """No test sees the trainings of another, or of the user; none outlives its test."""
    monkeypatch.setattr(training_runs, "runs_folder", lambda: tmp_path / "trainings")
    yield
    for child in training_process._children.values():
        child.kill()
        child.communicate()
    training_process._children.clear()


@pytest.fixture(autouse=True)
def own_page(monkeypatch):
    """No test reads or changes the preferences of the user."""
    page = SimpleNamespace(**asdict(Preferences()))
    monkeypatch.setattr(settings, "preferences_page", lambda: page)
    return page


@pytest.fixture(autouse=True)
def empty_store():
    """No test sees the models of another."""
    model_store().clear()
    yield
    model_store().clear()


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """A viewer that allows public access only, and leaves no thread behind."""
    yield make_napari_viewer_proxy()
    assert QThreadPool.globalInstance().waitForDone(5000)


@pytest.fixture
def open_widget(viewer):
    """Open a widget through its manifest, as the menu does."""

    def opened(name):
        return viewer.window.add_plugin_dock_widget(PLUGIN, name)[1]

    return opened


@pytest.fixture
def finish(qtbot):
    """Wait until a widget has nothing to do."""

    def wait(widget):
        qtbot.waitUntil(lambda: not widget.is_busy, timeout=PATIENCE)

    return wait
