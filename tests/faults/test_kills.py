"""kill -9 at random moments, and the same command again: some rounds of the benchmark."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

import killed
from warm import Warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and signals")


@pytest.mark.parametrize("name", killed.KINDS)
def test_killed_and_run_again_it_is_as_unbroken(warm: Warm, tmp_path: Path, name: str) -> None:
    killed.write_pictures(tmp_path, side=200, n_files=3)
    n_rounds = 1 if name in ("training", "OME-Zarr") else 2
    kind, moments = killed.KINDS[name], random.Random(name)
    found = killed.kill_rounds(warm, kind, tmp_path, n_rounds, moments)
    assert found.kills == n_rounds
    assert found.is_good, found


def test_what_is_torn_is_seen(tmp_path: Path) -> None:
    """The benchmark itself, on targets that are."""
    for kind in killed.KINDS.values():
        if kind.name == "batch":
            continue  # of a folder, below
        whole, torn = (tmp_path / f"{name}-{kind.target}" for name in ("whole", "torn"))
        whole.write_bytes(b"all of it")
        torn.write_bytes(b"all")
        assert not kind.is_whole(torn, whole)
    for name in ("whole", "torn"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.tif").write_bytes(name.encode())
    assert not killed.KINDS["batch"].is_whole(tmp_path / "torn", tmp_path / "whole")
    (tmp_path / "torn" / "1.tif").rename(tmp_path / "torn" / ".1.tmp")
    assert killed.KINDS["batch"].is_whole(tmp_path / "torn", tmp_path / "whole")
    assert killed.temporaries(tmp_path) == [tmp_path / "torn" / ".1.tmp"]
