"""Integers to bits and back, by constriction's range coder, under models of their contexts.

A plane of integers is visited along diagonals, so that the neighbours left of and above a
value are known when it is coded. Their magnitudes, and the caller's own hint, choose one of
two dozen models; the parameters of those that occur are stored first. Everything that steers
the coder is an integer, so both sides compute the same on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, InputError

Integers = NDArray[np.int64]

LARGEST: Final = 14  # a value of a larger magnitude escapes to digits of its own
_ESCAPE: Final = 2 * LARGEST + 1
_MAX_DIGITS: Final = 48  # binary, of an escaped value

# Limits of the contexts; more contexts cost more in parameters than they save.
_THRESHOLDS: Final = 1 << np.arange(24, dtype=np.int64)
_N_CONTEXTS: Final = len(_THRESHOLDS) + 1

_BYTE: Final = 256
_MAX_SHIFT: Final = 64


class Coder:
    """One direction of the range coder: it writes values, or reads them where None are given.

    Made of bytes it reads; raises ImageFileError if their number is no multiple of four.
    """

    def __init__(self, data: bytes | None = None) -> None:
        stream = constriction().stream
        self._categorical = stream.model.Categorical(perfect=False)
        self._uniform = stream.model.Uniform()
        if data is None:
            self._coder = stream.queue.RangeEncoder()
        elif len(data) % 4:
            raise ImageFileError("the compressed data are torn: get the file again")
        else:
            words = np.frombuffer(data, "<u4").astype(np.uint32)
            self._coder = stream.queue.RangeDecoder(words)

    def symbols(self, values: Integers | None, probabilities: NDArray[np.float32]) -> Integers:
        """Code a symbol for each row of probabilities, (n, K)."""
        return self._coded(values, self._categorical, probabilities)

    def uniform(self, values: Integers | None, sizes: Integers) -> Integers:
        """Code numbers below `sizes`, up to 2^16 each."""
        return self._coded(values, self._uniform, sizes.astype(np.int32))

    def to_bytes(self) -> bytes:
        """Everything that was written."""
        return bytes(self._coder.get_compressed().astype("<u4").tobytes())

    def _coded(
        self, values: Integers | None, family: Any, parameters: NDArray[Any]
    ) -> Integers:
        if not len(parameters):
            return np.zeros(0, np.int64)
        if values is None:
            return np.asarray(self._coder.decode(family, parameters), np.int64)
        self._coder.encode(values.astype(np.int32), family, parameters)
        return values


@dataclass(frozen=True, slots=True)
class _Model:
    """Values of one context: a peak at 0, geometric tails, digits below the shift."""

    zero: int
    ratio: int
    shift: int

    @classmethod
    def fitted(cls, values: Integers) -> _Model:
        magnitude = float(np.abs(values).mean())
        shift = max(int(np.log2(magnitude / 4)), 0) if magnitude > 8 else 0
        high = values >> shift
        n, n_zero, total = len(high), int((high == 0).sum()), int(np.abs(high).sum())
        zero = (n_zero + 0.4) / (n + 0.8)
        # The mean of a geometric distribution from 1 on is 1 / (1 - r).
        ratio = 1 - (n - n_zero + 0.2) / (total + 0.4)
        return cls(
            int(np.clip(zero * _BYTE, 0, _BYTE - 1)),
            int(np.clip(ratio * _BYTE, 0, _BYTE - 1)),
            shift,
        )

    def probabilities(self) -> NDArray[np.float32]:
        """Those of 0, 1, -1, 2, -2, ..., and of the escape."""
        zero, ratio = (self.zero + 0.5) / _BYTE, (self.ratio + 0.5) / _BYTE
        tail = (1 - zero) * ratio ** np.arange(LARGEST + 1)
        each = tail[:LARGEST] * (1 - ratio) / 2
        return positive(np.concatenate([[zero], np.repeat(each, 2), tail[LARGEST:]]))


def positive(probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
    """Multiples of 2^-22 above zero, so that both sides have the same to the last bit."""
    return np.asarray((np.rint(probabilities * 2**22) + 4) / 2**22, np.float32)


def code_plane(
    coder: Coder,
    plane: Integers | None,
    shape: tuple[int, int],
    aside: Integers | None = None,
    *,
    predicted: bool = False,
) -> Integers:
    """Code a plane of integers, (H, W); None for a reader.

    `aside` (H, W) is a hint from elsewhere at how large values are, in units of 14 times a
    magnitude. With `predicted`, neighbours predict the value itself and not only its magnitude:
    the median of both and of the plane through them (Weinberger et al. 2000, LOCO-I,
    doi:10.1109/83.855427).
    """
    if 0 in shape:
        return np.zeros(shape, np.int64)
    offsets = np.zeros(shape, np.int64) if aside is None else aside
    residuals = contexts = None
    if plane is not None:
        r, c = np.indices(shape) + 2
        residuals = plane - _prediction(_bordered(plane), r, c) if predicted else plane
        activity = _activity(_bordered(np.abs(residuals)), r, c) + offsets
        contexts = np.searchsorted(_THRESHOLDS, activity, side="right")
    models = _code_models(coder, residuals, contexts)
    tables = np.stack([model.probabilities() for model in models])
    shifts = np.array([model.shift for model in models])
    values = _bordered(np.zeros(shape, np.int64))
    magnitudes = np.zeros_like(values)
    for rows, columns in _diagonals(*shape):
        r, c = rows + 2, columns + 2
        activity = _activity(magnitudes, r, c) + offsets[rows, columns]
        chosen = np.searchsorted(_THRESHOLDS, activity, side="right")
        given = None if residuals is None else residuals[rows, columns]
        found = code_values(coder, given, tables[chosen], shifts[chosen])
        magnitudes[r, c] = np.abs(found)
        values[r, c] = found + (_prediction(values, r, c) if predicted else 0)
    return values[2:, 2:-1]


def _code_models(
    coder: Coder, residuals: Integers | None, contexts: Integers | None
) -> list[_Model]:
    """Code which contexts occur, and the model of each that does."""
    even = np.full((_N_CONTEXTS, 2), 0.5, np.float32)
    known = None
    if contexts is not None:
        known = np.isin(np.arange(_N_CONTEXTS), contexts).astype(np.int64)
    occurs = coder.symbols(known, even)
    models = [_Model(0, 0, 0)] * _N_CONTEXTS
    for context in np.flatnonzero(occurs):
        numbers = None
        if residuals is not None:
            fitted = _Model.fitted(residuals[contexts == context])
            numbers = np.array([fitted.zero, fitted.ratio, fitted.shift])
        sizes = np.array([_BYTE, _BYTE, _MAX_SHIFT])
        models[context] = _Model(*coder.uniform(numbers, sizes).tolist())
    return models


def code_values(
    coder: Coder, values: Integers | None, tables: NDArray[np.float32], shifts: Integers
) -> Integers:
    """Code one value for each row of the tables."""
    symbols = low = None
    if values is not None:
        high = values >> shifts
        low = values - (high << shifts)
        symbols = np.where(high > 0, 2 * high - 1, -2 * high)
        symbols = np.where(np.abs(high) > LARGEST, _ESCAPE, symbols)
    symbols = coder.symbols(symbols, tables)
    found = np.where(symbols % 2 == 1, (symbols + 1) // 2, -symbols // 2)
    for index in np.flatnonzero(symbols == _ESCAPE):
        given = None if values is None else int(values[index] >> shifts[index])
        found[index] = _code_large(coder, given)
    return (found << shifts) + _code_digits(coder, low, shifts)


def _code_large(coder: Coder, value: int | None) -> int:
    """Code a value beyond the table: its sign, its number of digits, its digits."""
    beyond = head = None
    if value is not None:
        magnitude = abs(value) - LARGEST - 1
        beyond, head = np.array([magnitude]), np.array([value < 0, magnitude.bit_length()])
    sign, n_digits = coder.uniform(head, np.array([2, _MAX_DIGITS]))
    magnitude = int(_code_digits(coder, beyond, np.array([n_digits]))[0]) + LARGEST + 1
    return -magnitude if sign else magnitude


def _code_digits(coder: Coder, numbers: Integers | None, counts: Integers) -> Integers:
    """Code numbers of so many binary digits each, sixteen at a time, the lowest first."""
    found = np.zeros(len(counts), np.int64)
    for start in range(0, int(counts.max()), 16):
        digits = (counts - start).clip(0, 16)
        needed = digits > 0
        sizes, part = 1 << digits[needed], None
        if numbers is not None:
            part = (numbers[needed] >> start) & (sizes - 1)
        found[needed] += coder.uniform(part, sizes) << start
    return found


def _diagonals(height: int, width: int) -> Iterator[tuple[Integers, Integers]]:
    """Rows and columns of positions whose neighbours above and left are all known."""
    for step in range(width + 2 * (height - 1)):
        first = max(0, -(-(step - width + 1) // 2))
        rows = np.arange(first, min(height - 1, step // 2) + 1)
        if len(rows):
            yield rows, step - 2 * rows


def _bordered(plane: Integers) -> Integers:
    """With zeros: two rows above, two columns left and one right."""
    return np.pad(plane, ((2, 0), (2, 1)))


def _activity(magnitudes: Integers, r: Integers, c: Integers) -> Integers:
    """Weighted magnitudes of the known neighbours of positions; the weights add up to 14."""
    near = magnitudes[r, c - 1] + magnitudes[r - 1, c]
    corners = magnitudes[r - 1, c - 1] + magnitudes[r - 1, c + 1]
    far = magnitudes[r, c - 2] + magnitudes[r - 2, c]
    return np.asarray(4 * near + 2 * corners + far)


def _prediction(values: Integers, r: Integers, c: Integers) -> Integers:
    west, north, corner = values[r, c - 1], values[r - 1, c], values[r - 1, c - 1]
    low, high = np.minimum(west, north), np.maximum(west, north)
    return np.asarray(np.clip(west + north - corner, low, high))


def constriction() -> Any:
    """The package that codes; InputError with the command that installs it if it is missing."""
    try:
        import constriction as package
    except ImportError:
        raise InputError(
            "compression needs the package constriction: pip install "
            "'napari-vae-restore[compression]'"
        ) from None
    return package
