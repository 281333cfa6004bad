"""Ending a computation in the middle of a pass through a network.

A pass over a large tile takes seconds on a CPU, and a generator can only be closed between
two passes. Here a thread registers a question, and every layer of a network asks it first.
No Qt here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_thread = threading.local()


class Interrupted(Exception):  # noqa: N818 - it is no error: somebody asked for it
    """The computation in this thread must end; only its worker catches this."""


@contextmanager
def stopped_by(is_asked: Callable[[], bool]) -> Iterator[None]:
    """End computations in this thread as soon as `is_asked`, which is called often."""
    _thread.is_asked = is_asked
    try:
        yield
    finally:
        del _thread.is_asked


@lru_cache(maxsize=1)
def watch_networks() -> None:
    """Let the layers of all networks ask from now on; for the first user of torch to call."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    register_module_forward_pre_hook(_ask)


def _ask(module: Any, arguments: Any) -> None:
    is_asked = getattr(_thread, "is_asked", None)
    if is_asked is not None and is_asked():
        raise Interrupted
