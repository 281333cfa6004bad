"""Generators that yield their progress and return a result."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

_T = TypeVar("_T")


def drain(steps: Generator[object, None, _T]) -> _T:
    """Run a generator to its end; what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: _T = stop.value
            return result
