"""Degradation operators A: how the clean image x becomes the measurement y = A x.

Every operator is linear, works on the last two axes of floating images (..., H, W) and
treats leading axes apart. Sums are taken in float64, results have the dtype of what came.
This module knows nothing of noise, networks or files; what is made of an operator and a
measurement together is the business of :mod:`napari_vae_restore.solvers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.signal import fftconvolve
from scipy.sparse import csr_array

from napari_vae_restore.errors import InputError
from napari_vae_restore.resampling import KERNELS, along, reduction, separable

FloatArray: TypeAlias = NDArray[np.floating]
Map: TypeAlias = Callable[[FloatArray], FloatArray]

# A normalised blur passes 1 at its best. Frequencies that it passes by less than the root
# of this, a thousandth, are left out of the inverse rather than blown up with the noise.
_BLUR_DAMPING: Final = 1e-6

_BLUR_TOLERANCE: Final = 1e-6
_TOLERANCE: Final = 1e-10
_MAX_ITERATIONS: Final = 200


@runtime_checkable
class Operator(Protocol):
    """What every degradation operator offers."""

    @property
    def factor(self) -> int:
        """Sides of the clean image over those of the measurement, 1 or more."""
        ...

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of A x.

        Parameters
        ----------
        shape : tuple of int
            Of the clean image x, (..., H, W).

        Returns
        -------
        tuple of int
            Of the measurement, (..., H / factor, W / factor).

        Raises
        ------
        InputError
            If the operator cannot be applied to an image of this shape.
        """
        ...

    def apply(self, x: FloatArray) -> FloatArray:
        """Return A x.

        Parameters
        ----------
        x : numpy.ndarray
            Clean image, (..., H, W), floating.

        Returns
        -------
        numpy.ndarray
            Measurement without noise, (..., H / factor, W / factor), the dtype of `x`.

        Raises
        ------
        InputError
            If `x` is not floating or its shape does not suit the operator.
        """
        ...

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return A^T y, so that <A x, y> = <x, A^T y>, at the borders too.

        Parameters
        ----------
        y : numpy.ndarray
            Like a measurement, (..., H / factor, W / factor), floating.

        Returns
        -------
        numpy.ndarray
            (..., H, W), the dtype of `y`.

        Raises
        ------
        InputError
            If `y` is not floating or its shape does not suit the operator.
        """
        ...

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return the shortest x among those that minimise |A x - y|.

        Parameters
        ----------
        y : numpy.ndarray
            Measurement, (..., H / factor, W / factor), floating.

        Returns
        -------
        numpy.ndarray
            (..., H, W), the dtype of `y`.

        Raises
        ------
        InputError
            If `y` is not floating or its shape does not suit the operator.

        Notes
        -----
        The Moore-Penrose inverse, except where an operator's own docstring calls its
        inverse regularised.
        """
        ...


class _SameGrid:
    """What operators share whose measurement has the grid of the image."""

    __slots__ = ()

    @property
    def factor(self) -> int:
        """The measurement has the image's sides; see :class:`Operator`."""
        return 1

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the image's own shape; see :class:`Operator`."""
        return _image_shape(shape)


@dataclass(frozen=True, slots=True)
class Identity(_SameGrid):
    """y = x: nothing but noise stands between image and measurement.

    Examples
    --------
    >>> Identity().apply(np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    def apply(self, x: FloatArray) -> FloatArray:
        """Return a copy of x; see :class:`Operator`."""
        return _double(x).astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return a copy of y; see :class:`Operator`."""
        return self.apply(y)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return a copy of y; see :class:`Operator`."""
        return self.apply(y)


@dataclass(frozen=True, slots=True, eq=False)
class Masking(_SameGrid):
    """Missing pixels are measured as zero, whatever they hold, NaN included.

    A projection: its own adjoint and its own pseudo-inverse.

    Parameters
    ----------
    observed : numpy.ndarray of bool
        (..., H, W); True = measured, False = missing. Leading axes broadcast to those of
        the images.

    Raises
    ------
    InputError
        If `observed` is not boolean or has fewer than two axes.

    Examples
    --------
    >>> Masking(np.array([[True, False]])).apply(np.array([[3.0, 4.0]])).tolist()
    [[3.0, 0.0]]
    """

    observed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        observed = np.array(self.observed)
        if observed.dtype != np.bool_:
            raise InputError(
                f"Expected the observed pixels as a boolean array, came {observed.dtype}; "
                "pass `observed > 0`, or `~mask` for a mask that is True where missing."
            )
        _image_shape(observed.shape)
        observed.setflags(write=False)
        object.__setattr__(self, "observed", observed)

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the image's own shape; see :class:`Operator`.

        Raises
        ------
        InputError
            If the mask does not fit an image of this shape.
        """
        mask = self.observed.shape
        _image_shape(shape)
        if mask[-2:] != shape[-2:] or not _fits(mask, shape):
            raise InputError(
                f"Expected images of the mask's shape {mask}, came {shape}; the last two "
                "axes must be equal, the mask's leading ones must broadcast to the image's."
            )
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        """Return x with zeros for the missing pixels; see :class:`Operator`."""
        self.measured_shape(_double(x).shape)
        return np.where(self.observed, x, 0).astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return y with zeros for the missing pixels; see :class:`Operator`."""
        return self.apply(y)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return y with zeros for the missing pixels; see :class:`Operator`."""
        return self.apply(y)


@dataclass(frozen=True, slots=True)
class Downsampling:
    """Blur with a kernel and keep every factor-th pixel along both axes.

    A is R along the rows times R along the columns, with R of
    :func:`napari_vae_restore.resampling.reduction`, so the pseudo-inverse is
    R^+ = R^T (R R^T)^-1 along each; R R^T is banded and well-conditioned.

    Parameters
    ----------
    factor : int
        How many pixels of the image become one of the measurement, along each side.
    kernel : str
        A name in :data:`napari_vae_restore.resampling.KERNELS`.

    Raises
    ------
    InputError
        If `factor` is not a whole number of at least 1, or the kernel is unknown.

    Examples
    --------
    >>> Downsampling(2, "box").apply(np.array([[0.0, 1.0], [2.0, 3.0]])).tolist()
    [[1.5]]
    """

    factor: int
    kernel: str = "bicubic"

    def __post_init__(self) -> None:
        if (
            isinstance(self.factor, bool)
            or not isinstance(self.factor, int | np.integer)
            or self.factor < 1
        ):
            raise InputError(
                f"Expected a whole factor of at least 1, came {self.factor!r}; "
                "2, 3 and 4 are usual."
            )
        if self.kernel not in KERNELS:
            raise InputError(
                f"Expected a kernel among {', '.join(KERNELS)}, came {self.kernel!r}."
            )
        object.__setattr__(self, "factor", int(self.factor))

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with both sides divided; see :class:`Operator`.

        Raises
        ------
        InputError
            If a side is not a multiple of the factor.
        """
        *lead, height, width = _image_shape(shape)
        if height % self.factor or width % self.factor:
            raise InputError(
                f"Expected sides that are multiples of {self.factor}, came {height} x "
                f"{width}; crop the image to {height - height % self.factor} x "
                f"{width - width % self.factor}, or pad it."
            )
        return (*lead, height // self.factor, width // self.factor)

    def apply(self, x: FloatArray) -> FloatArray:
        """Return the reduced image; see :class:`Operator`."""
        height, width = self.measured_shape(_double(x).shape)[-2:]
        small = separable(self._reduction(height), self._reduction(width), _double(x))
        return small.astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return R^T y R along rows and columns; see :class:`Operator`."""
        return self._spread(_double(y)).astype(y.dtype)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return the shortest image that reduces to y; see :class:`Operator`.

        Exact: `apply` gives `y` back, to rounding.
        """
        solved = _double(y)
        for axis in (-2, -1):
            factorised = _gram_cholesky(solved.shape[axis], self.factor, self.kernel)
            solved = along(factorised, solved, axis)
        return self._spread(solved).astype(y.dtype)

    def _reduction(self, n_measured: int) -> csr_array:
        return reduction(n_measured * self.factor, self.factor, self.kernel)

    def _spread(self, y: FloatArray) -> FloatArray:
        height, width = y.shape[-2:]
        return separable(self._reduction(height).T, self._reduction(width).T, y)


@dataclass(frozen=True, slots=True, eq=False)
class Blur(_SameGrid):
    """Convolve with a point spread function; borders reflect, the edge pixel repeated.

    The pseudo-inverse is regularised: with it, x minimises |A x - y|^2 + 1e-6 |x|^2.
    What the blur passes by less than a thousandth is not brought back, and noise is
    amplified by up to five hundred. To deconvolve noisy images, use
    :func:`napari_vae_restore.solvers.data_step`.

    Parameters
    ----------
    psf : numpy.ndarray
        Point spread function, (h, w), real and finite, any positive sum: it is scaled to
        sum to 1. Its centre is the pixel (h // 2, w // 2).

    Raises
    ------
    InputError
        If `psf` is not two-dimensional, real and finite, or its sum is not positive.

    Examples
    --------
    >>> Blur(np.ones((1, 3))).apply(np.array([[0.0, 0.0, 3.0]])).round(6).tolist()
    [[0.0, 1.0, 2.0]]
    """

    psf: NDArray[np.float64]

    def __post_init__(self) -> None:
        psf = np.array(self.psf)
        if psf.ndim != 2 or psf.dtype.kind not in "biuf":
            raise InputError(
                "Expected a point spread function as a real array with two axes, came "
                f"{psf.dtype} of shape {psf.shape}; pass the slice in focus of a stack."
            )
        total = float(psf.sum())
        if not (math.isfinite(total) and total > 0):
            raise InputError(
                "Expected a point spread function with a finite, positive sum, came "
                f"{total}; subtract the background and remove NaNs."
            )
        rounding = psf.size * np.finfo(np.float64).eps
        normalised = psf.astype(np.float64) / (1.0 if abs(total - 1) < rounding else total)
        normalised.setflags(write=False)
        object.__setattr__(self, "psf", normalised)

    def apply(self, x: FloatArray) -> FloatArray:
        """Return the blurred image; see :class:`Operator`."""
        padded = separable(*self._mirrors(x.shape), _double(x))
        return self._convolved(padded, self.psf, "valid").astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Correlate, and fold the borders back; see :class:`Operator`."""
        padded = self._convolved(_double(y), self.psf[::-1, ::-1], "full")
        rows, columns = self._mirrors(y.shape)
        return separable(rows.T, columns.T, padded).astype(y.dtype)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return a regularised inverse, see above, after at most 200 iterations."""
        solved = least_squares(
            self.apply,
            self.adjoint,
            _double(y),
            damping=_BLUR_DAMPING,
            tolerance=_BLUR_TOLERANCE,
        )
        return solved.astype(y.dtype)

    def _mirrors(self, shape: tuple[int, ...]) -> tuple[csr_array, csr_array]:
        height, width = (
            _mirror(n, size - 1 - size // 2, size // 2)
            for n, size in zip(_image_shape(shape)[-2:], self.psf.shape, strict=True)
        )
        return height, width

    @staticmethod
    def _convolved(image: FloatArray, psf: FloatArray, mode: str) -> FloatArray:
        kernel = psf.reshape((1,) * (image.ndim - 2) + psf.shape)
        return np.asarray(fftconvolve(image, kernel, mode=mode, axes=(-2, -1)))


@dataclass(frozen=True, slots=True, init=False)
class Composition:
    """Several degradations, in the order in which they act on the image.

    ``Composition(first, second).apply(x)`` is ``second.apply(first.apply(x))``. Where a
    microscope blurs, then a camera bins, then dead pixels are cut out, that is
    ``Composition(Blur(psf), Downsampling(2, "box"), Masking(observed))``.

    The pseudo-inverse is iterative, to a relative 1e-10 in the gradient or for 200
    iterations, and regularised as :class:`Blur` is where one of the operators is a blur.

    Parameters
    ----------
    *operators : Operator
        One or more; compositions among them are taken apart.

    Raises
    ------
    InputError
        If no operator is given, or something else is.

    Examples
    --------
    >>> dead = Masking(np.array([[True, False]]))
    >>> binned = Composition(Downsampling(2, "box"), dead)
    >>> binned.apply(np.array([[1.0, 3.0, 5.0, 5.0], [1.0, 3.0, 5.0, 5.0]])).tolist()
    [[2.0, 0.0]]
    """

    operators: tuple[Operator, ...]

    def __init__(self, *operators: Operator) -> None:
        if not operators or not all(isinstance(one, Operator) for one in operators):
            came = ", ".join(type(one).__name__ for one in operators) or "nothing"
            raise InputError(
                f"Expected one or more operators, came {came}; list them in the order in "
                "which they act, as in Composition(Downsampling(2), Masking(observed))."
            )
        parts: list[Operator] = []
        for one in operators:
            parts.extend(one.operators if isinstance(one, Composition) else [one])
        object.__setattr__(self, "operators", tuple(parts))

    @property
    def factor(self) -> int:
        """The product of the operators' factors; see :class:`Operator`."""
        return math.prod(one.factor for one in self.operators)

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape after the last operator; see :class:`Operator`."""
        for one in self.operators:
            shape = one.measured_shape(shape)
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        """Apply the operators from first to last; see :class:`Operator`."""
        result = _double(x)
        for one in self.operators:
            result = one.apply(result)
        return result.astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Apply the adjoints from last to first; see :class:`Operator`."""
        result = _double(y)
        for one in reversed(self.operators):
            result = one.adjoint(result)
        return result.astype(y.dtype)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return the inverse described above; see :class:`Operator`."""
        blurs = any(isinstance(one, Blur) for one in self.operators)
        solved = least_squares(
            self.apply,
            self.adjoint,
            _double(y),
            damping=_BLUR_DAMPING if blurs else 0.0,
            tolerance=_BLUR_TOLERANCE if blurs else _TOLERANCE,
        )
        return solved.astype(y.dtype)


def least_squares(
    apply: Map,
    adjoint: Map,
    y: FloatArray,
    *,
    damping: float = 0.0,
    tolerance: float = _TOLERANCE,
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


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape itself, if images can have it."""
    if len(shape) < 2 or 0 in shape:
        raise InputError(
            f"Expected an image (..., H, W) with at least one pixel, came shape {shape}."
        )
    return shape


def _double(image: FloatArray) -> FloatArray:
    """The image in float64, if it is one that operators take."""
    if image.dtype.kind != "f":
        raise InputError(
            f"Expected a floating image, came {image.dtype}; convert it with "
            "`image.astype(np.float32)`."
        )
    _image_shape(image.shape)
    return image.astype(np.float64, copy=False)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the target, and no further."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _gram_cholesky(n: int, factor: int, kernel: str) -> _Inverse:
    """(R R^T)^-1 for the reduction R to n pixels."""
    matrix = reduction(n * factor, factor, kernel)
    gram = (matrix @ matrix.T).tocoo()
    width = int(np.abs(gram.row - gram.col).max())
    bands = [np.pad(gram.diagonal(-k), (0, k)) for k in range(width + 1)]
    return _Inverse(cholesky_banded(np.stack(bands), lower=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Inverse:
    """The inverse of a positive definite banded matrix, used like a matrix with `@`."""

    factor: NDArray[np.float64]
    """Its lower Cholesky factor, one diagonal per row."""

    def __matmul__(self, columns: FloatArray) -> FloatArray:
        return np.asarray(cho_solve_banded((self.factor, True), columns))


@lru_cache(maxsize=64)
def _mirror(n: int, before: int, after: int) -> csr_array:
    """The matrix (before + n + after, n) that reflects at the borders, edges repeated."""
    source = np.pad(np.arange(n), (before, after), mode="symmetric")
    rows: NDArray[Any] = np.arange(source.size)
    return csr_array((np.ones(source.size), (rows, source)), shape=(source.size, n))
