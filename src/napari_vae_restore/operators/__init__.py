"""Degradation operators A: how the clean image x becomes the measurement y = A x.

Every operator is linear, works on the last two axes of floating images (..., H, W) and
treats leading axes apart. Sums are taken in float64, results have the dtype of what came.
"""

from napari_vae_restore.operators.blur import Blur
from napari_vae_restore.operators.composition import Composition
from napari_vae_restore.operators.downsampling import Downsampling
from napari_vae_restore.operators.least_squares import least_squares
from napari_vae_restore.operators.pixelwise import Identity, Masking
from napari_vae_restore.operators.protocol import Operator

__all__ = [
    "Blur",
    "Composition",
    "Downsampling",
    "Identity",
    "Masking",
    "Operator",
    "least_squares",
]
