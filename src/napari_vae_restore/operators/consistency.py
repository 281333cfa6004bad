"""Images that agree with a measurement y = A x: exactly, or as far as its noise allows.

The two data terms of plug-and-play restoration, in which a prior and the measurement take
turns. The prior comes in as an image and how much it is to be trusted.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators import Identity, Masking, Operator, least_squares
from napari_vae_restore.operators.protocol import FloatArray

# An eight-bit picture's grey level is 4e-3 of its range.
_TOLERANCE: Final = 1e-6


def consistent(x: FloatArray, y: FloatArray, operator: Operator) -> FloatArray:
    """Return the image closest to x that measures as y: x + A^+ (y - A x).

    For measurements without noise. The range of A^T, what the measurement has seen, comes from
    `y`; the null space of A, what it has not, from `x` (Wang et al., ICLR 2023, section 3.1,
    arXiv:2212.00490). Where `y` cannot be measured from any image, the result comes as close to
    it as any does. Images (..., H, W) are floating; where A is a mask or the identity, measured
    pixels are `y`'s bit for bit. Raises InputError if the dtypes or shapes do not suit.

    Examples
    --------
    >>> from napari_vae_restore.operators import Downsampling
    >>> x = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> consistent(x, np.array([[2.5]]), Downsampling(2, "box")).round(6).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    _check(x, y, operator)
    if isinstance(operator, Identity | Masking):
        return np.where(_observed(operator), y, x).astype(x.dtype)
    proposed = x.astype(np.float64)
    correction = operator.pseudo_inverse(y.astype(np.float64) - operator.apply(proposed))
    return (proposed + correction).astype(x.dtype)


def data_step(
    mean: FloatArray,
    y: FloatArray,
    operator: Operator,
    noise_variance: float | FloatArray,
    precision: float | FloatArray,
    *,
    tolerance: float = _TOLERANCE,
) -> FloatArray:
    """Return the image that weighs a noisy measurement against a prior's proposal.

    The minimiser of |A x - y|^2 / noise_variance + precision |x - mean|^2, the mean of the
    posterior where noise and prior are Gaussian (Zhang et al., IEEE TPAMI 2021, section 4.1,
    arXiv:2008.13751): the solution of (A^T A / s + D) x = A^T y / s + D m, with s the
    variance, D the precision and m the mean. In closed form for the identity and masks, else
    by conjugate gradients that start at the mean. Variance and precision are numbers or
    arrays that broadcast, positive and finite; raises InputError otherwise, or if the shapes
    do not suit.

    Examples
    --------
    >>> from napari_vae_restore.operators import Identity
    >>> data_step(np.array([[0.0]]), np.array([[4.0]]), Identity(), 1.0, 3.0).tolist()
    [[1.0]]
    """
    _check(mean, y, operator)
    variance = _positive("noise variance", noise_variance, y.shape)
    weight = _positive("precision", precision, mean.shape)
    start, measured = mean.astype(np.float64), y.astype(np.float64)
    if isinstance(operator, Identity | Masking):
        gain = 1 / (1 + variance * weight)  # Wiener's
        weighed = start + gain * (measured - start)
        return np.where(_observed(operator), weighed, start).astype(mean.dtype)
    # With x = mean + u / sqrt(D) and rows divided by the noise's standard deviation, the
    # problem is |B u - b|^2 + |u|^2: as well-conditioned as variances let it be.
    sigma, scale = np.sqrt(variance), 1 / np.sqrt(weight)
    u = least_squares(
        lambda u: operator.apply(scale * u) / sigma,
        lambda v: scale * operator.adjoint(v / sigma),
        (measured - operator.apply(start)) / sigma,
        damping=1.0,
        tolerance=tolerance,
    )
    return (start + scale * u).astype(mean.dtype)


def _observed(operator: Identity | Masking) -> NDArray[np.bool_]:
    return operator.observed if isinstance(operator, Masking) else np.array(True)


def _check(x: FloatArray, y: FloatArray, operator: Operator) -> None:
    """Raise an InputError unless y can be a measurement of x."""
    for name, image in (("image", x), ("measurement", y)):
        if image.dtype.kind != "f":
            raise InputError(
                f"Expected a floating {name}, came {image.dtype}; convert it with "
                "`.astype(np.float32)`."
            )
    expected = operator.measured_shape(x.shape)
    if y.shape != expected:
        raise InputError(
            f"Expected a measurement of shape {expected} for an image of shape {x.shape}, "
            f"came {y.shape}; pass the image on the grid of the result."
        )


def _positive(
    name: str, value: float | FloatArray, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """The value in float64, broadcast to the shape."""
    array = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(array) & (array > 0)).all():
        raise InputError(
            f"Expected a positive, finite {name}, came {value}; for a measurement without "
            "noise use `consistent`."
        )
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise InputError(
            f"Expected a {name} that broadcasts to {shape}, came shape {array.shape}."
        ) from None
