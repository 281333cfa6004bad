"""A Python that has imported all that the program needs, and is forked for each run of it.

A program that is killed after a second and starts for three would be killed in its imports.
POSIX only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

# One thread in all, so that nothing is lost by a fork.
_SERVER = """
import importlib, json, os, signal, sys, traceback
import torch
torch.set_num_threads(1)
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
from napari_vae_restore.cli import main
from napari_vae_restore.models.bundled import find_model
find_model("default")

def run(words, prepared, log):
    null, told = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT)
    for number, opened in enumerate((null, told, told)):
        os.dup2(opened, number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" ignores it
    status = 99
    try:
        exec(prepared, {})
        status = main(words)
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

for line in sys.stdin:
    verb, *values = json.loads(line)
    if verb == "start":
        number = os.fork() or run(*values)
    else:
        found, status = os.waitpid(values[0], os.WNOHANG if verb == "poll" else 0)
        number = os.waitstatus_to_exitcode(status) if found else None
    print(json.dumps(number), flush=True)
"""

MODULES = (
    "napari_vae_restore.cli.app",
    "napari_vae_restore.generation.compression.compress",
    "napari_vae_restore.generation.enhancement",
    "napari_vae_restore.restoration.restore",
    "napari_vae_restore.batch.run",
    "napari_vae_restore.training.engine",
    "dask.array",
    "imageio.plugins.pillow",
    "safetensors.torch",
    "scipy.ndimage",
    "skimage.util",
    "tifffile",
    "torch._dynamo",  # by the first optimiser
    "zarr",
)
"""What most commands import; others cost a run some tenths of a second."""


@dataclass(slots=True)
class Run:
    """A run of the program, which may be under way.

    Attributes
    ----------
    warm : Warm
        Who started it.
    pid : int
        Of its process.
    log : Path
        What it writes to stdout and stderr.
    status : int or None
        Once it has ended and was asked; a negative one is that of a signal.
    """

    warm: Warm
    pid: int
    log: Path
    status: int | None = field(default=None)

    @property
    def has_ended(self) -> bool:
        """Whether it has, by itself or not."""
        if self.status is None:
            self.status = self.warm.ask("poll", self.pid)
        return self.status is not None

    @property
    def told(self) -> str:
        """What it has said so far."""
        return self.log.read_text("utf-8")

    def wait(self) -> int:
        """Its exit status."""
        if self.status is None:
            self.status = self.warm.ask("wait", self.pid)
        assert self.status is not None
        return self.status

    def send(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if not self.has_ended:
            os.kill(self.pid, number)


class Warm:
    """Starts the program in no time.

    Parameters
    ----------
    folder : Path
        For what its runs say.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._n = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, json.dumps(MODULES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def ask(self, verb: str, *values: Any) -> int | None:
        """Ask the one process for a number."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([verb, *values]) + "\n")
        self._process.stdin.flush()
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def start(self, words: Sequence[object], prepared: str = "") -> Run:
        """Run the program.

        Parameters
        ----------
        words : sequence of object
            After its name.
        prepared : str
            Python that is executed before.
        """
        self._n += 1
        log = self._folder / f"run-{self._n}.log"
        log.touch()
        pid = self.ask("start", [str(word) for word in words], prepared, str(log))
        assert pid is not None
        return Run(self, pid, log)

    def seconds(self, words: Sequence[object], prepared: str = "") -> float:
        """Run the program to its end, which must be a good one; how long it took."""
        began = time.monotonic()
        run = self.start(words, prepared)
        if run.wait():
            raise SystemExit(f"the program failed with {run.status}:\n{run.told}")
        return time.monotonic() - began
