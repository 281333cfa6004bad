"""``vae-restore doctor``: what is installed, what is missing, and how to mend it."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_vae_restore.cli import terminal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PACKAGE = "napari-vae-restore"
_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
_BROKEN = 1
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report, and advice where something is missing."""

    label: str
    text: str
    advice: str = ""
    core: bool = False  # without it, nothing works


def doctor() -> None:
    """Say what is installed, which devices there are, what is missing and how to mend it.

    The exit status is 0 if training and restoring work here; napari may be missing.
    """
    checks: list[Callable[[], list[Finding]]] = [_versions, _devices, _window, _manifest]
    findings = [finding for check in checks for finding in check()]
    findings += [_bundled_model(), _self_test()]
    terminal.report([(finding.label, finding.text) for finding in findings])
    advice = [("To mend", finding.advice) for finding in findings if finding.advice]
    broken = any(finding.core for finding in findings if finding.advice)
    terminal.report(advice or [("Verdict", "all is well")])
    if broken:
        raise typer.Exit(_BROKEN)
    if advice:
        terminal.report([("Verdict", "training and restoring work here")])


def _versions() -> list[Finding]:
    found = [
        Finding("Version", metadata.version(_PACKAGE)),
        Finding("Python", f"{platform.python_version()} ({sys.executable})"),
        Finding("System", platform.platform()),
    ]
    if torch := _version("torch"):
        found.append(Finding("torch", torch))
    else:
        found.append(Finding("torch", "missing", "run: pip install torch", core=True))
    if napari := _version("napari"):
        found.append(Finding("napari", napari))
    else:
        advice = f'for the window, run: pip install "{_PACKAGE}[all]"'
        found.append(Finding("napari", "missing (needed for the window only)", advice))
    return found


def _devices() -> list[Finding]:
    if _version("torch") is None:
        return []
    import torch

    devices = [("cpu", f"{torch.get_num_threads()} threads", _free_memory())]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, _ = torch.cuda.mem_get_info(index)
        devices.append((f"cuda:{index}", torch.cuda.get_device_name(index), free))
    if torch.backends.mps.is_available():
        devices.append(("mps", "Apple GPU", None))
    return [
        Finding(name, f"{about}, {_gibibytes(free)} free, {_precision(name)}")
        for name, about, free in devices
    ]


def _precision(name: str) -> str:
    from contextlib import nullcontext

    from napari_vae_restore.models.devices import choose_device, native_precision

    plain = isinstance(native_precision(choose_device(name)), nullcontext)
    return "trains in float32" if plain else "trains in bfloat16"


def _window() -> list[Finding]:
    """The Qt binding and the display, without importing either."""
    bindings = [f"{name} {version}" for name in _BINDINGS if (version := _version(name))]
    advice = ""
    if not bindings:
        advice = "for the window, run: pip install pyqt6"
    elif len(bindings) > 1:
        advice = (
            f"{' and '.join(bindings)} are both installed; if napari does not start, keep one"
        )
    found = [Finding("Qt", ", ".join(bindings) or "no binding", advice)]
    if os.name == "nt" or sys.platform == "darwin":
        return [*found, Finding("Display", "that of the system")]
    display = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    if display:
        return [*found, Finding("Display", display)]
    advice = (
        "for the window, start from a desktop session, connect with ssh -X, or prefix the "
        "command with xvfb-run; the command line needs none"
    )
    return [*found, Finding("Display", "none", advice)]


def _manifest() -> list[Finding]:
    """Whether napari will find the plugin."""
    points = metadata.distribution(_PACKAGE).entry_points.select(group="napari.manifest")
    declared = [point.value.partition(":")[2] for point in points]
    there = [
        name for name in declared if (resources.files("napari_vae_restore") / name).is_file()
    ]
    if there:
        return [Finding("Plugin", f"manifest {there[0]} found")]
    advice = f"napari cannot see the plugin; run: pip install --force-reinstall {_PACKAGE}"
    return [Finding("Plugin", "no manifest", advice)]


def _bundled_model() -> Finding:
    """See that the bundled model is the one that was shipped, and that it restores."""

    def restored() -> str:
        import numpy as np

        import napari_vae_restore as vr

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

    advice = f"the bundled model fails; run: pip install --force-reinstall {_PACKAGE}"
    return _tried("Model", restored, advice)


def _self_test() -> Finding:
    """Train for a step, restore, and see that numbers come out."""

    def trained() -> str:
        import numpy as np

        import napari_vae_restore as vr

        image = np.random.default_rng(0).normal(100.0, 10.0, (192, 192)).astype(np.float32)
        result = vr.denoise(image, vr.train(image, noise="gaussian:10", steps=1))
        _check_finite(result.mean)
        return f"trained a step and denoised on {result.diagnostics.device}"

    advice = f"training or denoising fails; run: pip install --upgrade {_PACKAGE} torch"
    return _tried("Self-test", trained, advice)


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


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _free_memory() -> int | None:
    """Available bytes on Linux; None elsewhere."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _gibibytes(n_bytes: int | None) -> str:
    return "unknown" if n_bytes is None else f"{n_bytes / _GIB:.1f} GiB"
