"""The blocks from which noise is estimated: cut, transformed, sorted by flatness.

Small blocks are split by an orthonormal cosine transform. White noise puts the same
energy into every coefficient, while image structure fills the low frequencies first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import Correlation
from napari_vae_restore.noise.estimation.spectra import block_spectrum
from napari_vae_restore.noise.numbers import FloatArray

# Set by benchmarks/noise_estimators.py. Higher noise orders shut out more texture; lower
# ones hold what energy correlated noise has.
BLOCK: Final = 8  # pixels a side
ORDER: Final = np.add.outer(np.arange(BLOCK), np.arange(BLOCK)).ravel()  # u + v
_STRUCTURE_ORDERS: Final = range(1, 5)  # u + v of the coefficients that judge flatness
_NOISE_ORDERS: Final = range(6, 15)  # u + v of the coefficients that measure the noise
CORRELATED_STRUCTURE_ORDERS: Final = range(1, 4)
# Share of the strongest coefficient's noise, below which rounding and whatever departs
# from the assumed spectrum are too great beside a coefficient's own.
_MIN_SPECTRUM: Final = 0.1

_MAX_BLOCKS: Final = 32_768  # bounds time (a fifth of a second) and memory (50 MB)
_MAX_PLANES: Final = 64
_MIN_STRIDE: Final = 2  # pixels between blocks
_GATHERING: Final = 1.6  # width of a window relative to what eight observed pixels take
_MIN_OBSERVED: Final = 0.1  # share of the pixels; with fewer, windows stay as they are
MIN_BLOCKS: Final = 256  # fewer do not tell flat from textured: about 40 x 40 pixels

PLAIN_SHARE: Final = 0.3  # of the blocks, the flattest, that have no texture in a plain image
_PLAIN_EXCESS: Final = 1.5  # low-frequency energy over the noise's up to which that is so

BINS: Final = 24

_MAX_CLIPPED: Final = 0.55  # share of clipped pixels up to which a block still informs
_PILE_UP: Final = 1.25  # how far a clipped level outnumbers what its neighbours promise
_MIN_PILE: Final = 1e-3  # share of the pixels below which clipping does not matter
_HOT_SHARE: Final = 0.5  # of a block's variance, from one pixel alone
_HOT_SIGMA: Final = 8.0


@dataclass(frozen=True, slots=True)
class Blocks:
    """Statistics of n blocks, flattest first; energies are squared coefficients."""

    mean: FloatArray  # (n,)
    structure: FloatArray  # (n,) mean low-frequency energy, rising
    energy: FloatArray  # (n, 64) of all coefficients, in the order of ORDER
    measuring: NDArray[np.intp]  # the columns that measure the noise, by rising order
    clipped: FloatArray  # (n,) share of pixels at a clipped level
    independence: float  # of overlapping blocks, 1 for disjoint ones

    def __len__(self) -> int:
        return len(self.mean)

    def noise(self, which: NDArray[np.intp]) -> FloatArray:
        """Mean energies, (k,), that measure the noise of some blocks."""
        return np.asarray(self.energy[which].mean(axis=0)[self.measuring])

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Blocks:
        names = ("mean", "structure", "energy", "clipped")
        return replace(self, **{name: getattr(self, name)[which] for name in names})

    def whitened(self, correlation: Correlation) -> Blocks:
        """Divide by the spectrum of correlated noise, and measure where it is strong."""
        spectrum = block_spectrum(correlation, BLOCK).ravel()
        energy = self.energy / spectrum
        structure = energy[:, np.isin(ORDER, CORRELATED_STRUCTURE_ORDERS)].mean(axis=1)
        usable = measures_correlated(spectrum)
        measuring = np.argsort(ORDER, kind="stable")
        measuring = measuring[usable[measuring]]
        whitened = replace(self, structure=structure, energy=energy, measuring=measuring)
        return whitened.select(np.argsort(structure, kind="stable"))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measurement shows of its noise, before any model is fitted."""

    blocks: Blocks
    low: float  # level to which dark pixels were clipped; -inf where none was
    high: float  # the same of bright pixels; inf where none was
    shows_correlation: bool  # whether pixels of a block are neighbours


class UnseenNoiseError(InputError):
    """An image does not show its noise, or blocks do not."""


def as_stack(planes: ArrayLike) -> NDArray[np.generic]:
    """The planes as (n, H, W); raises InputError if they are no real images."""
    stack = np.asarray(planes)
    if stack.dtype.kind not in "uif":
        raise InputError(f"Noise is estimated from real numbers, not from {stack.dtype}.")
    if stack.ndim < 2 or min(stack.shape) == 0:
        raise InputError(f"Expected images of shape (..., H, W), not {stack.shape}.")
    return stack.reshape(-1, *stack.shape[-2:])


def as_mask(observed: NDArray[np.bool_], planes: ArrayLike) -> NDArray[np.bool_]:
    """A mask of planes (..., H, W) as (n, H, W); raises InputError if it does not fit."""
    mask, shape = np.asarray(observed), np.shape(planes)
    if mask.dtype != bool:
        raise InputError(f"The mask of observed pixels is of booleans, not of {mask.dtype}.")
    try:
        return np.broadcast_to(mask, shape).reshape(-1, *shape[-2:])
    except ValueError:
        raise InputError(
            f"The mask of observed pixels, {mask.shape}, does not fit images of {shape}."
        ) from None


def measure_blocks(stack: NDArray[np.generic], mask: NDArray[np.bool_] | None) -> Measured:
    """Cut images (n, H, W) into blocks and transform those that tell of noise.

    The mask is False where a pixel is missing. Raises UnseenNoiseError if there are too few
    blocks that are neither constant nor clipped.
    """
    if min(stack.shape[-2:]) < BLOCK:
        raise unusable(f"planes of {stack.shape[-2:]} pixels are too small")
    pixels, independence = _sample_blocks(stack, mask)
    is_gathered = False
    if len(pixels) < MIN_BLOCKS and mask is not None:
        pixels, independence = _gather_blocks(stack, mask)
        is_gathered = True
    if len(pixels) < MIN_BLOCKS:
        raise unusable("there are too few pixels that were observed near each other")
    low, high = _clipped_levels(pixels)
    blocks = _statistics(pixels, low, high, independence)
    return Measured(blocks, low, high, shows_correlation=not is_gathered)


def clipped_levels(planes: ArrayLike) -> tuple[float, float]:
    """The levels to which pixels of (..., H, W) were clipped, -inf and inf if they were not.

    Raises InputError if these are no images, or hold fewer than three different values.
    """
    return _clipped_levels(_sample_blocks(as_stack(planes), None)[0])


def measures_correlated(spectrum: FloatArray) -> NDArray[np.bool_]:
    """The coefficients, (64,), where noise is strong beside structure and rounding."""
    candidates = ~np.isin(ORDER, (0, *CORRELATED_STRUCTURE_ORDERS))
    strongest = spectrum[ORDER == 2].max()
    return np.asarray(candidates & (spectrum > _MIN_SPECTRUM * strongest))


def is_plain(structure: FloatArray) -> bool:
    """Whether an image has little texture beside its noise.

    `structure` (n,) is the low-frequency energy of its blocks over that of the noise.
    """
    return bool(np.quantile(structure, PLAIN_SHARE) < _PLAIN_EXCESS)


def unusable(reason: str) -> UnseenNoiseError:
    return UnseenNoiseError(
        f"The noise cannot be estimated: {reason}. Give it explicitly, for example "
        'noise="gaussian:12.5" (the standard deviation in the image\'s own units).'
    )


def _sample_blocks(
    stack: NDArray[np.generic], observed: NDArray[np.bool_] | None
) -> tuple[FloatArray, float]:
    """An even sample of whole, finite blocks, (n, 8, 8), and their independence."""
    chosen, stride = _spread(stack, _MAX_BLOCKS)
    pixels = np.concatenate([_cut(stack[index], stride, BLOCK) for index in chosen])
    whole = np.isfinite(pixels).all(axis=(1, 2))
    if observed is not None:
        masks = np.concatenate([_cut(observed[index], stride, BLOCK) for index in chosen])
        whole &= masks.all(axis=(1, 2))
    return pixels[whole].astype(np.float64), min(1.0, (stride / BLOCK) ** 2)


def _gather_blocks(
    stack: NDArray[np.generic], observed: NDArray[np.bool_]
) -> tuple[FloatArray, float]:
    """Blocks, (n, 8, 8), of each row's first eight observed pixels in wider windows.

    White noise stays white, whichever pixels are taken; structure is disturbed, as it
    is in textured blocks, which the fit leaves out.
    """
    share = max(float(observed.mean()), _MIN_OBSERVED)
    width = min(math.ceil(_GATHERING * BLOCK / share), stack.shape[-1])
    chosen, stride = _spread(stack, _MAX_BLOCKS * BLOCK // width)
    found = [np.empty((0, BLOCK, BLOCK))]
    for index in chosen:
        missing = ~(_cut(observed[index], stride, width))
        pixels = _cut(stack[index], stride, width)
        missing |= ~np.isfinite(pixels)
        enough = (missing.sum(axis=2) <= width - BLOCK).all(axis=1)
        first = np.argsort(missing[enough], axis=2, kind="stable")[..., :BLOCK]
        found.append(np.take_along_axis(pixels[enough], first, axis=2).astype(np.float64))
    return np.concatenate(found), min(1.0, stride**2 / (BLOCK * width))


def _spread(stack: NDArray[np.generic], n: int) -> tuple[NDArray[np.intp], int]:
    """Indices of planes, and the stride that cuts about `n` windows from them."""
    n_planes = min(len(stack), _MAX_PLANES)
    chosen = np.linspace(0, len(stack) - 1, n_planes).round().astype(int)
    area = stack.shape[1] * stack.shape[2]
    return chosen, max(_MIN_STRIDE, math.ceil(math.sqrt(area * n_planes / n)))


def _cut(plane: NDArray[Any], stride: int, width: int) -> NDArray[Any]:
    windows = np.lib.stride_tricks.sliding_window_view(plane, (BLOCK, width))
    return windows[::stride, ::stride].reshape(-1, BLOCK, width)


def _clipped_levels(pixels: FloatArray) -> tuple[float, float]:
    levels, counts = np.unique(pixels, return_counts=True)
    if len(levels) < 3:
        raise unusable("the image holds fewer than three different values")

    def piled_up(edge: int, second: int, third: int) -> bool:
        # Against the histogram's own slope: pixels without a photon pile up as well.
        trend = counts[second] * max(1.0, counts[second] / counts[third])
        return bool(counts[edge] > max(_PILE_UP * trend, _MIN_PILE * pixels.size))

    low = float(levels[0]) if piled_up(0, 1, 2) else -math.inf
    high = float(levels[-1]) if piled_up(-1, -2, -3) else math.inf
    return low, high


def _statistics(pixels: FloatArray, low: float, high: float, independence: float) -> Blocks:
    """Transform the blocks; leave out constant ones and those with a hot pixel."""
    basis = dct(np.eye(BLOCK), axis=0, norm="ortho")  # (frequency, pixel)
    both = np.kron(basis, basis)  # (frequency pair, pixel of a block)
    flat = pixels.reshape(len(pixels), -1)
    energy = (flat @ both.T) ** 2
    structure = energy[:, np.isin(ORDER, _STRUCTURE_ORDERS)].mean(axis=1)
    rising = np.concatenate([np.flatnonzero(np.equal(ORDER, each)) for each in _NOISE_ORDERS])
    clipped = ((flat <= low) | (flat >= high)).mean(axis=1)
    mean = flat.mean(axis=1)
    blocks = Blocks(mean, structure, energy, rising, clipped, independence)
    usable = (np.ptp(flat, axis=1) > 0) & (clipped <= _MAX_CLIPPED) & ~_hot(flat, blocks)
    order = np.argsort(structure, kind="stable")
    order = order[usable[order]]
    if len(order) < MIN_BLOCKS:
        raise unusable("nearly all of the image is constant or clipped")
    return blocks.select(order)


def _hot(flat: FloatArray, blocks: Blocks) -> NDArray[np.bool_]:
    """The blocks in which one pixel stands out of the noise at their intensity."""
    deviation = (flat - blocks.mean[:, None]) ** 2
    peak = deviation.argmax(axis=1)
    rows = np.arange(len(flat))
    peak_square = deviation[rows, peak]
    rest = (flat.sum(axis=1) - flat[rows, peak]) / (flat.shape[1] - 1)
    noise = blocks.energy[:, blocks.measuring].mean(axis=1)
    typical = np.empty(len(flat))
    for group in np.array_split(np.argsort(rest, kind="stable"), BINS):
        typical[group] = np.median(noise[group])
    alone = peak_square > _HOT_SHARE * deviation.sum(axis=1)
    return np.asarray(alone & (peak_square > _HOT_SIGMA**2 * typical))
