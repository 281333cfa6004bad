"""What is mended in a measurement before anything is inferred from it.

Hot pixels are replaced, and pixels that nothing measured are left out: those of a problem with
noise, where a region of one exactly repeated value is no draw of it, and what is not a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import MAX_INTENSITY, is_usable
from napari_vae_restore.noise.estimation.hot import without_hot_pixels
from napari_vae_restore.noise.estimation.unmeasured import LEAST, unmeasured
from napari_vae_restore.noise.numbers import Mask
from napari_vae_restore.restoration.blocks.windows import Rectangle, Window
from napari_vae_restore.restoration.measurement import Measurement

if TYPE_CHECKING:
    from napari_vae_restore.restoration.blocks.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class Defects:
    """What a detector does to single pixels, measured once for an image."""

    repeat_side: int = LEAST  # pixels a side of a square of equal pixels that nothing measured
    # Of each channel; see :func:`~.noise.hot.rise_beyond_texture`.
    least_rises: tuple[float, ...] = ()
    # (H, W) of each channel, pixels that are hot in all planes; empty for none.
    persistent: tuple[NDArray[np.bool_], ...] = ()
    # Deviation of the image's own noise over that of one stated too low: what the image's own
    # noise reaches is not hot.
    excess: float = 1.0


def mended(
    plan: Plan, group: slice, place: Rectangle, window: Window
) -> tuple[Measurement, NDArray[np.bool_] | None]:
    """The measurement in a window (C, h, w), hot pixels taken out, and where they were.

    Raises InputError if a pixel that is not missing is not finite.
    """
    values, missing = window
    noise, defects = plan.noise[group], plan.defects
    repeated = unmeasured_together(values, missing, defects.repeat_side) if noise else None
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
    if not noise:
        return Measurement(values, observed, noise), None
    calm, is_hot = values.copy(), np.zeros(values.shape, bool)
    every = np.ones(values.shape, bool) if observed is None else observed
    for c, (model, seen) in enumerate(zip(noise, every, strict=True)):
        channel = group.start + c
        if not seen.any():
            continue
        found, where = without_hot_pixels(
            np.where(seen, values[c], 0)[None],
            model,
            observed=seen[None],
            known=defects.persistent[channel][place] if defects.persistent else None,
            least_rise=defects.least_rises[channel],
            excess=defects.excess,
        )
        is_hot[c] = where[0] & seen
        np.copyto(calm[c], found[0], where=is_hot[c], casting="unsafe")
    return Measurement(calm, observed, noise, repeated), is_hot


def unmeasured_together(
    values: NDArray[Any], missing: Mask | None, side: int
) -> NDArray[np.bool_] | None:
    """Pixels (C, h, w) that hold one repeated value in all channels, and are not to be filled.

    None where there are none; `side` is as :func:`~.noise.unmeasured.repeat_side` gives it.
    """
    together = np.ones(values.shape[1:], bool)
    for channel in values:
        found = unmeasured(channel, side)
        if found is None:
            return None
        together &= found
    repeated = np.repeat(together[None], len(values), axis=0)
    if missing is not None:
        repeated &= ~missing
    return repeated if repeated.any() else None


def without_measurement(planes: NDArray[Any], missing: Any, side: int) -> Any:
    """What is missing, or was not measured, of (N, C, H, W) planes; None if nothing."""
    for place in np.ndindex(planes.shape[:2]):
        found = unmeasured(planes[place], side)
        if found is None:
            continue
        if missing is None:
            missing = np.zeros(planes.shape, bool)
        elif not missing.flags.writeable or missing.base is not None:
            missing = missing.copy()
        missing[place] |= found
    return missing
