"""Ending a computation in the middle of a pass through a network.

A pass over a large tile takes seconds on a CPU, and a generator can be closed between two
passes only. A thread says here how it learns that it is to stop, and every layer of a network
asks before it begins. No Qt here; torch is not imported, but watched once it is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_thread = threading.local()


class Interrupted(Exception):  # noqa: N818 - it is no error: somebody asked for it
    """The computation in this thread is to end; nothing but its worker catches it."""


@contextmanager
def stopped_by(is_asked: Callable[[], bool]) -> Iterator[None]:
    """Let computations in this thread end when they are asked to.

    Parameters
    ----------
    is_asked : callable
        Whether the end was asked for; called often.
    """
    _thread.is_asked = is_asked
    try:
        yield
    finally:
        del _thread.is_asked


@lru_cache(maxsize=1)
def watch_networks() -> None:
    """Have every network ask, from now on; once torch is imported, and by its first user."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    register_module_forward_pre_hook(_ask)


def _ask(module: Any, arguments: Any) -> None:
    is_asked = getattr(_thread, "is_asked", None)
    if is_asked is not None and is_asked():
        raise Interrupted
