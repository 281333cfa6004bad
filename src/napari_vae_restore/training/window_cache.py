"""Cache of prepared windows: the latest few of a numbered sequence.

Its content depends on the step alone, not on the speed of the machine, so a run that is
repeated or resumed sees the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from napari_vae_restore.errors import VAERestoreError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

FIRST: Final = 8
"""Members before the first step; each takes about a second to prepare on a CPU."""
SIZE: Final = 24
"""Greatest number of members, which bounds the memory."""
EVERY: Final = 16
"""Steps between new members: pixels are then drawn a few times each, and preparing a member
costs less than these steps."""


class WindowCache(Generic[_T]):
    """The latest members of an endless sequence 0, 1, 2, ...; the next is made in a thread."""

    def __init__(self, make: Callable[[int], _T]) -> None:
        self._make = make
        self._members: dict[int, _T] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="training-data")
        self._ahead: tuple[int, Future[_T]] | None = None
        self._seen = 0
        self._has_warned = False

    def at(self, step: int) -> Sequence[_T]:
        """The members that a step draws from, at least one.

        Those that cannot be prepared are left out; if there are no others, earlier ones stay.
        """
        end = FIRST + step // EVERY
        if end > self._seen:
            self._fill(range(max(0, end - SIZE), end))
            self._seen = end
        return list(self._members.values())

    def _fill(self, wanted: range) -> None:
        made: dict[int, _T] = {}
        for number in wanted:
            if number in self._members:
                made[number] = self._members[number]
            elif number >= self._seen:
                try:
                    made[number] = self._prepared(number)
                except VAERestoreError as error:
                    self._warn(error)
                    if not made and not self._members and number == wanted[-1]:
                        raise
        self._members = made or self._members
        self._ahead = wanted.stop, self._worker.submit(self._make, wanted.stop)

    def _prepared(self, number: int) -> _T:
        if self._ahead is not None and self._ahead[0] == number:
            return self._ahead[1].result()
        return self._make(number)

    def _warn(self, error: VAERestoreError) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("going on without a part of the images: %s", error)
