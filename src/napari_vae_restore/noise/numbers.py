"""Numbers that noise models are given: checked, and wide enough to be squared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

FloatArray: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


def widened(values: Tensor) -> Tensor:
    """Half-precision values as float32: a squared 60000 must stay finite."""
    return values.float() if values.element_size() < 4 else values


def finite(name: str, value: Any) -> float:
    """A noise parameter as a float; raises InputError if it is not finite."""
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"The noise parameter {name} must be a finite number, not {value!r}.")
    return number


def positive(name: str, value: Any) -> float:
    """The same; raises InputError if it is not above 0."""
    number = finite(name, value)
    if number <= 0:
        raise InputError(f"The noise parameter {name} must be above 0, not {value!r}.")
    return number
