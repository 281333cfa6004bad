"""Install the wheel beside each Qt binding, and beside none: what it changes, what it costs.

For each environment: nothing that was there is replaced, the plugin is discovered without
torch (which is left out, so that nothing can import it), and discovery takes so much longer.
Needs uv and the network; run it outside of the repository's environment::

    python benchmarks/environments.py /tmp/environments
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = {
    "PyQt6": ["napari>=0.6", "PyQt6"],
    "PySide6": ["napari>=0.6", "PySide6"],
    "neither": ["npe2"],
}
RUNS = 7
"""Processes that are timed; their median is told."""

DISCOVER = """
import time, sys
from npe2 import PluginManager
manager = PluginManager()
started = time.perf_counter()
manager.discover()
took = time.perf_counter() - started
names = [each.name for each in manager.iter_manifests()]
print(took, "napari-vae-restore" in names, "torch" in sys.modules)
"""
COMMANDS = """
import sys
from npe2 import PluginManifest
manifest = PluginManifest.from_distribution("napari-vae-restore")
manifest.validate_imports()
assert "torch" not in sys.modules
from qtpy import API_NAME
print(len(manifest.contributions.commands), "commands imported with", API_NAME)
"""
CORE = """
import sys
import napari_vae_restore as vr
vr.Denoise("gaussian:3"), vr.GaussianNoise(3.0)
found = [name for name in ("PyQt6", "PySide6", "napari", "torch") if name in sys.modules]
print("the core works;", "of Qt, napari and torch came in:", found)
"""
BUDGET = 0.05
"""Seconds that discovery may take longer."""


def main() -> None:
    """Try all environments; a failed check ends with an error."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "environments").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    run("uv", "build", "--wheel", "--out-dir", str(folder), str(ROOT), cwd=folder)
    wheel = max(folder.glob("*.whl"), key=os.path.getmtime)
    no_torch = folder / "overrides.txt"
    no_torch.write_text("torch; python_version < '3'\n")
    for name, packages in ENVIRONMENTS.items():
        place = folder / name
        run("uv", "venv", "--clear", "--python", "3.11", str(place), cwd=folder)
        python = str(place / "bin" / "python")
        install = ("uv", "pip", "install", "--python", python)
        run(*install, *packages, cwd=folder)
        before, time_before = versions(python, folder), discovery(python, folder)[0]
        run(*install, "--override", str(no_torch), str(wheel), cwd=folder)
        after = versions(python, folder)
        took, is_found, has_torch = discovery(python, folder)
        changed = {k: (was, after.get(k)) for k, was in before.items() if after.get(k) != was}
        added = sorted(set(after) - set(before))
        qt = [key for key in added if "qt6" in key.lower() or "pyside" in key.lower()]
        check(not changed, f"{name}: replaced {changed}")
        check(not qt, f"{name}: brought in {qt}")
        check(is_found and not has_torch, f"{name}: found {is_found}, torch {has_torch}")
        check(took - time_before < BUDGET, f"{name}: discovery + {took - time_before:.3f} s")
        code = CORE if name == "neither" else COMMANDS
        told = run(python, "-c", code, cwd=folder).strip()
        sys.stdout.write(
            f"{name}: {len(added)} packages added, none replaced; discovery "
            f"{1000 * time_before:.1f} -> {1000 * took:.1f} ms; {told}\n"
        )


def discovery(python: str, folder: Path) -> tuple[float, bool, bool]:
    """Median seconds of discovery, whether the plugin is found, and torch came in."""
    found = [run(python, "-c", DISCOVER, cwd=folder).split() for _ in range(RUNS)]
    took = statistics.median(float(each[0]) for each in found)
    return took, found[0][1] == "True", found[0][2] == "True"


def versions(python: str, folder: Path) -> dict[str, str]:
    """Version of each package of an environment."""
    listed = run("uv", "pip", "list", "--python", python, "--format", "json", cwd=folder)
    return {each["name"]: each["version"] for each in json.loads(listed)}


def run(*words: str, cwd: Path) -> str:
    """Run a program to its end; its output."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    check(done.returncode == 0, f"{' '.join(words)}\n{done.stderr}")
    return done.stdout


def check(holds: bool, otherwise: str) -> None:
    """End with a message if something does not hold."""
    if not holds:
        sys.exit(otherwise)


if __name__ == "__main__":
    main()
