"""Which devices there are to choose from, and how much memory each has free.

torch is not imported for the question: before a first computation has brought it in,
only what is sure is offered.
"""

from __future__ import annotations

import sys

import psutil

_GIB = 2**30


def device_entries() -> list[tuple[str, str]]:
    """Devices to choose from."""
    free = psutil.virtual_memory().available / _GIB
    entries = [("Automatic", "auto"), (f"CPU ({free:.0f} GB free)", "cpu")]
    torch = sys.modules.get("torch")
    # While another thread imports torch, its parts come one by one.
    if torch is None or not hasattr(torch, "compile"):
        return entries
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            label = f"CUDA {index}"
            # Asking a device that is not in use would start it, which takes a second.
            if torch.cuda.is_initialized():
                name = torch.cuda.get_device_properties(index).name
                free = torch.cuda.mem_get_info(index)[0] / _GIB
                label += f" ({name}, {free:.0f} GB free)"
            entries.append((label, f"cuda:{index}"))
    if torch.backends.mps.is_available():
        entries.append(("Apple GPU (shared memory)", "mps"))
    return entries
