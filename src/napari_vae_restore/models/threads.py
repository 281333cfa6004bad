"""Number of CPU threads of a network: measured, since more can be slower.

The threads of one pass wait for each other after every layer. On cores that other programs
keep busy, two are up to twice as slow as one, and that changes from minute to minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

WORTH_A_TRIAL: Final = 2**18  # pixels; smaller passes are not worth the trial
_HOLDS: Final = 10.0  # seconds for which a choice holds
# What is timed: convolutions of this width, on a grid of this side, one after the other.
_WIDTH: Final = 48
_SIDE: Final = 160
_LAYERS: Final = 6


@dataclass(frozen=True, slots=True)
class _Choice:
    n: int  # threads
    most: int  # that were allowed
    found: float  # when it was measured, monotonic seconds


_last = _Choice(0, 0, -_HOLDS)


@contextmanager
def fitting_threads(device: torch.device, n_pixels: int) -> Iterator[None]:
    """Use the fastest number of threads, at most those allowed, inside this context.

    All that torch may use, half of them and one are tried for a few milliseconds each, if the
    last trial is some seconds old. Small passes, and other devices, are left alone.
    """
    import torch

    most = torch.get_num_threads()
    if device.type != "cpu" or most == 1 or n_pixels < WORTH_A_TRIAL:
        yield
        return
    torch.set_num_threads(_fastest(most))
    try:
        yield
    finally:
        torch.set_num_threads(most)


def _fastest(most: int) -> int:
    """The latest choice, or a new one; the caller sets torch's number of threads."""
    global _last
    now = time.monotonic()
    if _last.most != most or now - _last.found > _HOLDS:
        seconds = {n: _trial(n) for n in {most, most // 2, 1} - {0}}
        _last = _Choice(min(seconds, key=lambda n: (seconds[n], -n)), most, now)
    return _last.n


def _trial(n: int) -> float:
    """Seconds of a few layers on so many threads, without the first run."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(n)
    grid = torch.zeros(1, _WIDTH, _SIDE, _SIDE).to(memory_format=torch.channels_last)
    weight = torch.zeros(_WIDTH, _WIDTH, 3, 3).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        grid = F.conv2d(grid, weight, padding=1)
        started = time.monotonic()
        for _ in range(_LAYERS):
            grid = F.conv2d(grid, weight, padding=1)
    return time.monotonic() - started
