"""Damaged and hostile files: what is done to them, and what reading them must not do.

Nothing runs code of theirs, asks the network, writes outside of their folder, hangs, or
allocates a gigabyte on their word. Shared by the tests in ``tests/arbitrary``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SECONDS = 10
"""Of computing; longer is a hang."""
PATIENCE = 60
"""Seconds of waiting, on a machine that others keep busy; longer is a hang as well."""
ALLOWED = 2**30
"""Bytes of memory beyond what the process had."""

# Unpickling shows by what it runs: zarr and dask pickle things of their own.
_RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
_ASKS = ("socket.connect", "socket.getaddrinfo", "socket.bind")
_CHANGES = ("os.mkdir", "os.rename", "os.symlink", "os.link", "shutil.rmtree")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NUMBERS = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 2**31, 2**40, 2**63 - 1, 2**64 - 1)

_PICKLE = b"cos\nsystem\n(S'touch /tmp/executed'\ntR."
FOREIGN = (
    b"",
    _PICKLE,
    b"\x80\x04\x95" + _PICKLE,
    b"PK\x03\x04" + bytes(60),
    b"[" * 100_000,
    b'{"a":' * 100_000,
    bytes(4096),
    b"\xff" * 4096,
)
"""What a file is replaced by as a whole."""

HOSTILE = (
    -1,
    0,
    2**31,
    10**9,
    10**18,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    None,
    True,
    "",
    "../../outside",
    "/tmp/outside",
    "\x00",
    "\ud800",
    "x" * 100_000,
    "nan",
    "pickle",
    "|O",
    [],
    {},
    [[[[]]]],
    [10**6] * 6,
    {"id": "pickle"},
)
"""What stands in for a value of a JSON text."""


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of a file, damaged in one of the ways in which files are, or replaced."""
    data = bytearray(content)
    n = len(data)
    # The beginning is where formats say what is to follow.
    at = int(rng.integers(n if rng.random() < 0.5 else min(n, 256)))
    kind = rng.integers(7)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        for place in (at, *rng.integers(n, size=rng.integers(8))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        start, length = rng.integers(n), int(rng.integers(1, 64))
        data[at : at + length] = data[start : start + length]
    elif kind == 3:
        data[at:at] = rng.bytes(int(rng.integers(1, 64)))
    elif kind == 4:
        del data[at : at + int(rng.integers(1, 64))]
    elif kind == 5:
        number, size = int(rng.choice(np.array(_NUMBERS, object))), int(rng.choice([2, 4, 8]))
        order = "little" if rng.random() < 0.7 else "big"
        data[at : at + size] = (number % 256**size).to_bytes(size, order)
    else:
        return FOREIGN[rng.integers(len(FOREIGN))]
    return bytes(data)


def mutated_values(values: Any, rng: np.random.Generator) -> Any:
    """JSON values with something else in one place of theirs."""
    values = json.loads(json.dumps(values))
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                visit(node[key])

    visit(values)
    if not places:
        return HOSTILE[rng.integers(len(HOSTILE))]
    for _ in range(rng.integers(1, 3)):
        node, key = places[rng.integers(len(places))]
        if isinstance(node, dict) and rng.random() < 0.15:
            node.pop(key, None)
        elif isinstance(node, dict) and rng.random() < 0.1:
            node["surprise"] = HOSTILE[rng.integers(len(HOSTILE))]
        else:
            node[key] = HOSTILE[rng.integers(len(HOSTILE))]
    return values


class Watch:
    """Notes what the process does that reading a file has no business with."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What Python calls at every event; see `sys.addaudithook`."""
        if self.folder is None:
            return
        is_writing = event == "open" and (arguments[2] or 0) & _WRITES
        if event in (*_RUNS, *_ASKS):
            self.seen.append(f"{event} {arguments!r:.200}")
        elif (event in _CHANGES or is_writing) and isinstance(arguments[0], str | bytes | Path):
            place = Path(os.fsdecode(arguments[0]))
            if self.folder not in place.absolute().parents and place != Path(os.devnull):
                self.seen.append(f"{event} {place}")


_watch = Watch()
sys.addaudithook(_watch)


@contextlib.contextmanager
def nothing_else_happens(folder: Path) -> Iterator[None]:
    """Fail where more is done than reading: see the module."""
    resource = pytest.importorskip("resource")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = resource.getrlimit(resource.RLIMIT_AS)

    began, computed = time.monotonic(), time.process_time()

    def too_long(*_: Any) -> None:
        if time.process_time() - computed > SECONDS or time.monotonic() - began > PATIENCE:
            pytest.fail(f"took longer than {SECONDS} s")

    handler = signal.signal(signal.SIGALRM, too_long)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ALLOWED, hard))
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)
    _watch.folder, _watch.seen = folder, []
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        _watch.folder = None
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert not _watch.seen, _watch.seen


def wanted_memory(error: BaseException | None) -> bool:
    """Whether an error came of an allocation that failed."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
