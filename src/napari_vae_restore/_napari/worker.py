"""Long computations in a thread: generators of messages that can be stopped."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

from napari.qt.threading import GeneratorWorker
from qtpy.QtCore import QObject, Signal

from napari_vae_restore._napari.jobs.interruption import Interrupted, stopped_by
from napari_vae_restore.errors import RestorationError, VAERestoreError
from napari_vae_restore.models.devices import is_out_of_memory

_log = logging.getLogger(__name__)

Steps = Generator[Any, None, Any]
"""Yields messages for the window, or None in steps without one."""


class Computation(QObject):  # type: ignore[misc, unused-ignore]
    """One run of a generator in a thread, which also closes it.

    Connect only bound methods of Qt objects: Qt calls these in the window's thread. Exactly
    one of `succeeded`, `failed` and `cancelled` is emitted at the end; after :meth:`cancel`,
    neither messages nor a result.
    """

    message = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, steps: Steps, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._end: tuple[Any, ...] = (self.cancelled,)  # a signal and what it is emitted with
        self.is_cancelled = False
        self._worker = _ClosingWorker(steps)
        self._worker.yielded.connect(self._on_yielded)
        self._worker.returned.connect(self._on_returned)
        self._worker.errored.connect(self._on_errored)
        self._worker.finished.connect(self._on_finished)

    def start(self) -> None:
        self._worker.start()

    def cancel(self, *deleted: object) -> None:
        """Stop at the generator's next step, or at the next layer of a network."""
        self.is_cancelled = True
        self._worker.quit()

    def _on_yielded(self, message: object) -> None:
        if message is not None and not self.is_cancelled:
            self.message.emit(message)

    def _on_returned(self, result: object) -> None:
        self._end = self.succeeded, result

    def _on_errored(self, error: Exception) -> None:
        self._end = self.failed, error  # of this package, by `_guarded`

    def _on_finished(self) -> None:
        if self.is_cancelled or self._worker.abort_requested:
            self._end = (self.cancelled,)
        signal, *values = self._end
        signal.emit(*values)


class _ClosingWorker(GeneratorWorker):  # type: ignore[misc, unused-ignore]
    """A worker that closes its generator in its own thread, however it ends."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(_guarded, steps)
        self._steps = steps

    def work(self) -> Any:
        try:
            with stopped_by(lambda: bool(self.abort_requested)):
                return super().work()
        finally:
            try:
                self._steps.close()
            except Exception as error:
                _log.warning("closing a computation failed: %s", error)


def _guarded(steps: Steps) -> Steps:
    """Run steps; every exception leaves as an error of this package.

    superqt turns a RuntimeError, and torch raises little else, into a warning that no
    user sees, and then emits neither `errored` nor `finished`.
    """
    try:
        return (yield from steps)
    except Interrupted:
        return None
    except Exception as error:
        raise as_own_error(error) from error


def as_own_error(error: Exception) -> VAERestoreError:
    """An error of this package, which superqt passes on and which says what to do."""
    if isinstance(error, VAERestoreError):
        return error
    text = str(error) or type(error).__name__
    if is_out_of_memory(error):
        wrapped = RestorationError(f"out of memory: use a smaller image or tile ({text})")
    else:
        wrapped = RestorationError(f"the computation failed ({type(error).__name__}): {text}")
    wrapped.__cause__ = error
    return wrapped
