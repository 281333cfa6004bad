"""A training reported in lines of JSON on stdout, for the program that started it.

Each line is an object with an ``event``: "started", "progress", "saved" or "failed".
Numbers that are not finite are null.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vae_restore.errors import VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.training.engine import Training
    from napari_vae_restore.training.progress import Progress

_SECONDS = 0.2
"""Between two lines of progress; held-out scores are reported at once."""

_DIGITS = 7
"""Digits of a number, as many as float32 has."""


class JsonLines:
    """Writes the events of a training, one object a line, flushed."""

    def __init__(self) -> None:
        self._steps: list[tuple[float, float]] = []
        self._last: Progress | None = None
        self._written = -math.inf

    def started(self, training: Training) -> None:
        """Report that the images are prepared and the first step begins."""
        record = training.model.record
        noise = training.data_noise
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
        if progress.held_out is not None or time.monotonic() - self._written >= _SECONDS:
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


def _finite(value: Any) -> Any:
    """The same with rounded numbers, and null for what JSON cannot hold."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
