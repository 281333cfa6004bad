"""Operators one after another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators.blur import BLUR_DAMPING, BLUR_TOLERANCE, Blur
from napari_vae_restore.operators.least_squares import TOLERANCE, least_squares
from napari_vae_restore.operators.protocol import FloatArray, Operator, double


@dataclass(frozen=True, slots=True, init=False)
class Composition:
    """Several degradations, in the order in which they act on the image.

    ``Composition(first, second).apply(x)`` is ``second.apply(first.apply(x))``. Where a
    microscope blurs, then a camera bins, then dead pixels are cut out, that is
    ``Composition(Blur(psf), Downsampling(2, "box"), Masking(observed))``. Compositions among
    the operators are taken apart. The pseudo-inverse is iterative, to a relative 1e-10 in the
    gradient or for 200 iterations, and regularised as :class:`Blur` is where one of the
    operators is a blur. Raises InputError if no operator is given, or something else is.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vae_restore.operators import Downsampling, Masking
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
        """The product of the operators' factors."""
        return math.prod(one.factor for one in self.operators)

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape after the last operator."""
        for one in self.operators:
            shape = one.measured_shape(shape)
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        """Apply the operators from first to last."""
        result = double(x)
        for one in self.operators:
            result = one.apply(result)
        return result.astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Apply the adjoints from last to first."""
        result = double(y)
        for one in reversed(self.operators):
            result = one.adjoint(result)
        return result.astype(y.dtype)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return the inverse described above."""
        blurs = any(isinstance(one, Blur) for one in self.operators)
        solved = least_squares(
            self.apply,
            self.adjoint,
            double(y),
            damping=BLUR_DAMPING if blurs else 0.0,
            tolerance=BLUR_TOLERANCE if blurs else TOLERANCE,
        )
        return solved.astype(y.dtype)
