"""Many restorations in one process: as much memory, as many threads and handles as before."""

from __future__ import annotations

import soak


def test_restorations_leave_nothing_behind() -> None:
    found = list(soak.restorations(30))
    assert found[-1].has_grown_since(found[9]) == []


def test_growth_is_seen() -> None:
    before = soak.Usage(100.0, 4, 10, 1)
    assert soak.Usage(139.0, 6, 9, 1).has_grown_since(before) == []
    grown = soak.Usage(141.0, 7, 11, 2).has_grown_since(before)
    assert grown == ["megabytes", "threads", "handles", "widgets"]
