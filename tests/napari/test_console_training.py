"""Training from napari's console: in the process that draws the window."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import napari_vae_restore.training.triton_import as module

PATIENCE = 240
SCRIPT = """
import napari
import numpy as np

import napari_vae_restore as vr

viewer = napari.Viewer()
layer = viewer.add_image(np.random.default_rng(0).normal(100, 9, (64, 64)).astype("f4"))
viewer.screenshot(canvas_only=False)
vr.adapt(layer, steps=1, device="cpu")
viewer.close()
"""


def test_adapting_does_not_end_the_window() -> None:
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, timeout=PATIENCE
    )
    assert found.returncode == 0, found.stderr.decode()[-3000:]


@pytest.mark.skipif(not hasattr(os, "RTLD_DEEPBIND"), reason="there is no such clash here")
def test_triton_is_looked_for_in_itself_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def absent(name: str) -> None:
        seen.append(sys.getdlopenflags())
        raise ImportError(name)

    before = sys.getdlopenflags()
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setattr(module, "import_module", absent)
    for has_llvm in (False, True):
        monkeypatch.setattr(module, "_has_llvm", lambda has_llvm=has_llvm: has_llvm)
        module.import_triton()
    assert seen == [before | os.RTLD_DEEPBIND]
    assert sys.getdlopenflags() == before
