"""The package as a whole: imports stay light, names resolve, contracts hold."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import napari_vae_restore as vr

HEAVY = {"torch", "napari", "qtpy", "magicgui", "superqt", "pyqtgraph", "skimage", "scipy"}


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_import_is_light() -> None:
    loaded = run_python("import sys, napari_vae_restore; print(*sys.modules)").split()
    assert HEAVY.isdisjoint(loaded)


def test_old_names_are_kept_for_a_release() -> None:
    with pytest.warns(DeprecationWarning, match="Stored is now called StoredRestoration"):
        assert vr.Stored is vr.StoredRestoration


def test_import_takes_less_than_that_of_numpy() -> None:
    """In processor time, which other programs change little: 0.03 s where numpy takes 0.1 s."""
    ours, numpy = (
        min(
            float(run_python(f"import time, {name}; print(time.process_time())"))
            for _ in range(3)
        )
        for name in ("napari_vae_restore", "numpy")
    )
    assert ours < numpy


def test_core_works_without_a_window() -> None:
    code = (
        "import sys, napari_vae_restore as vr\n"
        "[getattr(vr, name) for name in vr.__all__ if name != 'add_to_viewer']\n"
        "print(*sys.modules)"
    )
    assert {"napari", "qtpy", "magicgui", "superqt", "pyqtgraph"}.isdisjoint(
        run_python(code).split()
    )


BINDINGS = ("qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "superqt", "pyqtgraph")


@pytest.mark.parametrize(
    ("library", "blocked"),
    [("Qt", BINDINGS), ("napari", (*BINDINGS, "napari")), ("torch", ("torch",))],
)
def test_modules_that_say_they_do_without_a_library_do(
    library: str, blocked: tuple[str, ...]
) -> None:
    root = Path(vr.__file__).parent
    says_so = re.compile(rf"\b(no|without|neither|nor|or)\s+{library}\b", re.IGNORECASE)
    modules = [
        ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for path in sorted((root / "_napari").rglob("*.py"))
        if says_so.search(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
    ]
    assert len(modules) > 2
    run_python(
        "import sys, importlib\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"for name in {modules}: importlib.import_module(name)"
    )


@pytest.mark.parametrize("name", [name for name in vr.__all__ if name != "add_to_viewer"])
def test_public_names_resolve_and_are_documented(name: str) -> None:
    assert getattr(vr, name).__doc__
    assert name in dir(vr)


@pytest.mark.parametrize("name", [name for name in vr.__all__ if name != "add_to_viewer"])
def test_public_functions_say_what_they_take_give_and_raise(name: str) -> None:
    function = getattr(vr, name)
    if isinstance(function, FunctionType):
        words = inspect.getdoc(function) or ""
        assert {"Parameters", "Raises"} <= set(words.splitlines())
        assert not {"Returns", "Yields"}.isdisjoint(words.splitlines())


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        vr.magic  # noqa: B018


def test_none_of_our_errors_is_a_runtime_error() -> None:
    ours = [getattr(vr, name) for name in vr.__all__ if name.endswith("Error")]
    assert len(ours) >= 6
    assert all(issubclass(error, vr.VAERestoreError) for error in ours)
    assert not any(issubclass(error, RuntimeError) for error in ours)
