"""Having torch and the bundled model ready by the time that they are asked for.

Importing and loading take seconds, more than a preview. They start when a widget is
opened, while its user looks at the image. No Qt here.
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

_SIDE = 64
"""Of the picture that is restored to have the libraries choose their ways, in pixels."""


def warm_up() -> None:
    """Begin in a thread of its own and return; once in a session, later calls do nothing."""
    _thread()


def is_warm(seconds: float) -> bool:
    """Wait for the warming up, but no longer than so many seconds; tell whether it is over."""
    _thread().join(seconds)
    return not _thread().is_alive()


def when_warm(model: str) -> Model:
    """Have a model ready, once the warming up is over.

    Parameters
    ----------
    model : str
        "default" or a file, as for :func:`~napari_vae_restore.restore`.

    Returns
    -------
    Model
        Loaded.

    Raises
    ------
    ModelFileError
        If it cannot be used.
    """
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
        # Whoever asks for a model meets the same error, and is told.
        _log.warning("warming up failed: %s", error)
