"""Widgets that are opened and closed leave no memory, threads, handles or widgets behind."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    """The benchmark, whose first rounds these are."""
    path = Path(__file__).parents[2] / "benchmarks" / "soak.py"
    spec = importlib.util.spec_from_file_location("soak", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_all_widgets_opened_and_closed(soak, viewer):
    found = list(soak.rounds(viewer, 5))
    assert found[-1].has_grown_since(found[1]) == []
