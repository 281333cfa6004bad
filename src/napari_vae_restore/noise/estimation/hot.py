"""Hot pixels: alone, side by side or in a row of three, with a rise that no optics can draw.

A point is at least as wide as the optics' blur, so that its neighbours are bright too. A few
pixels whose surroundings stay dark, and that are far out of the noise, are the detector's.
The noise is that of a signal as bright as the pixel itself: in the dark, a few photons are
far above no photons and no more than that. Clusters fit into 2 x 2 pixels or into a row or
column of 3. A Gaussian spot of standard deviation s that lies between four pixels falls by
exp(-1 / s^2) from these to the next: to a fifth at s = 0.8, to half at s = 1.2. Limits are
set so that it stays from 0.8 on. The same pixels are hot in every frame of a series, whose
median has less noise and shows them at a lower rise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.numbers import FloatArray, Mask

# Of a series that are evidence: in fewer, a bright event in one moves the median.
MIN_FRAMES: Final = 4

_SIGMAS: Final = 12.0  # above the median of the surroundings, of the pixel's own noise
_PROMINENCE: Final = 6.0  # how many times the rise of each pixel around the cluster
_ALLOWANCE: Final = 2.0  # standard deviations by which noise alone may lift one of these
_EDGE_SHARE: Final = 0.05  # of the cluster's mean rise; its direct neighbours have less
_OUTLIERS: Final = 0.12  # share of the surroundings, each way, that may be anything
_N_AROUND: Final = 16  # independent pixels that a median of the surroundings is worth
_MIN_AROUND: Final = 4  # observed pixels that tell the level of the surroundings
_MAX_MISSING: Final = 2  # of the eight pixels around a single one; around clusters, none

_RARE: Final = 1e-3  # share of the pixels, at each end, that the range leaves out
_RARE_PIXELS: Final = 8  # the same of small images
_BRIGHT: Final = 0.9  # quantile at which the noise is compared with the range
_STRONG: Final = 6 / 255  # noise, relative to the range, that is the measure alone

_REACH: Final = 3  # pixels of a patch to each side: a row of three and what is around it
_SIDE: Final = 2 * _REACH + 1
_AROUND: Final = 2  # pixels of the surroundings to each side
_CHUNK: Final = 2**15  # patches that are looked at together
_SHAPES: Final = ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (2, 2))


def without_hot_pixels(
    planes: NDArray[Any],
    noise: NoiseModel,
    *,
    observed: Mask | None = None,
    known: Mask | None = None,
    least_rise: float = 0.0,
    excess: float = 1.0,
) -> tuple[FloatArray, Mask]:
    """Replace hot pixels of (N, H, W) by the median of their surroundings; say where they were.

    Values are finite where observed; missing pixels are neither hot nor surroundings. `known`
    ones, (H, W) or (N, H, W), are hot whatever they show. Others rise by `least_rise` at least
    (see :func:`rise_beyond_texture`); `excess` is the deviation of the image's noise over the
    model's.
    """
    values = planes.astype(np.float64)
    is_hot = np.zeros(values.shape, bool)
    padded = _padded(values, observed)
    if known is not None and known.any():
        for where, calm in _known(padded, np.broadcast_to(known, values.shape)):
            is_hot[where], values[where] = True, calm
    for where, calm in _clusters(
        padded, noise, excess * _SIGMAS, excess * _ALLOWANCE, least_rise
    ):
        is_hot[where], values[where] = True, calm
    return values, is_hot


def rise_beyond_texture(values: NDArray[Any], noise: NoiseModel) -> float:
    """Rise above its surroundings that no single pixel of a picture's own texture has.

    With next to no noise, glints, grains and thin lines are far above it too: a pixel is called
    hot where it rises by twice the picture's range. The stronger the noise, the less is
    asked for; from 6 of 255 of the range on, the noise alone is the measure.
    """
    if values.size == 0:
        return 0.0
    rare = max(_RARE, min(_RARE_PIXELS / values.size, 0.1))
    low, bright, high = np.quantile(values, (rare, _BRIGHT, 1 - rare))
    sigma = float(np.sqrt(noise.variance(bright)))
    if high <= low:
        return 0.0
    return float(2 * (high - low) * max(1 - sigma / (_STRONG * (high - low)), 0.0))


def persistent_hot_pixels(
    frames: NDArray[Any], noise: NoiseModel, *, observed: Mask | None = None
) -> Mask:
    """(H, W): the pixels that are hot in all frames (K, H, W); none in fewer than four."""
    if len(frames) < MIN_FRAMES:
        return np.zeros(frames.shape[1:], bool)
    if observed is None:
        middle, seen, n = np.median(frames, axis=0), None, len(frames)
    else:
        middle = _median_of(np.where(observed, frames, -np.inf), axis=0)
        seen = np.isfinite(middle)[None]
        n = int(observed.sum(axis=0).min(initial=len(frames), where=seen[0]))
    # The variance of a median of n normal values is at most pi / 2 n of theirs.
    share = math.sqrt(math.pi / (2 * n))
    padded = _padded(middle[None], seen)
    is_hot = np.zeros((1, *middle.shape), bool)
    for where, _ in _clusters(padded, noise, share * _SIGMAS, share * _ALLOWANCE):
        is_hot[where] = True
    return np.asarray(is_hot[0])


def _padded(values: FloatArray, observed: Mask | None) -> FloatArray:
    """Planes with a margin; what is outside or missing is -inf, which is never bright."""
    height, width = values.shape[1:]
    padded = np.full((len(values), height + 2 * _REACH, width + 2 * _REACH), -np.inf)
    inner = padded[:, _REACH : _REACH + height, _REACH : _REACH + width]
    np.copyto(inner, values, where=True if observed is None else observed)
    return padded


_Places: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]


def _clusters(
    padded: FloatArray,
    noise: NoiseModel,
    sigmas: float,
    allowance: float,
    least_rise: float = 0.0,
) -> Iterator[tuple[_Places, FloatArray]]:
    """Pixels of hot clusters, looked for from the brightest of each, and what is put there."""
    places = _summits(padded, _is_prominent(padded, noise, sigmas, allowance))
    for start in range(0, len(places[0]), _CHUNK):
        n, rows, columns = (each[start : start + _CHUNK] for each in places)
        patches = _patches(padded, (n, rows, columns))
        level = _median_of(patches[:, _SURROUNDINGS])
        sigma = np.sqrt(noise.variance(patches[:, _CENTRE]))
        far = patches[:, _CENTRE] - level > np.maximum(sigmas * sigma, least_rise)
        n, rows, columns = n[far], rows[far], columns[far]
        patches, level, sigma = patches[far], level[far], sigma[far]
        rises = patches - level[:, None]
        rise = rises[:, _CENTRE]
        quiet = allowance * np.minimum(np.sqrt(noise.variance(level)), sigma)
        bright = rises > (rise / _PROMINENCE + quiet)[:, None]
        fits = ~(bright @ _RINGS.T)  # (k, boxes): nothing around the box is bright
        box = fits.argmax(axis=1)
        cluster = bright & _BOXES[box]
        around = np.where(_AROUND_BOXES[box] & ~cluster, patches, -np.inf)
        edge = _edge(cluster)
        is_hot = fits.any(axis=1) & _lies_low(rises, cluster, edge, quiet)
        is_hot &= rise > _SIGMAS * _spread(around, level)
        # What rises so far above all of its neighbours needs no more evidence.
        is_hot |= rise > _PROMINENCE * rises[:, _NEIGHBOURS].max(axis=1)
        is_hot &= _is_seen(patches, box, edge, rows, columns, padded.shape)
        patch, pixel = np.nonzero(cluster & is_hot[:, None])
        calm = _median_of(around, least=1)
        calm = np.where(np.isfinite(calm), calm, level)[patch]
        yield (n[patch], rows[patch] + _DY[pixel], columns[patch] + _DX[pixel]), calm


def _summits(padded: FloatArray, among: Mask) -> _Places:
    """Places of the pixels that are as bright as the brightest of their neighbours."""
    n, rows, columns = np.nonzero(among)
    values = padded[n, rows + _REACH, columns + _REACH]
    for y, x in zip(_DY[_NEIGHBOURS], _DX[_NEIGHBOURS], strict=True):
        left = values >= padded[n, rows + _REACH + y, columns + _REACH + x]
        n, rows, columns, values = n[left], rows[left], columns[left], values[left]
    return n, rows, columns


def _is_prominent(
    padded: FloatArray, noise: NoiseModel, sigmas: float, allowance: float
) -> Mask:
    """(N, H, W): what each pixel of a hot cluster is, and few others: a quick first look.

    Of the four pairs of neighbours that face each other, at most one lies within a cluster:
    the second highest of the pairs' minima belongs to the pixels around it. The rise above
    these follows from the conditions of `_clusters`, for the darkest pixel's noise.
    """
    height, width = (n - 2 * _REACH for n in padded.shape[1:])
    values = padded[:, _REACH:-_REACH, _REACH:-_REACH]
    darkest = values.min(initial=np.inf)
    if np.isinf(darkest):
        darkest = values.min(initial=np.inf, where=np.isfinite(values))

    def moved(y: int, x: int) -> FloatArray:
        return padded[:, _REACH + y :, _REACH + x :][:, :height, :width]

    a, b, c, d = (
        np.minimum(moved(y, x), moved(-y, -x)) for y, x in ((0, 1), (1, 0), (1, 1), (1, -1))
    )
    second = np.minimum(np.maximum(a, b), np.maximum(c, d))
    np.maximum(second, np.minimum(a, b, out=a), out=second)
    np.maximum(second, np.minimum(c, d, out=c), out=second)
    least = (sigmas * (1 - 1 / _PROMINENCE) - allowance) * float(noise.variance(darkest)) ** 0.5
    second += least
    return np.asarray(values > second)


def _edge(cluster: Mask) -> Mask:
    """The direct neighbours of clusters, (k, 49)."""
    grid = np.pad(cluster.reshape(-1, _SIDE, _SIDE), ((0, 0), (1, 1), (1, 1)))
    edge = grid[:, :-2, 1:-1] | grid[:, 2:, 1:-1] | grid[:, 1:-1, :-2] | grid[:, 1:-1, 2:]
    return np.asarray(edge.reshape(cluster.shape) & ~cluster)


def _lies_low(rises: FloatArray, cluster: Mask, edge: Mask, noise: FloatArray) -> Mask:
    """Whether the direct neighbours are, on average, no brighter than the surroundings."""
    seen = edge & np.isfinite(rises)
    n = np.maximum(seen.sum(axis=1), 1)
    mean = rises.sum(axis=1, where=seen) / n
    rise = rises.sum(axis=1, where=cluster) / np.maximum(cluster.sum(axis=1), 1)
    by_noise = noise * np.sqrt(1 / n + 1 / _N_AROUND)  # the level has noise of its own
    return np.asarray(mean < np.maximum(_EDGE_SHARE * rise, by_noise))


def _is_seen(
    patches: FloatArray,
    box: NDArray[np.intp],
    edge: Mask,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    shape: tuple[int, ...],
) -> Mask:
    """Whether enough of what is next to clusters, (k, 49), was observed.

    On a spot, the bright ones might be those that are missing. What is outside hides nothing
    as long as about half is inside: in a corner, an L has three of its seven neighbours.
    """
    y, x = rows[:, None] + _DY, columns[:, None] + _DX
    height, width = (n - 2 * _REACH for n in shape[1:])
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    near = _BOXES[box] | _RINGS[box]
    n_missing = (near & inside & np.isneginf(patches)).sum(axis=1)
    half = 2 * (edge & inside).sum(axis=1) >= edge.sum(axis=1) - 1
    return np.asarray(half & (n_missing <= np.where(box == 0, _MAX_MISSING, 0)))


def _spread(around: FloatArray, level: FloatArray) -> FloatArray:
    """How far surroundings, (k, 49), depart from their level, whatever few of them do."""
    ordered = np.sort(around, axis=1)
    missing = np.isneginf(ordered).sum(axis=1, keepdims=True)
    n = ordered.shape[1] - missing
    low, high = (
        np.take_along_axis(ordered, missing + np.minimum((share * n).astype(int), n - 1), 1)
        for share in (_OUTLIERS, 1 - _OUTLIERS)
    )
    return np.asarray(np.maximum(level - low[:, 0], high[:, 0] - level))


def _known(padded: FloatArray, known: Mask) -> Iterator[tuple[_Places, FloatArray]]:
    """Places of known hot pixels, which are no surroundings any more, and what is put there."""
    inner = padded[:, _REACH:-_REACH, _REACH:-_REACH]
    places = np.nonzero(known & np.isfinite(inner))
    inner[known] = -np.inf
    for start in range(0, len(places[0]), _CHUNK):
        rows, ys, xs = (each[start : start + _CHUNK] for each in places)
        level = _median_of(_patches(padded, (rows, ys, xs)), least=1)
        finite = np.isfinite(level)
        yield (rows[finite], ys[finite], xs[finite]), level[finite]


def _patches(padded: FloatArray, places: tuple[NDArray[np.intp], ...]) -> FloatArray:
    """(k, 49): the pixels around each place."""
    n, rows, columns = (each[:, None] for each in places)
    return np.asarray(padded[n, rows + _DY + _REACH, columns + _DX + _REACH])


def _median_of(values: FloatArray, axis: int = -1, least: int = _MIN_AROUND) -> FloatArray:
    """The median of what is finite along an axis; inf where that is too little."""
    ordered = np.sort(values, axis=axis)
    missing = np.isneginf(ordered).sum(axis=axis, keepdims=True)
    n = values.shape[axis] - missing
    low = np.take_along_axis(ordered, np.minimum(missing + (n - 1) // 2, n + missing - 1), axis)
    high = np.take_along_axis(ordered, np.minimum(missing + n // 2, n + missing - 1), axis)
    with np.errstate(invalid="ignore"):
        median = np.where(n >= least, low + (high - low) / 2, np.inf)
    return np.asarray(median.squeeze(axis))


# -- places in a patch ---------------------------------------------------------------

_DY, _DX = (np.indices((_SIDE, _SIDE)) - _REACH).reshape(2, -1)
_DISTANCE = np.maximum(abs(_DY), abs(_DX))
_CENTRE: Final = _SIDE * _REACH + _REACH
_NEIGHBOURS = _DISTANCE == 1
_SURROUNDINGS = (_DISTANCE > 0) & (_DISTANCE <= _AROUND)


def _box(shape: tuple[int, int], offset: tuple[int, int], margin: int) -> Mask:
    """A box that holds the centre at some offset from its corner, with a margin."""
    inside = np.ones(_SIDE**2, bool)
    for d, length, start in zip((_DY, _DX), shape, offset, strict=True):
        inside &= (d >= -start - margin) & (d < length - start + margin)
    return inside


_PLACED = [(s, o) for s in _SHAPES for o in product(range(s[0]), range(s[1]))]
_BOXES = np.array([_box(*each, 0) for each in _PLACED])  # smallest first
_RINGS = np.array([_box(*each, 1) & ~_box(*each, 0) for each in _PLACED])
_AROUND_BOXES = np.array([_box(*each, _AROUND) for each in _PLACED])
