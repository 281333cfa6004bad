"""Training and restoration, drained with a progress bar."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Generator, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from napari_vae_restore.cli.terminal import progress_bar

if TYPE_CHECKING:
    from napari_vae_restore.restoration.restore import RestoreProgress
    from napari_vae_restore.restoration.result import Restoration
    from napari_vae_restore.training.engine import Training

# Ctrl-C, the wish of a batch system, and Ctrl-Break of Windows.
_STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
]


def run_training(training: Training) -> bool:
    """Train to the end, or to the end of the step in which Ctrl-C was pressed.

    Returns
    -------
    bool
        Whether it was stopped. A second Ctrl-C raises KeyboardInterrupt at once.

    Raises
    ------
    TrainingError
        As `Training.run`.
    """
    told = ""
    with (
        _stop_signals_noted() as stop,
        progress_bar("Training") as update,
        contextlib.closing(training.run()) as steps,
    ):
        for progress in steps:
            if progress.held_out is not None:
                name = "ELBO" if progress.kl else "held out"
                told = f" · {name} {progress.held_out:.4f}"
            update(progress.fraction, progress.seconds_left, f"step {progress.step}{told}")
            if stop.is_set():
                return progress.fraction < 1
    return False


def run_restoration(
    steps: Generator[RestoreProgress, None, Restoration], title: str
) -> Restoration:
    """Run a restoration to its end, under a title that says what it does.

    Raises
    ------
    InputError, RestorationError
        As `iter_restore`.
    """
    with progress_bar(title) as update:
        started = time.monotonic()
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                result: Restoration = stop.value
                return result
            done = progress.done / progress.total
            seconds = time.monotonic() - started
            update(done, seconds / done - seconds if done else math.inf, "")


@contextlib.contextmanager
def _stop_signals_noted() -> Iterator[threading.Event]:
    """Set an event at the first Ctrl-C, so that the step under way is finished."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return

    def note_once(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note_once) for number in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
