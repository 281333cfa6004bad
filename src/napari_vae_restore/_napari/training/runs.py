"""The trainings that the window started: a folder each, found again by another window.

A folder holds ``run.json`` (what was asked, and whose process it is), ``log.jsonl`` (what
the process tells), ``errors.txt`` (its stderr), ``model.safetensors`` (its checkpoint, in
the end its model) and copies of the layers that it learns from. No Qt and no torch here.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil

from napari_vae_restore.images.atomic import atomic_write

_log = logging.getLogger(__name__)

ADAPT, SHOTS, PAIRS, CLEAN, SCRATCH = "adapt", "shots", "pairs", "clean", "scratch"
WAYS: Final = (ADAPT, SHOTS, PAIRS, CLEAN, SCRATCH)
"""What a user may have: noisy images, two shots, noisy and clean images, clean images; the
last trains a VAE of noisy images from nothing."""

KEPT_RUNS = 5
"""Folders of ended trainings that are kept, the newest ones."""

_SIMULATED = "denoise,inpaint,super-resolve"
_SAME_START = 2.0
"""Seconds by which two looks at the start of one process may differ."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be trained, in the terms of ``vae-restore train``.

    Attributes
    ----------
    way : str
        One of :data:`WAYS`.
    images, second : str
        Files or folders; the other shots or the clean images where the way has them.
    budget : str
        Wall time such as "2 min".
    noise : str
        Its notation; empty to estimate it.
    seed : int
        Of patches and noise.
    device : str
        Where it runs.
    axes : str
        Of the images; empty to read or guess them.
    start : str
        The model to start from, "default" or a file.
    name : str
        What the window calls the images.
    """

    way: str = ADAPT
    images: str = ""
    second: str = ""
    budget: str = "2 min"
    noise: str = ""
    seed: int = 0
    device: str = "auto"
    axes: str = ""
    start: str = "default"
    name: str = "image"

    def words(self, output: Path, *, resumed: bool) -> list[str]:
        """The command after the program's name.

        Parameters
        ----------
        output : pathlib.Path
            The model file.
        resumed : bool
            Whether it goes on from the checkpoint that is there.

        Returns
        -------
        list of str
            Each word as the program is to get it.
        """
        words = ["train", self.images, "-o", str(output), "--json-lines"]
        options = {
            "--second": self.second if self.way == SHOTS else "",
            "--clean": self.second if self.way == PAIRS else "",
            "--simulate": _SIMULATED if self.way == CLEAN else "",
            "--start": self.start if self.way != SCRATCH else "",
            "--noise": self.noise,
            "--axes": self.axes,
            "--device": self.device,
        }
        if resumed:
            words.append("--overwrite")
            options["--resume"] = str(output)
        else:
            options |= {"--budget": self.budget, "--seed": str(self.seed)}
        for name, value in options.items():
            words += [name, value] if value else []
        return words


@dataclass(frozen=True, slots=True)
class Run:
    """One training, in its folder.

    Attributes
    ----------
    folder : pathlib.Path
        Its own.
    request : Request
        What was asked.
    pid : int or None
        Of its last process; None before there was one.
    pid_since : float
        When that process was started, as the system says: a number alone is used again.
    """

    folder: Path
    request: Request
    pid: int | None = None
    pid_since: float = 0.0

    @property
    def model_path(self) -> Path:
        """Of the checkpoint, in the end of the model."""
        return self.folder / "model.safetensors"

    @property
    def log_path(self) -> Path:
        """Of what the process tells, a JSON object a line."""
        return self.folder / "log.jsonl"

    @property
    def errors_path(self) -> Path:
        """Of the process's warnings and errors."""
        return self.folder / "errors.txt"

    @property
    def process(self) -> psutil.Process | None:
        """The process if it still runs."""
        if self.pid is None:
            return None
        try:
            process = psutil.Process(self.pid)
            is_it = abs(process.create_time() - self.pid_since) < _SAME_START
            return process if is_it and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    @property
    def is_alive(self) -> bool:
        """Whether it is being trained."""
        return self.process is not None

    @property
    def is_complete(self) -> bool:
        """Whether it ran to its end."""
        last: dict[str, Any] = {}
        for event in read_events(self.log_path, b'"saved"'):
            last = event
        return last.get("complete") is True

    @property
    def can_resume(self) -> bool:
        """Whether it ended too early and can go on."""
        return self.model_path.exists() and not self.is_alive and not self.is_complete

    def with_process(self, pid: int) -> Run:
        """The same with the process that trains it, noted in the folder."""
        try:
            since = psutil.Process(pid).create_time()
        except psutil.Error:  # it has ended already
            since = 0.0
        run = replace(self, pid=pid, pid_since=since)
        run.write()
        return run

    def write(self) -> None:
        """Note in the folder what is known."""
        values = {
            "request": asdict(self.request),
            "pid": self.pid,
            "pid_since": self.pid_since,
        }
        with atomic_write(self.folder / "run.json") as temporary:
            temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy_up(self) -> None:
        """Delete what a complete run has no use for: copies of layers, torn checkpoints."""
        for pattern in ("*.tif", ".*.tmp*"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)


def runs_folder() -> Path:
    """Where the runs are: the user's own data, on this machine only."""
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or os.environ.get("APPDATA")
        data = Path(local) if local else home / "AppData" / "Local"
    elif sys.platform == "darwin":
        data = home / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return data / "napari-vae-restore" / "trainings"


def new_folder() -> Path:
    """Make the folder of a new run; its name tells when it began."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = runs_folder() / name
    folder.mkdir(parents=True)
    return folder


def known_runs() -> list[Run]:
    """All runs whose folders can be read, the newest first."""
    found = (_read(folder) for folder in _folders())
    return [run for run in found if run is not None]


def offered_run() -> Run | None:
    """The run that a new window can go on with: one at work, or the last if it was stopped."""
    runs = known_runs()
    alive = next((run for run in runs if run.is_alive), None)
    if alive is not None:
        return alive
    return runs[0] if runs and runs[0].can_resume else None


def clean_up() -> None:
    """Delete the folders of old runs that have ended."""
    for run in known_runs()[KEPT_RUNS:]:
        if not run.is_alive:
            run.remove()
    for folder in _folders():
        # Without a description: one that is being made, or what a crash has left.
        if _read(folder) is None and time.time() - folder.stat().st_mtime > _DAY:
            shutil.rmtree(folder, ignore_errors=True)


def read_events(path: Path, containing: bytes = b"") -> Iterator[dict[str, Any]]:
    """The lines of a log that are complete and hold some text.

    Parameters
    ----------
    path : pathlib.Path
        Of the log; none is an empty one.
    containing : bytes
        The text.

    Yields
    ------
    dict
        Each event.
    """
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for line in lines:
        event = parse_event(line) if containing in line else None
        if event is not None:
            yield event


def parse_event(line: bytes) -> dict[str, Any] | None:
    """An event, or None for a line that holds none, as a killed process leaves it."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _folders() -> list[Path]:
    folder = runs_folder()
    if not folder.is_dir():
        return []
    return sorted((each for each in folder.iterdir() if each.is_dir()), reverse=True)


def _read(folder: Path) -> Run | None:
    try:
        values = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        request = Request(**values["request"])
        return Run(folder, request, values["pid"], values["pid_since"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.warning("%s: the run cannot be read and is left alone: %s", folder, error)
        return None
