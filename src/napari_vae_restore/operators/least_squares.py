"""Least squares by conjugate gradients, for any operator."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.operators.protocol import FloatArray, Map

TOLERANCE: Final = 1e-10
_MAX_ITERATIONS: Final = 200


def least_squares(
    apply: Map,
    adjoint: Map,
    y: FloatArray,
    *,
    damping: float = 0.0,
    tolerance: float = TOLERANCE,
) -> FloatArray:
    """Return the x that minimises |A x - y|^2 + damping |x|^2, by conjugate gradients (CGLS).

    Started at zero, x stays in the range of A^T, so without damping it tends to the minimiser
    of least norm. Each plane has step sizes and a stopping rule of its own: a dim channel is
    solved as well beside a bright one as alone. That is why this is not SciPy's, which would
    take all planes for one vector. `apply` and `adjoint` map float64 (..., H, W) to (..., h, w)
    and back; where A^T does not look, NaN in `y` does no harm. A plane is done once the
    gradient is `tolerance` of what it was at zero.

    References
    ----------
    A. Bjorck, "Numerical Methods for Least Squares Problems", SIAM 1996, section 7.4.
    doi:10.1137/1.9781611971484
    """
    r = y
    s = adjoint(r)  # minus half the gradient
    x, p = np.zeros_like(s), s
    gamma = _squares(s)
    goal = tolerance**2 * gamma
    for _ in range(_MAX_ITERATIONS):
        going = gamma > goal
        if not going.any():
            break
        q = apply(p)
        delta = _squares(q) + damping * _squares(p)
        alpha = _ratio(gamma, delta, going & (delta > 0))
        x = x + alpha * p
        r = r - alpha * q
        s = adjoint(r) - damping * x
        gamma, before = _squares(s), gamma
        p = s + _ratio(gamma, before, going) * p
    return x


def _squares(image: FloatArray) -> FloatArray:
    """Sum of squares of each plane, (..., 1, 1)."""
    return np.asarray(np.square(image).sum(axis=(-2, -1), keepdims=True))


def _ratio(a: FloatArray, b: FloatArray, where: NDArray[np.bool_]) -> FloatArray:
    return np.divide(a, b, out=np.zeros_like(a), where=where)
