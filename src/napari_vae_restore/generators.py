"""Generators that yield their progress and return a result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

_T = TypeVar("_T")
_Step = TypeVar("_Step")
_Message = TypeVar("_Message")


def relayed(
    steps: Generator[_Step, None, _T], message: Callable[[_Step], _Message]
) -> Generator[_Message, None, _T]:
    """Run steps to their end or until closed, yielding a message in place of each step."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                result: _T = stop.value
                return result
            yield message(step)


def drain(steps: Generator[object, None, _T]) -> _T:
    """Run a generator to its end; what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: _T = stop.value
            return result
