"""``vae-restore doctor``: what is installed, what is missing, and how to mend it."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import metadata, resources
from typing import TYPE_CHECKING

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import terminal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PACKAGE = "napari-vae-restore"
_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
_BROKEN = 1
_GIB = 2**30
_REINSTALL = f"pip install --force-reinstall {_PACKAGE}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report, and advice where something is missing."""

    label: str
    text: str
    advice: str = ""
    core: bool = False  # without it, nothing works


@dataclass(frozen=True, slots=True)
class DoctorCommand:
    """Say what is installed, which devices there are, what is missing and how to mend it.

    The exit status is 0 if training and restoring work here; napari may be missing.
    """

    def run(self) -> None:
        findings = [
            *_versions(),
            *_devices(),
            *_window(),
            _manifest(),
            _tried("Model", _restored, f"the bundled model fails; run: {_REINSTALL}"),
            _tried(
                "Self-test",
                _trained,
                f"training or denoising fails; run: pip install --upgrade {_PACKAGE} torch",
            ),
        ]
        terminal.report([(finding.label, finding.text) for finding in findings])
        advice = [("To mend", finding.advice) for finding in findings if finding.advice]
        terminal.report(advice or [("Verdict", "all is well")])
        if any(finding.core for finding in findings if finding.advice):
            raise typer.Exit(_BROKEN)
        if advice:
            terminal.report([("Verdict", "training and restoring work here")])


def version_of(name: str) -> str | None:
    """The version of an installed package; None without it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> Iterator[Finding]:
    yield Finding("Version", metadata.version(_PACKAGE))
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("System", platform.platform())
    if torch := version_of("torch"):
        yield Finding("torch", torch)
    else:
        yield Finding("torch", "missing", "run: pip install torch", core=True)
    if napari := version_of("napari"):
        yield Finding("napari", napari)
    else:
        advice = f'for the window, run: pip install "{_PACKAGE}[all]"'
        yield Finding("napari", "missing (needed for the window only)", advice)


def _devices() -> Iterator[Finding]:
    if version_of("torch") is None:
        return
    import torch

    from napari_vae_restore.models.devices import free_memory, native_precision

    devices = {"cpu": f"{torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    for name, about in devices.items():
        device = torch.device(name)
        free = f"{free_memory(device) / _GIB:.1f} GiB free"
        is_plain = isinstance(native_precision(device), nullcontext)
        precision = "float32" if is_plain else "bfloat16"
        yield Finding(name, f"{about}, {free}, trains in {precision}")


def _window() -> Iterator[Finding]:
    """The Qt binding and the display, without importing either."""
    bindings = [f"{name} {version}" for name in _BINDINGS if (version := version_of(name))]
    advice = ""
    if not bindings:
        advice = "for the window, run: pip install pyqt6"
    elif len(bindings) > 1:
        advice = (
            f"{' and '.join(bindings)} are both installed; if napari does not start, keep one"
        )
    yield Finding("Qt", ", ".join(bindings) or "no binding", advice)
    if os.name == "nt" or sys.platform == "darwin":
        yield Finding("Display", "that of the system")
    elif display := os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"):
        yield Finding("Display", display)
    else:
        advice = (
            "for the window, start from a desktop session, connect with ssh -X, or prefix the "
            "command with xvfb-run; the command line needs none"
        )
        yield Finding("Display", "none", advice)


def _manifest() -> Finding:
    """Whether napari will find the plugin."""
    for point in metadata.distribution(_PACKAGE).entry_points.select(group="napari.manifest"):
        name = point.value.partition(":")[2]
        if (resources.files("napari_vae_restore") / name).is_file():
            return Finding("Plugin", f"manifest {name} found")
    advice = f"napari cannot see the plugin; run: {_REINSTALL}"
    return Finding("Plugin", "no manifest", advice)


def _restored() -> str:
    """See that the bundled model is the one that was shipped, and that it restores."""
    import numpy as np

    clean = np.add.outer(np.arange(64.0), np.arange(64.0)).astype(np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 10, clean.shape).astype(np.float32)
    denoised = vr.denoise(noisy, noise="gaussian:10")
    holes = np.zeros(clean.shape, bool)
    holes[20:30, 20:30] = True
    others = [vr.inpaint(clean, holes), vr.super_resolve(clean, 2)]
    _check_finite(denoised.mean, *(other.mean for other in others))
    if np.abs(denoised.mean - clean).mean() >= np.abs(noisy - clean).mean():
        raise ArithmeticError("the bundled model makes noise worse")
    recipe = denoised.recipe
    return f"{recipe.model} ({recipe.model_sha256[:8]}): denoised, filled and enlarged"


def _trained() -> str:
    """Train for a step, restore, and see that numbers come out."""
    import numpy as np

    image = np.random.default_rng(0).normal(100.0, 10.0, (192, 192)).astype(np.float32)
    result = vr.denoise(image, vr.train(image, noise="gaussian:10", steps=1))
    _check_finite(result.mean)
    return f"trained a step and denoised on {result.diagnostics.device}"


def _tried(label: str, test: Callable[[], str], advice: str) -> Finding:
    """Result and time of a test of the core, or why it failed."""
    started = time.monotonic()
    try:
        text = test()
    except Exception as error:  # whatever is broken is what the report is for
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Finding(label, reason, advice, core=True)
    return Finding(label, f"{text} in {time.monotonic() - started:.1f} s")


def _check_finite(*arrays: NDArray[np.floating]) -> None:
    import numpy as np

    if not all(np.isfinite(array).all() for array in arrays):
        raise ArithmeticError("no finite numbers")
