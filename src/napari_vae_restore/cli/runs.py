"""Training and restoration, drained with a progress bar, and described in words."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from napari_vae_restore.cli.terminal import progress_bar

if TYPE_CHECKING:
    from napari_vae_restore.models.model import TrainingRecord
    from napari_vae_restore.noise import NoiseModel
    from napari_vae_restore.restoration.restore import RestoreProgress
    from napari_vae_restore.restoration.result import Diagnostics, Restoration
    from napari_vae_restore.training.engine import Training

# Ctrl-C, the wish of a batch system, and Ctrl-Break of Windows.
_STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
]

# Residual standard deviation, in units of the noise's, between which all is well.
_ALL_REMOVED = (0.9, 1.1)


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
    elbo = ""
    with (
        _stop_signals_noted() as stop,
        progress_bar("Training") as update,
        contextlib.closing(training.run()) as steps,
    ):
        for progress in steps:
            if progress.held_out_elbo is not None:
                elbo = f" · ELBO {progress.held_out_elbo:.4f}"
            update(progress.fraction, progress.seconds_left, f"step {progress.step}{elbo}")
            if stop.is_set():
                return progress.fraction < 1
    return False


def run_restoration(steps: Generator[RestoreProgress, None, Restoration]) -> Restoration:
    """Run a restoration to its end.

    Raises
    ------
    InputError, RestorationError
        As `iter_restore`.
    """
    with progress_bar("Denoising") as update:
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


def describe_noise(noise: NoiseModel | None) -> str:
    """A noise model in words, in the image's intensity units."""
    from napari_vae_restore.noise import GaussianNoise, PoissonGaussianNoise

    if isinstance(noise, GaussianNoise):
        return f"Gaussian, standard deviation {noise.sigma:.4g}"
    if isinstance(noise, PoissonGaussianNoise):
        sign = "−" if noise.b < 0 else "+"
        return f"Poisson-Gaussian, variance = {noise.a:.4g} · signal {sign} {abs(noise.b):.4g}"
    return "differs between the images or channels, measured for each"


def describe_removal(diagnostics: Diagnostics) -> str:
    """How much of the noise a restoration removed, and what to think of it."""
    removed = diagnostics.residual_std
    low, high = _ALL_REMOVED
    verdict = "as much as the noise model says"
    if removed < low:
        verdict = "noise remains, or the noise model says too much"
    elif removed > high:
        verdict = "structure went with it, or the noise model says too little"
    return f"{removed:.2f} of the noise's standard deviation ({verdict})"


def describe_training(record: TrainingRecord) -> list[tuple[str, str]]:
    """Rows for `terminal.report` on what a training did."""
    planes = "plane" if record.n_planes == 1 else "planes"
    rows = [
        (
            "Trained",
            f"{record.n_steps} steps in {record.seconds:.0f} s on {record.n_planes} {planes}, "
            f"{record.n_pixels} pixels",
        )
    ]
    if record.elbo is not None:
        where = "held-out patches" if record.is_held_out else "patches it was trained on"
        rows.append(("ELBO", f"{record.elbo:.4f} nats per pixel, on {where}"))
        levels = " · ".join(f"{value:.4f}" for value in record.kl)
        rows.append(("KL", f"{levels} nats per pixel, finest level first"))
    return rows


def as_typed(*words: object) -> str:
    """A command as one would type it, with what needs quotes in quotes."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)
