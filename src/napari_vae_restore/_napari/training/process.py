"""A training in its own process, which can be watched and stopped, and outlives the window.

The process is ``vae-restore train``. It writes its events into its run's log, so that it
never waits for a reader, and any later window can read them from the beginning.
No Qt and no torch here.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil

from napari_vae_restore._napari.messages import (
    TrainingFailed,
    TrainingSaved,
    TrainingStarted,
    TrainingUpdate,
)
from napari_vae_restore._napari.training.runs import Run, parse_event
from napari_vae_restore.errors import TrainingError

# The command line, in the interpreter that runs the window.
PROGRAM = (sys.executable, "-m", "napari_vae_restore")
_STOP = b"stop\n"

TrainingEvent = TrainingStarted | TrainingUpdate | TrainingSaved | TrainingFailed

# By number, also of processes that nobody watches now.
_children: dict[int, subprocess.Popen[bytes]] = {}


class TrainingProcess:
    """The process of a run, which this window may have started or not."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._child = None if run.pid is None else _children.get(run.pid)
        self._log = Tail(run.log_path)

    @property
    def is_alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self.run.is_alive

    def read(self) -> list[TrainingEvent]:
        """Events since the last call; the first call gives all since the run began."""
        return list(messages_of(self._log.read()))

    def stop(self) -> None:
        """Ask it to end after the current step and to save what it has learned."""
        if self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended already
                self._child.stdin.write(_STOP)
                self._child.stdin.flush()
        elif (process := self.run.process) is not None:
            # On Windows this is the end at once: the last checkpoint is what was learned.
            with contextlib.suppress(psutil.Error):
                process.terminate()

    def kill(self) -> None:
        """Kill it and wait for its end; its last checkpoint stays."""
        if (process := self.run.process) is not None:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._child is not None:
            self._child.wait()

    def last_error(self) -> str:
        """The last line that it wrote to stderr."""
        path = self.run.errors_path
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        lines = text.strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else ""


class Tail:
    """Reads what is added to a log, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """New events of complete lines; the rest is left for the next call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as log:
            log.seek(self._offset)
            added = log.read()
        complete = added[: added.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            if (event := parse_event(line)) is not None:
                yield event


def start(run: Run, *, resumed: bool = False) -> TrainingProcess:
    """Start the process of a run; raises TrainingError if that is impossible."""
    words = [*PROGRAM, *run.request.words(run.model_path, resumed=resumed)]
    try:
        with run.log_path.open("ab") as log, run.errors_path.open("wb") as errors:
            # A torn line, which a killed process leaves, ends here.
            log.write(b"\n")
            log.flush()
            # In its own folder: python -m looks for modules where it is started.
            child = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=errors,
                cwd=run.folder,
                **_on_its_own(),
            )
    except OSError as error:
        raise TrainingError(f"the training could not be started: {error}") from error
    _forget_ended()
    _children[child.pid] = child
    return TrainingProcess(run.with_process(child.pid))


def messages_of(events: Iterable[dict[str, Any]]) -> Iterator[TrainingEvent]:
    """Events of a log, consecutive steps as one update; unknown ones are skipped."""
    for is_progress, group in groupby(events, lambda event: event["event"] == "progress"):
        if is_progress:
            yield _update(list(group))
            continue
        for event in group:
            match event["event"]:
                case "started":
                    yield TrainingStarted(event["noise"])
                case "saved":
                    yield TrainingSaved(Path(event["path"]), event["complete"])
                case "failed":
                    yield TrainingFailed(event["message"])


def _forget_ended() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            child.communicate()  # closes its stdin
            del _children[pid]


@atexit.register
def _let_go() -> None:
    """Close the pipes to the processes, which continue without."""
    for child in _children.values():
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()


def _update(lines: list[dict[str, Any]]) -> TrainingUpdate:
    last = lines[-1]
    steps = [step for line in lines for step in line["steps"]]
    return TrainingUpdate(
        seconds=tuple(at for at, _ in steps),
        losses=tuple(_number(loss) for _, loss in steps),
        held_out=tuple(
            (line["seconds"], _number(line["held_out"]))
            for line in lines
            if line["held_out"] is not None
        ),
        held_out_first=last["held_out_first"],
        kl=tuple((line["seconds"], tuple(map(_number, line["kl"]))) for line in lines),
        step=last["step"],
        fraction=last["fraction"],
        seconds_left=last["seconds_left"],
    )


def _number(value: float | None) -> float:
    """NaN for what JSON could not hold."""
    return math.nan if value is None else value


def _on_its_own() -> dict[str, Any]:
    """Options that keep a process alive when the window or its terminal is closed."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}
    return {"start_new_session": True}
