"""The bundled model is got ready while the user looks at the image; no window."""

import logging

import pytest

from napari_vae_restore import Model, ModelFileError
from napari_vae_restore._napari.jobs import warm_up


@pytest.fixture(autouse=True)
def cold():
    """No test sees the thread of another."""
    warm_up._thread.cache_clear()
    yield
    warm_up._thread.cache_clear()


def test_the_model_is_ready_after_one_thread():
    warm_up.warm_up()
    thread = warm_up._thread()
    warm_up.warm_up()
    assert warm_up._thread() is thread
    assert isinstance(warm_up.when_warm("default"), Model)
    assert not thread.is_alive()


def test_what_fails_is_told_to_who_asks(monkeypatch, caplog):
    def broken(*args, **options):
        raise ModelFileError("no weights")

    monkeypatch.setattr("napari_vae_restore.restoration.restore.denoise", broken)
    monkeypatch.setattr("napari_vae_restore.models.bundled.find_model", broken)
    with caplog.at_level(logging.WARNING), pytest.raises(ModelFileError, match="no weights"):
        warm_up.when_warm("default")
    assert "no weights" in caplog.text
