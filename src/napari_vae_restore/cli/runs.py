"""Training and other generators, drained under a progress bar."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from napari_vae_restore.cli.terminal import progress_bar
from napari_vae_restore.errors import ModelFileError

if TYPE_CHECKING:
    from napari_vae_restore.cli.json_lines import JsonLines
    from napari_vae_restore.restoration.restore import RestoreProgress
    from napari_vae_restore.training.engine import Training
    from napari_vae_restore.training.progress import Progress

_Result = TypeVar("_Result")
_Step = TypeVar("_Step")

_log = logging.getLogger(__name__)

SAVE_SECONDS = 30.0
"""Seconds between checkpoints: a crash or a power cut costs no more."""

WATCHED_SAVE_SECONDS = 10.0
"""The same where another program watches, and shows results of the checkpoints."""

_MAX_SAVE_SHARE = 0.05
"""Share of the time that checkpoints may take."""

STOP = b"stop"
_MAX_LINE = 4096

# Ctrl-C, the signal of a batch system, and Ctrl-Break of Windows.
_STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
]


def run_training(
    training: Training, output: Path | None = None, lines: JsonLines | None = None
) -> bool:
    """Train to the end, or to the end of the step in which Ctrl-C came; whether it came.

    Checkpoints are written on the way. With `lines`, JSON replaces the bar, and a line
    "stop" on stdin acts as Ctrl-C; the end of stdin does nothing. A second Ctrl-C raises
    KeyboardInterrupt at once.
    """
    interval = SAVE_SECONDS if lines is None else WATCHED_SAVE_SECONDS
    saved = time.monotonic()
    with (
        _stop_signals_noted() as stop,
        _bar() if lines is None else contextlib.nullcontext(lines.progress) as show,
        contextlib.closing(training.run()) as steps,
    ):
        if lines is not None:
            _note_stop_line(stop)
        for progress in steps:
            show(progress)
            if stop.is_set():
                return progress.fraction < 1
            is_due = progress.fraction < 1 and time.monotonic() - saved >= interval
            if output is not None and is_due:
                started = time.monotonic()
                if _saved(training, output) and lines is not None:
                    lines.saved(output, complete=False)
                saved = time.monotonic()
                interval = max(interval, (saved - started) / _MAX_SAVE_SHARE)
    return False


def run_steps(
    steps: Generator[_Step, None, _Result],
    title: str,
    shown: Callable[[_Step], tuple[float, str]],
) -> _Result:
    """Drain a generator under a bar, to which `shown` gives share and remark of each step."""
    with progress_bar(title) as update:
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                result: _Result = stop.value
                return result
            update(*shown(step))


def run_restoration(steps: Generator[RestoreProgress, None, _Result], title: str) -> _Result:
    """Drain a restoration, or what yields progress like one, under a bar."""
    return run_steps(steps, title, lambda step: (step.done / step.total, ""))


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """Show steps as a progress bar."""
    held_out = ""
    with progress_bar("Training") as update:

        def show(progress: Progress) -> None:
            nonlocal held_out
            if progress.held_out is not None:
                name = "ELBO" if progress.kl else "held out"
                held_out = f" · {name} {progress.held_out:.4f}"
            update(progress.fraction, f"step {progress.step}{held_out}")

        yield show


def _saved(training: Training, output: Path) -> bool:
    """Write a checkpoint; whether that worked: training goes on where it did not."""
    try:
        training.save_checkpoint(output)
    except ModelFileError as error:
        _log.warning("%s; training goes on", error)
        return False
    return True


def _note_stop_line(stop: threading.Event) -> None:
    """Set an event when a line "stop" comes on stdin."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return  # there is no stdin

    def listen() -> None:
        # Not through sys.stdin: a thread that waits in it makes the interpreter's end fail.
        pending = b""
        with contextlib.suppress(OSError):
            while part := os.read(descriptor, _MAX_LINE):
                *lines, pending = (pending + part).split(b"\n")
                if any(line.strip() == STOP for line in lines):
                    stop.set()

    threading.Thread(target=listen, name="stop line", daemon=True).start()


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
