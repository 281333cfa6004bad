"""Where networks run and in which precision."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")

# Messages of torch, its oneDNN, Python and the loader when memory runs out.
_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate",
    "could not create a primitive",
    "can't start new thread",
    "failed to map segment",
)


def choose_device(name: str = "auto") -> torch.device:
    """A device by name: "cpu", "cuda", "cuda:N", "mps"; "auto" prefers CUDA, then MPS."""
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    kind, _, index = name.partition(":")
    if kind not in available or (index and not index.isdecimal()):
        raise InputError(f"device: expected one of {', '.join(DEVICES)}, got {name!r}")
    if not available[kind] or (index and int(index) >= torch.cuda.device_count()):
        raise InputError(f"this machine has no device {name!r}: use device='auto' or 'cpu'")
    return torch.device(name)


def free_memory(device: torch.device) -> int:
    """Free bytes of a device; with Apple's graphics, those of the machine."""
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out.

    Torch has an error type for this on a graphics card, and only a message on a CPU.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    is_of_system = isinstance(error, RuntimeError | ImportError)
    return is_of_system and any(words in str(error) for words in _OUT_OF_MEMORY)


def give_back_memory() -> None:
    """Return freed memory to the system where the C library keeps it.

    The GNU one does: an image, block by block, would need half as much memory again.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bfloat16; elsewhere it is slower than float32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(probe())


def native_precision(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the hardware computes in it, else nothing.

    Distributions and images are float32 all the same: the networks return them so.
    """
    import torch

    if computes_in_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
