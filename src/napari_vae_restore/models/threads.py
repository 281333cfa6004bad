"""Number of CPU threads of a network: measured, since more can be slower.

The threads of one pass wait for each other after every layer. On cores that other programs
keep busy, two are up to twice as slow as one, and that changes from minute to minute.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import torch

WORTH_A_TRIAL: Final = 2**18  # pixels; smaller passes are not worth the trial
_HOLDS: Final = 10.0  # seconds for which a choice holds
# What is timed: convolutions of this width, on a grid of this side, one after the other.
_WIDTH: Final = 48
_SIDE: Final = 160
_LAYERS: Final = 6


Trial: TypeAlias = Callable[[int], float]
"""Seconds that some computation takes on so many threads."""


def trial(n: int) -> float:
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


# The fastest number of threads of at most so many, and when it was measured.
_choices: dict[tuple[Trial, int], tuple[int, float]] = {}


@contextmanager
def fitting_threads(
    device: torch.device, n_pixels: int, trial: Trial = trial
) -> Iterator[None]:
    """Use the fastest number of threads, at most those allowed, inside this context.

    All that torch may use, half of them and one are tried for a few milliseconds each, if the
    last trial is some seconds old. Small passes, and other devices, are left alone.
    """
    import torch

    most = torch.get_num_threads()
    if device.type != "cpu" or most == 1 or n_pixels < WORTH_A_TRIAL:
        yield
        return
    torch.set_num_threads(_fastest(most, trial))
    try:
        yield
    finally:
        torch.set_num_threads(most)


def _fastest(most: int, trial: Trial) -> int:
    """The latest choice, or a new one; the caller sets torch's number of threads."""
    now = time.monotonic()
    n, found = _choices.get((trial, most), (most, -math.inf))
    if now - found > _HOLDS:
        seconds = {n: trial(n) for n in {most, most // 2, 1} - {0}}
        n = min(seconds, key=lambda n: (seconds[n], -n))
        _choices[trial, most] = n, now
    return n
