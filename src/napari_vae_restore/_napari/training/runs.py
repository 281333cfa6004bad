"""Trainings that the window started: a folder each, which another window finds again.

A folder holds ``run.json`` (the request and the process), ``log.jsonl`` (the events of the
process), ``errors.txt`` (its stderr), ``model.safetensors`` (its checkpoint, at the end its
model) and copies of the layers that it learns from.
No Qt and no torch here.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import psutil
from platformdirs import user_data_path
from pydantic import Field, TypeAdapter, ValidationError

from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.models.bundled import DEFAULT

_log = logging.getLogger(__name__)

ADAPT, SHOTS, PAIRS, CLEAN, SCRATCH = "adapt", "shots", "pairs", "clean", "scratch"
# By the images that a user has: noisy ones, two shots of each, noisy and clean ones, clean
# ones; the last trains a VAE of noisy images from nothing.
WAYS: Final = (ADAPT, SHOTS, PAIRS, CLEAN, SCRATCH)

KEPT_RUNS = 5  # the newest folders of ended trainings
_SIMULATED = "denoise,inpaint,super-resolve"
_SAME_START = 2.0  # seconds by which the start of one process may seem to differ
_DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A training in the terms of ``vae-restore train``."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    way: str = ADAPT  # one of WAYS
    images: str = ""  # files or folders
    second: str = ""  # the other shots or the clean images, where the way has them
    budget: str = "2 min"  # wall time
    noise: str = ""  # in the core's notation; empty to estimate it
    seed: int = 0
    device: str = "auto"
    axes: str = ""  # empty to read or guess them
    start: str = DEFAULT  # the model to start from, or its file
    name: str = "image"  # of the images in the window

    def words(self, output: Path, *, resumed: bool) -> list[str]:
        """The command line behind the program's name, `resumed` from the checkpoint."""
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
    """One training in its folder, as ``run.json`` there describes it."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    folder: Annotated[Path, Field(exclude=True)]
    request: TrainingRequest
    pid: int | None = None  # of its last process
    pid_since: float = 0.0  # start of that process: systems use a number again

    @property
    def model_path(self) -> Path:
        """The checkpoint, and at the end the model."""
        return self.folder / "model.safetensors"

    @property
    def log_path(self) -> Path:
        """The events of the process, one JSON object a line."""
        return self.folder / "log.jsonl"

    @property
    def errors_path(self) -> Path:
        """The warnings and errors of the process."""
        return self.folder / "errors.txt"

    @property
    def process(self) -> psutil.Process | None:
        """The process; None if it does not run."""
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
        return self.process is not None

    @property
    def is_complete(self) -> bool:
        lines = self.log_path.read_bytes().split(b"\n") if self.log_path.exists() else []
        # Only these lines: a long log takes its time.
        saved = [parse_event(line) for line in lines if b'"saved"' in line]
        events = [event for event in saved if event is not None]
        return bool(events) and events[-1].get("complete") is True

    @property
    def can_resume(self) -> bool:
        """Whether it ended too early and can be resumed."""
        return self.model_path.exists() and not self.is_alive and not self.is_complete

    def with_process(self, pid: int) -> Run:
        """The run with the process that trains it, also written to the folder."""
        try:
            since = psutil.Process(pid).create_time()
        except psutil.Error:  # it has ended already
            since = 0.0
        run = replace(self, pid=pid, pid_since=since)
        run.write()
        return run

    def write(self) -> None:
        with atomic_write(self.folder / "run.json") as temporary:
            temporary.write_bytes(_RUN.dump_json(self, indent=1))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy_up(self) -> None:
        """Delete what a complete run does not need: copies of layers, torn checkpoints."""
        for pattern in ("*.tif", ".*.tmp*"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)


_RUN = TypeAdapter(Run)
_OBJECT = TypeAdapter(dict[str, Any])


def runs_folder() -> Path:
    """The folder of all runs, among the user's data on this machine."""
    return user_data_path("napari-vae-restore", appauthor=False) / "trainings"


def new_folder() -> Path:
    """Make the folder of a new run, named after the time."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = runs_folder() / name
    folder.mkdir(parents=True)
    return folder


def known_runs() -> list[Run]:
    """All runs whose folders can be read, the newest first."""
    found = (_read(folder) for folder in _folders())
    return [run for run in found if run is not None]


def offered_run() -> Run | None:
    """The run that a new window offers: one that is alive, or the last if it can resume."""
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


def parse_event(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None for a torn line, which a killed process leaves."""
    try:
        event = _OBJECT.validate_json(line)
    except ValidationError:
        return None
    return event if "event" in event else None


def _folders() -> list[Path]:
    folder = runs_folder()
    if not folder.is_dir():
        return []
    return sorted((each for each in folder.iterdir() if each.is_dir()), reverse=True)


def _read(folder: Path) -> Run | None:
    try:
        values = _OBJECT.validate_json((folder / "run.json").read_bytes())
        return _RUN.validate_json(json.dumps({**values, "folder": str(folder)}))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _log.warning("%s: the run cannot be read and is left alone: %s", folder, error)
        return None
