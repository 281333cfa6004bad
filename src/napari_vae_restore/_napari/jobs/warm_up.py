"""Import of torch and loading of the bundled model in advance.

These take seconds, more than a preview, and start when a widget is opened.
No Qt here.
"""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_vae_restore.models.bundled import DEFAULT

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_log = logging.getLogger(__name__)

_SIDE = 64  # pixels, of a picture that is restored so that libraries pick their algorithms


def warm_up() -> None:
    """Start in a thread and return; after the first time in a session, nothing happens."""
    _thread()


def is_warm(seconds: float) -> bool:
    """Whether the warming up has ended, after waiting for it at most so many seconds."""
    _thread().join(seconds)
    return not _thread().is_alive()


def when_warm(model: str) -> Model:
    """Load a model, "default" or a file, after the warming up."""
    _thread().join()
    from napari_vae_restore.models.bundled import find_model

    return find_model(model)


@lru_cache(maxsize=1)
def _thread() -> threading.Thread:
    # No daemon: the interpreter would die under the import of torch.
    thread = threading.Thread(target=_prepare, name="vae-restore warm-up", daemon=False)
    thread.start()
    return thread


def _prepare() -> None:
    try:
        from napari_vae_restore.restoration.restore import denoise

        picture = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), np.float32)
        denoise(picture, DEFAULT, noise="gaussian:1")
    except Exception as error:
        # Loading a model raises the same error, and the user sees it then.
        _log.warning("warming up failed: %s", error)
