"""PSNR, SSIM and RMSE of a restored image and its reference, thin over scikit-image.

Metrics take any two arrays of one shape. They know nothing of files, models or axes,
but for SSIM, whose windows lie in planes. All raise InputError for arrays that are empty,
not real, not finite or of different shapes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout

FloatArray: TypeAlias = NDArray[np.float64]

SSIM_WINDOW = 7  # pixels a side of the windows of `ssim`, scikit-image's default


def rmse(restored: ArrayLike, reference: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of the intensities.

    >>> rmse([[1.0, 2.0]], [[4.0, 2.0]])
    2.1213203435596424
    """
    return _rmse(*_pair(restored, reference))


def psnr(restored: ArrayLike, reference: ArrayLike, data_range: float | None = None) -> float:
    """Peak signal-to-noise ratio, 20 log10(range / RMSE), in dB; infinite for equal images.

    The range is by default that of the reference, from minimum to maximum. State it with the
    result: 255 in place of a smaller range adds dB.
    """
    restored, reference = _pair(restored, reference)
    return _psnr(restored, reference, resolve_range(reference, data_range))


def scale_invariant_psnr(
    restored: ArrayLike, reference: ArrayLike, data_range: float | None = None
) -> float:
    """PSNR after the gain and the offset that fit the reference best, in dB.

    For references of another exposure or contrast. M. Weigert et al., "Content-aware image
    restoration", Nature Methods 15, 2018, supplementary note 2, doi:10.1038/s41592-018-0216-7.
    """
    restored, reference = _pair(restored, reference)
    deviation = restored - restored.mean()
    variance = (deviation**2).mean()
    gain = (deviation * reference).mean() / variance if variance > 0 else 0.0
    fitted = gain * deviation + reference.mean()
    return _psnr(fitted, reference, resolve_range(reference, data_range))


def ssim(
    restored: ArrayLike,
    reference: ArrayLike,
    data_range: float | None = None,
    *,
    axes: str | None = None,
) -> float:
    """Structural similarity, the mean over all planes and channels; 1 for equal images.

    `axes` has one letter per dimension; by default the last two are Y and X. Windows are
    scikit-image's uniform ones. Z. Wang et al., "Image quality assessment: from error
    visibility to structural similarity", IEEE TIP 13(4), 2004, doi:10.1109/TIP.2003.819861.
    """
    from skimage.metrics import structural_similarity

    restored, reference = _pair(restored, reference)
    data_range = resolve_range(reference, data_range)
    planes = [_planes(image, axes) for image in (restored, reference)]
    if min(planes[0].shape[1:]) < SSIM_WINDOW:
        height, width = planes[0].shape[1:]
        raise InputError(
            f"Expected planes of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels for SSIM, but "
            f"{height} x {width} came: pass larger images or other axes=."
        )
    values = [
        structural_similarity(*pair, data_range=data_range, win_size=SSIM_WINDOW)
        for pair in zip(*planes, strict=True)
    ]
    return float(np.mean(values))


def resolve_range(reference: ArrayLike, data_range: float | None = None) -> float:
    """Range of intensities for PSNR and SSIM: the given one, or maximum less minimum.

    Raises InputError if it is not positive and finite, or not given for a constant reference.
    """
    if data_range is not None:
        if not (np.isfinite(data_range) and data_range > 0):
            raise InputError(
                f"Expected a positive range of intensities, but {data_range} came: give 255 "
                "for pictures of 8 bits, or leave it out."
            )
        return float(data_range)
    spread = float(np.ptp(np.asarray(reference, np.float64)))
    if spread == 0:
        raise InputError(
            "Expected a reference with structure, but every pixel has the same value: give "
            "the range of intensities."
        )
    return spread


def _pair(restored: ArrayLike, reference: ArrayLike) -> list[FloatArray]:
    """Both images as float64, checked."""
    pair = []
    for name, image in (("restored image", restored), ("reference", reference)):
        array: NDArray[Any] = np.asarray(image)
        if array.dtype.kind not in "biuf" or array.size == 0:
            raise InputError(
                f"Expected real numbers, but the {name} has {array.size} values of type "
                f"{array.dtype}: pass a picture."
            )
        array = array.astype(np.float64)
        if n_bad := array.size - int(np.isfinite(array).sum()):
            raise InputError(
                f"Expected finite intensities, but {n_bad} of {array.size} values of the "
                f"{name} are NaN or infinite: replace them or crop the images."
            )
        pair.append(array)
    if pair[0].shape != pair[1].shape:
        raise InputError(
            f"Expected images of one shape, but the restored image has {pair[0].shape} and "
            f"the reference {pair[1].shape}: crop or transpose one of them."
        )
    return pair


def _rmse(restored: FloatArray, reference: FloatArray) -> float:
    return float(np.sqrt(np.mean((reference - restored) ** 2)))


def _psnr(restored: FloatArray, reference: FloatArray, data_range: float) -> float:
    # scikit-image's own function warns of the division where the images are equal.
    error = _rmse(restored, reference)
    return float(20 * np.log10(data_range / error)) if error > 0 else float("inf")


def _planes(image: FloatArray, axes: str | None) -> FloatArray:
    """(n, Y, X), without alpha."""
    if image.ndim < 2:
        raise InputError(f"Expected at least 2 dimensions, but {image.ndim} came.")
    if axes is not None:
        image = Layout.of(image, axes).to_planes(image)
    return image.reshape(-1, *image.shape[-2:])
