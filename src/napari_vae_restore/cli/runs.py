"""A training that shows its progress, saves checkpoints, and stops when it is asked to."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vae_restore.cli import terminal
from napari_vae_restore.errors import ModelFileError, VAERestoreError
from napari_vae_restore.generators import drain

if TYPE_CHECKING:
    from napari_vae_restore.training.checkpoint import Progress
    from napari_vae_restore.training.engine import Training

_log = logging.getLogger(__name__)

SAVE_SECONDS = 30.0  # between checkpoints: a crash or a power cut costs no more
WATCHED_SAVE_SECONDS = 10.0  # where another program watches, and shows the checkpoints
MAX_SAVE_SHARE = 0.05  # of the time, for checkpoints

STOP = b"stop"
_MAX_LINE = 4096

# Ctrl-C, the signal of a batch system, and Ctrl-Break of Windows.
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")

_LINE_SECONDS = 0.2  # between two lines of progress; held-out scores are reported at once
_DIGITS = 7  # of a number, as many as float32 has


class JsonLines:
    """A training reported in lines of JSON on stdout, for the program that started it.

    Each line is an object with an ``event``: "started", "progress", "saved" or "failed".
    Numbers that are not finite are null.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[float, float]] = []
        self._last: Progress | None = None
        self._written = -math.inf

    def started(self, training: Training) -> None:
        """Report that the images are prepared and the first step begins."""
        record, noise = training.model.record, training.data_noise
        self._write(
            "started",
            n_planes=record.n_planes,
            noise="" if noise is None else str(noise),
            supervision=record.supervision,
            step=training.step,
        )

    def progress(self, progress: Progress) -> None:
        """Report a step; those since the last line are in ``steps`` as (seconds, loss)."""
        self._steps.append((progress.seconds, progress.loss))
        self._last = progress
        if progress.held_out is not None or time.monotonic() - self._written >= _LINE_SECONDS:
            self._write_steps()

    def saved(self, path: Path, *, complete: bool) -> None:
        """Report that the file holds a checkpoint, or the model of the complete run."""
        self._write_steps()
        self._write("saved", path=str(path), complete=complete)

    def failed(self, error: Exception) -> None:
        """Report why the training failed."""
        self._write_steps()
        is_own = isinstance(error, VAERestoreError)
        text = str(error) if is_own else f"{type(error).__name__}: {error}"
        self._write("failed", message=" ".join(text.split()))

    def _write_steps(self) -> None:
        if self._last is None:
            return
        self._write("progress", **asdict(self._last), steps=self._steps)
        self._steps, self._last, self._written = [], None, time.monotonic()

    def _write(self, event: str, **values: Any) -> None:
        line = json.dumps({"event": event, **_finite(values)}, allow_nan=False)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def run_training(
    training: Training, output: Path | None = None, lines: JsonLines | None = None
) -> bool:
    """Train to the end, or to the end of the step in which Ctrl-C came; whether it came.

    Checkpoints are written on the way. With `lines`, JSON replaces the bar, and a line
    "stop" on stdin acts as Ctrl-C; the end of stdin does nothing. A second Ctrl-C raises
    KeyboardInterrupt at once.
    """
    stop = threading.Event()
    with terminal.signals_handled(_STOP_SIGNALS, stop.set, once=True):
        steps = _iter_training(training, stop, output, lines)
        if lines is None:
            return terminal.run_steps(steps, "Training", _remarks())
        _note_stop_line(stop)
        return drain(steps)


def _iter_training(
    training: Training, stop: threading.Event, output: Path | None, lines: JsonLines | None
) -> Generator[Progress, None, bool]:
    """Train and save checkpoints; whether `stop` ended it."""
    interval = SAVE_SECONDS if lines is None else WATCHED_SAVE_SECONDS
    saved = time.monotonic()
    with contextlib.closing(training.run()) as steps:
        for progress in steps:
            if lines is not None:
                lines.progress(progress)
            yield progress
            if stop.is_set():
                return progress.fraction < 1
            is_due = progress.fraction < 1 and time.monotonic() - saved >= interval
            if output is not None and is_due:
                started = time.monotonic()
                if _saved(training, output) and lines is not None:
                    lines.saved(output, complete=False)
                saved = time.monotonic()
                interval = max(interval, (saved - started) / MAX_SAVE_SHARE)
    return False


def _remarks() -> Callable[[Progress], tuple[float, str]]:
    """A function of a step: the share that is done, and the last score beside the bar."""
    held_out = ""

    def shown(progress: Progress) -> tuple[float, str]:
        nonlocal held_out
        if progress.held_out is not None:
            name = "ELBO" if progress.kl else "held out"
            held_out = f" · {name} {progress.held_out:.4f}"
        return progress.fraction, f"step {progress.step}{held_out}"

    return shown


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


def _finite(value: Any) -> Any:
    """The same with rounded numbers, and null for what JSON cannot hold."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
