"""What about an image, or its noise, should make one careful with its restoration.

Each check looks for one thing that no model can mend and that a look at the result does
not show, and says it in a sentence with what to do. The limits were set on real
micrographs, OCT scans and photographs, so that these give no warning
(``benchmarks/cautions.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.units import MAX_SIGMA

_SIDE: Final = 1024  # pixels of a plane that are looked at, along each axis
_PLANES: Final = 5  # planes of a stack that are looked at
_JPEG: Final = 8  # pixels a side of the blocks that JPEG compresses one by one
# Third differences across the borders of such blocks over those inside. Uncompressed pictures
# of the benchmark stay below 1.25, JPEG of quality 20 is above 1.5.
_BLOCKY: Final = 1.4
_SATURATED: Final = 0.01  # share of pixels; pictures stretched for display have 0.1 to 0.8 %
_SPIKE: Final = 5.0  # pixels at the largest value over those at each of the values below it
_BELOW: Final = 16
_ALIKE: Final = 0.25  # correlation of neighbours' noise along both axes: resampling makes more
_CALM: Final = 0.003  # noise, relative to the range, that is not worth removing
_STRUCTURE: Final = 0.35  # deviation of the restored picture over that of the noise removed
_COMMON: Final = 0.35  # correlation of neighbouring planes by blocks
_BLOCK: Final = 16
_CLEAR: Final = 4.0  # deviation of block means over that which their noise gives them

Planes = NDArray[Any]


def image_warnings(
    planes: Planes,
    mean: Planes | None,
    layout: Layout,
    noise: Sequence[NoiseModel],
    *,
    is_denoised: bool,
    ood_score: float | None = None,
) -> tuple[str, ...]:
    """Sentences about an image that should make its user careful; none as a rule.

    Parts of some planes (N, C, H, W) are looked at, and of the restored ones, where there are
    some. Each says what was seen, what that means and what to do.
    """
    some = _some(planes)
    found = [
        _saturated(some),
        _blocky(some),
        _unlike_planes(planes, layout, noise),
        _unlike_training(ood_score),
    ]
    if is_denoised:
        found += [_correlated(noise), _extreme(some, noise)]
        found += [] if mean is None else [_empty(_some(mean), noise)]
    return tuple(text for text in found if text is not None)


def _some(planes: Planes) -> Planes:
    """The middle of a few planes, from first to last."""
    n, _, height, width = planes.shape
    chosen = np.unique(np.linspace(0, n - 1, min(n, _PLANES)).round().astype(int))
    top, left = (max(0, (length - _SIDE) // 2) for length in (height, width))
    return planes[chosen, :, top : top + _SIDE, left : left + _SIDE]


def _saturated(planes: Planes) -> str | None:
    for values in planes.swapaxes(0, 1):
        top = values.max()
        share = float((values == top).mean())
        if share < _SATURATED:
            continue
        if values.dtype.kind in "iu":
            below = (values < top) & (values >= float(top) - _BELOW)
            if share < _SPIKE * float(below.mean()) / _BELOW:
                continue
        return (
            f"{share:.1%} of the pixels have the largest value, {top:g}: they were saturated, "
            "and nobody knows how bright they were. Mask them and inpaint, or expose less."
        )
    return None


def _blocky(planes: Planes) -> str | None:
    ratio = max(blockiness(plane) for values in planes.swapaxes(0, 1) for plane in values)
    if ratio < _BLOCKY:
        return None
    return (
        f"Blocks of {_JPEG} × {_JPEG} pixels show (edges {ratio:.1f} times as strong as "
        "inside): the image was compressed by JPEG, which took details and made patterns of "
        "the noise. Restore the original file."
    )


def blockiness(plane: NDArray[Any]) -> float:
    """Third differences across the borders of 8 × 8 blocks over those inside them."""
    ratios = []
    for image in (plane, plane.T):
        values = image.astype(np.float64)
        third = values[:, 3:] - 3 * values[:, 2:-1] + 3 * values[:, 1:-2] - values[:, :-3]
        strength = np.abs(third).mean(axis=0)
        whole = len(strength) // _JPEG * _JPEG
        if whole < 2 * _JPEG:
            return 1.0
        phases = strength[:whole].reshape(-1, _JPEG).mean(axis=0)
        ratios.append(float(phases.max() / max(np.median(phases), 1e-12)))
    return min(ratios)


def _unlike_planes(planes: Planes, layout: Layout, noise: Sequence[NoiseModel]) -> str | None:
    """Planes of a stack that have less in common than slices or moments do."""
    stacks = [axis for axis in layout.axes if axis not in "YXCS"]
    if len(stacks) != 1 or not 1 < len(planes) <= _PLANES:
        return None
    found = [
        np.corrcoef(one.ravel(), other.ravel())[0, 1]
        for channel in range(planes.shape[1])
        for one, other in pairwise(_clear(planes[:, channel], noise[channel : channel + 1]))
    ]
    if not found or max(found) > _COMMON:
        return None
    rest = layout.axes.replace(stacks[0], "C")
    return (
        f"The planes along {stacks[0]} have little in common (correlation "
        f"{max(found):.2f}): if they are channels, say so, axes={rest!r}, and each gets a "
        "noise model of its own."
    )


def _unlike_training(score: float | None) -> str | None:
    if score is None or score <= 1:
        return None
    return (
        f"The image is unlike those that the model was trained on ({score:.1f} times the "
        "distance that they keep): what it learned from them may not hold here. Adapt the "
        "bundled model to images of this kind (adapt), and compare."
    )


def _clear(planes: Planes, noise: Sequence[NoiseModel]) -> Iterator[NDArray[np.float64]]:
    """Means of blocks of each plane, where they are more than noise."""
    _, height, width = planes.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    if rows * columns < _BLOCK:
        return
    for plane in planes[:, : rows * _BLOCK, : columns * _BLOCK].astype(np.float64):
        means = plane.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3))
        of_noise = 0.0
        for model in noise:
            of_noise = float(np.sqrt(model.variance(means).mean())) / _BLOCK
        if means.std() > max(_CLEAR * of_noise, 1e-12):
            yield means


def _correlated(noise: Sequence[NoiseModel]) -> str | None:
    least = max((min(lag_one(model.correlation)) for model in noise), default=0.0)
    if least < _ALIKE:
        return None
    return (
        f"Neighbouring pixels share their noise (correlation {least:.1f}): the image was "
        "interpolated, resized or filtered before. What that took cannot come back; restore "
        "the camera's own file if there is one."
    )


def _extreme(planes: Planes, noise: Sequence[NoiseModel]) -> str | None:
    for values, model in zip(planes.swapaxes(0, 1), noise, strict=False):
        black, white = np.percentile(model.stabilise(values.astype(np.float64)), (1, 99))
        relative = 1 / max(float(white - black), 1e-12)
        if relative < _CALM:
            return (
                f"There is hardly any noise (its standard deviation is {relative:.2%} of the "
                "range): was the image filtered before? Denoising changes next to nothing."
            )
        if relative > MAX_SIGMA:
            return (
                "The noise is stronger than any that the model has learned from: what it "
                "draws is a guess. Expose longer or average shots, and look at samples."
            )
    return None


def _empty(mean: Planes, noise: Sequence[NoiseModel]) -> str | None:
    for values, model in zip(mean.swapaxes(0, 1), noise, strict=False):
        signal = values.astype(np.float64)
        structure = float(signal.std() / np.sqrt(model.variance(signal).mean()))
        if structure > _STRUCTURE:
            return None
    return (
        "There is hardly anything but noise in the image: what is left of it may have been "
        "drawn by chance. Do not measure on it."
    )
