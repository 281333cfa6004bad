"""Number of CPU threads of a training: measured, since more can be far slower."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

_TIMED_STEPS = 6


def thread_trial() -> Iterator[None]:
    """Time steps with all threads and with one, and leave the faster number set.

    Two threads on cores that another process keeps busy are up to ten times slower
    than one. Advance the iterator before each step; it ends when it has decided.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return
    seconds = {}
    for n in (threads, 1):
        torch.set_num_threads(n)
        yield  # the first step with another number of threads is not timed
        start = time.monotonic()
        for _ in range(_TIMED_STEPS):
            yield
        seconds[n] = time.monotonic() - start
    torch.set_num_threads(min(seconds, key=lambda n: seconds[n]))
