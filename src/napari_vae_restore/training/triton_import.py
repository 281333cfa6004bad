"""Import of triton in a process that draws windows, without a crash.

torch imports triton with the first optimiser. On Linux its library carries symbols of LLVM, as
does that of Mesa, which OpenGL loads with the first window. Whichever comes second is bound to
functions of the other's version; triton, coming second, dies of a segmentation fault, and
napari with it. Looked up in its own library first (RTLD_DEEPBIND), its symbols are its own.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

_MAPPED: Final = Path("/proc/self/maps")
_LLVM: Final = "libLLVM"


def import_triton() -> None:
    """Import triton where it is installed and OpenGL has loaded another LLVM (Linux only)."""
    if "triton" in sys.modules or not _has_llvm():
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        with suppress(ImportError):
            import_module("triton")
    finally:
        sys.setdlopenflags(flags)


def _has_llvm() -> bool:
    try:
        return hasattr(os, "RTLD_DEEPBIND") and _LLVM in _MAPPED.read_text()
    except OSError:
        return False
