"""Command lines run in this process, and what holds of the answer of each.

Shared by the tests in ``tests/arbitrary``.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection
from pathlib import Path

from napari_vae_restore.cli import main
from strategies import assert_says


def is_done(line: list[object], folder: Path, kept: Collection[Path] = ()) -> bool:
    """Run a command: it does it and says so, or says in one line why not, and leaves nothing.

    No file of the folder is changed. `kept` may stay where it is broken off.
    """
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in line])
    said = err.getvalue()
    assert "Traceback" not in said
    assert "--debug" not in said, said
    for path, content in before.items():
        assert path.read_bytes() == content, f"{path.name} was changed"
    if status == 0:
        assert out.getvalue() or "-o" in line
        return True
    assert status == 2, said
    assert said.splitlines()[-1].startswith("error: "), said
    assert_says(said.splitlines()[-1])
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path for path in files if not {*path.parents} & {*kept}} == {*before}
    return False
