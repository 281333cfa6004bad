"""What is mended in a measurement before anything is inferred from it.

Hot pixels are replaced, and pixels that nothing measured are left out: those of a problem with
noise, where a region of one exactly repeated value is no draw of it, and what is not a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.arrays import MAX_INTENSITY, is_usable
from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.hot import without_hot_pixels
from napari_vae_restore.noise.unmeasured import unmeasured
from napari_vae_restore.restoration.measurement import Mask, Measurement

if TYPE_CHECKING:
    from napari_vae_restore.restoration.plan import Plan


def mended(
    plan: Plan, group: slice, values: NDArray[Any], missing: Mask | None
) -> tuple[Measurement, NDArray[np.bool_] | None]:
    """The measurement in a window (C, h, w), hot pixels taken out, and where they were.

    Raises
    ------
    InputError
        If a pixel that is not missing is not finite.
    """
    noise = plan.noise[group]
    repeated = unmeasured_together(values, missing, plan.repeat_side) if noise else None
    observed = None if missing is None else ~missing
    if repeated is not None:
        observed = ~repeated if observed is None else observed & ~repeated
    if values.dtype.kind == "f":
        unusable = ~is_usable(values if observed is None else values[observed])
        if n_unusable := int(unusable.sum()):
            raise InputError(
                f"image: expected finite intensities, but {n_unusable} NaN or infinite, or "
                f"above {MAX_INTENSITY:g}, came: replace them, or inpaint them with a mask"
            )
    if not noise or observed is not None:
        # In an image with holes a pixel may have no surroundings.
        return Measurement(values, observed, noise, repeated), None
    found = [without_hot_pixels(y[None], model) for y, model in zip(values, noise, strict=True)]
    is_hot = np.concatenate([where for _, where in found])
    if is_hot.any():
        values = np.concatenate([calm for calm, _ in found]).astype(values.dtype)
    return Measurement(values, None, noise), is_hot


def unmeasured_together(
    values: NDArray[Any], missing: Mask | None, side: int
) -> NDArray[np.bool_] | None:
    """Pixels (C, h, w) that hold one repeated value in all channels, and are not to be filled.

    Parameters
    ----------
    values : numpy.ndarray
        (C, h, w), channels that are restored together.
    missing : numpy.ndarray of bool, or None
        Of their shape.
    side : int
        As :func:`~.noise.unmeasured.repeat_side` gives it.

    Returns
    -------
    numpy.ndarray of bool, or None
        The same in each channel; None where there are none.
    """
    together: Mask | None = None
    for channel in values:
        found = unmeasured(channel, side)
        if found is None:
            return None
        together = found if together is None else together & found
    if together is None or not together.any():
        return None
    repeated = np.repeat(together[None], len(values), axis=0)
    if missing is not None:
        repeated &= ~missing
    return repeated if repeated.any() else None
