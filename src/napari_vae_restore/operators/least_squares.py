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
    max_iterations: int = _MAX_ITERATIONS,
) -> FloatArray:
    """Return the x that minimises |A x - y|^2 + damping |x|^2, by conjugate gradients.

    Started at zero, x stays in the range of A^T, so without damping it tends to the
    minimiser of least norm. Each plane has step sizes and a stopping rule of its own: a
    dim channel is solved as well beside a bright one as alone. That is why this is not
    SciPy's, which would take all planes for one vector.

    Parameters
    ----------
    apply, adjoint : callable
        A and A^T, from float64 (..., H, W) to float64 (..., h, w) and back, each plane
        by itself.
    y : numpy.ndarray of float64
        Measurement, (..., h, w). Where A^T does not look, NaN does no harm.
    damping : float
        Zero or positive.
    tolerance : float
        A plane is done once the gradient is this fraction of what it was at zero.
    max_iterations : int
        A plane that is not done by then stays as it is.

    Returns
    -------
    numpy.ndarray of float64
        (..., H, W).

    References
    ----------
    A. Bjorck, "Numerical Methods for Least Squares Problems", SIAM 1996, section 7.4
    (CGLS). doi:10.1137/1.9781611971484
    """
    r = y
    s = adjoint(r)  # minus half the gradient
    x, p = np.zeros_like(s), s
    gamma = _squares(s)
    goal = tolerance**2 * gamma
    for _ in range(max_iterations):
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
    """The sum of squares of each plane, (..., 1, 1)."""
    return np.asarray(np.square(image).sum(axis=(-2, -1), keepdims=True))


def _ratio(a: FloatArray, b: FloatArray, where: NDArray[np.bool_]) -> FloatArray:
    return np.divide(a, b, out=np.zeros_like(a), where=where)
