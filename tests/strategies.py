"""Arbitrary images, and what holds whatever a function makes of them.

An answer is a result of the image's shape, dtype and range, or an error of ours that says
what is wrong; the image itself is never changed. Shared by the tests in ``tests/arbitrary``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.images.arrays import guess_axes
from napari_vae_restore.images.layout import Layout

TINY = vr.HVAEConfig(levels=2, width=8, latent=4)

AXES = ("YX", "XY", "ZYX", "CYX", "YXC", "YXS", "SYX", "YZX", "TZYX", "CZYX", "TCZYX", "ZYXS")
DTYPES = (*"?bBhHiIlLqQefdg",)
PICTURES = ("u1", "u2", "f4")
"""What images mostly are."""

_NUMBERS = ("ordinary", "negative", "huge", "dark", "two values", "hot", "constant")
_FLOATS = ("tiny", "some NaN", "some infinite", "all NaN")
_MEMORY = (
    "plain",
    "Fortran",
    "reversed",
    "every other",
    "offset",
    "broadcast",
    "read-only",
    "mapped",
)


def is_nightly() -> bool:
    """Whether ``pytest --hypothesis-profile=nightly`` was asked for."""
    return settings.get_current_profile_name() == "nightly"


def cases(everyday: int = 50, nightly: int = 500) -> settings:
    """How many cases a test runs; slow ones run fewer each day."""
    # Not made simpler: the picture says all there is to know of it.
    phases = (Phase.explicit, Phase.generate)
    return settings(max_examples=nightly if is_nightly() else everyday, phases=phases)


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """An image, and how it was made.

    `axes` is None where they are to be guessed.
    """

    array: NDArray[Any]
    axes: str | None
    values: str
    memory: str
    seed: int

    def __repr__(self) -> str:
        a = self.array
        how = f"{self.values}, {self.memory}, seed {self.seed}"
        return f"Picture({a.dtype.str} {a.shape} {self.axes}: {how})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def letters(self) -> str:
        """The axes, guessed or not."""
        return self.axes or guess_axes(self.array.shape, self.array.dtype)

    def is_ordinary(self, least: int) -> bool:
        """Whether everybody would expect a result."""
        sizes = dict(zip(self.letters, self.array.shape, strict=True))
        return (
            self.values in ("ordinary", "negative", "hot")
            and self.memory != "broadcast"
            and self.array.dtype.kind in "iuf"
            and self.array.dtype.itemsize <= 8
            and min(sizes["Y"], sizes["X"]) >= least
            and sizes.get("S", 1) <= 4
        )

    def mask(self) -> NDArray[np.bool_]:
        """Some holes, and whatever is not finite."""
        holes = np.random.default_rng(self.seed).random(self.array.shape) < 0.1
        return holes if self.array.dtype.kind != "f" else holes | ~np.isfinite(self.array)


_SIDES = st.one_of(
    st.sampled_from((8, 9, 13, 16, 17, 31, 32, 33, 47)),
    st.integers(32, 64),
    st.integers(1, 40),
    st.integers(0, 300),
)


@st.composite
def pictures(
    draw: st.DrawFn, axes: Iterable[str] = AXES, dtypes: Iterable[str] = ()
) -> Picture:
    """Any image: axes, dtype, byte order, sides 0 to 300, values, order in memory."""
    letters = draw(st.sampled_from((*axes,)))
    code = draw(st.sampled_from((*dtypes,) or (*PICTURES, *DTYPES)))
    dtype = np.dtype(code).newbyteorder(draw(st.sampled_from("=<>")))
    sides = {a: draw(_SIDES) for a in "YX"}
    sides |= {a: draw(st.sampled_from((1, 2, 3))) for a in letters if a in "TZC"}
    if sides["Y"] * sides["X"] > 2000:  # many planes are for small ones
        sides |= {a: 1 for a in letters if a in "TC"}
    sides["S"] = draw(st.sampled_from((1, 2, 3, 3, 4, 5)))
    if sides["Y"] * sides["X"] > 6000:  # long sides are for narrow images
        sides["X"] = min(sides["X"], 40)
    shape = tuple(sides[a] for a in letters)
    values = draw(st.sampled_from((*_NUMBERS, *_FLOATS) if dtype.kind == "f" else _NUMBERS))
    values = draw(st.sampled_from(("ordinary", values)))
    memory = draw(st.sampled_from(_MEMORY))
    seed = draw(st.integers(0, 99))
    array = _stored(_values(shape, dtype, values, seed), memory)
    known = draw(st.sampled_from((True, True, True, False)))
    return Picture(array, letters if known else None, values, memory, seed)


def _values(shape: tuple[int, ...], dtype: np.dtype[Any], kind: str, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    waves = sum(np.sin(np.arange(n) / 5 + seed).reshape(-1, *[1] * k) for k, n in _dims(shape))
    parts = 0.5 + 0.1 * waves + 0.05 * rng.standard_normal(shape)
    if dtype.kind == "b":
        return parts > 0.5
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    low, high = {
        "negative": (max(float(limits.min), -1e4), 0.0 if limits.min < 0 else 100.0),
        "huge": (float(limits.min), float(limits.max)),
        "tiny": (0.0, float(np.finfo(dtype).tiny) if dtype.kind == "f" else 1.0),
    }.get(kind, (0.0, min(float(limits.max), 1e4)))
    with np.errstate(all="ignore"):
        array = np.clip(parts, 0, 1)
        array = np.clip(low * (1 - array) + high * array, limits.min, limits.max)
        array = np.asarray(array).astype(dtype)
    flat = array.reshape(-1)
    some = rng.random(flat.size) < 0.05
    if kind == "dark":
        flat[:] = 0
        flat[rng.integers(0, max(flat.size, 1)) : flat.size : 7919] = 1
    elif kind == "two values":
        flat[:] = rng.random(flat.size) < 0.5
    elif kind == "hot" and flat.size:
        flat[rng.integers(flat.size)] = min(float(limits.max), 1e8)
    elif kind == "constant":
        flat[:] = 7
    elif kind in ("some NaN", "all NaN"):
        flat[some if kind == "some NaN" else slice(None)] = np.nan
    elif kind == "some infinite":
        flat[some] = np.where(rng.random(some.sum()) < 0.5, np.inf, -np.inf)
    return array


def _dims(shape: tuple[int, ...]) -> Iterable[tuple[int, int]]:
    return [(len(shape) - 1 - k, n) for k, n in enumerate(shape)]


def _stored(array: NDArray[Any], memory: str) -> NDArray[Any]:
    """The same values in another place of the memory, or on the disk."""
    if memory == "Fortran":
        return np.asfortranarray(array)
    if memory == "reversed":
        flip = (slice(None, None, -1),) * array.ndim
        return array[flip].copy()[flip]
    if memory == "every other":
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if memory == "offset":  # no multiple of the item's size
        raw = np.empty(array.nbytes + 1, np.uint8)
        held = raw[1:].view(array.dtype).reshape(array.shape)
        held[...] = array
        return held
    if memory == "broadcast" and array.ndim:
        return np.broadcast_to(array[:1], array.shape)
    if memory == "read-only":
        array.flags.writeable = False
    if memory == "mapped" and array.size:
        with tempfile.TemporaryFile() as file:
            file.write(array.tobytes())
            file.flush()
            return np.memmap(file, array.dtype, "r", shape=array.shape)
    return array


def answer(function: Callable[[Picture], Any], picture: Picture, least: int = 32) -> Any:
    """What a function makes of a picture; None where it says what is wrong.

    Any other error, and any warning, is a failure; so are words about an ordinary image whose
    sides are `least` pixels at least.
    """
    before = picture.array.tobytes()
    try:
        result = function(picture)
    except vr.VAERestoreError as error:
        assert_says(said := str(error))
        result = None
    assert picture.array.tobytes() == before, "the image was changed"
    assert result is not None or not picture.is_ordinary(least), f"refused: {said}"
    return result


def assert_says(message: str) -> None:
    """One line that a person can act on: no dump, no names of Python's errors."""
    assert message.strip()
    assert "\n" not in message
    assert "Traceback" not in message
    assert len(message) < 1000


def assert_alike(
    result: Any,
    picture: Picture,
    *,
    factor: int = 1,
    lead: int = 0,
    margin: float = 3,
    alpha: bool = True,
) -> None:
    """The image's dtype, shape (Y and X `factor` times as long) and, about, its range.

    `margin` is how far beyond the range it may go, in parts of it; `lead` counts axes in
    front of the image's own; `alpha` is False where only colours come back.
    """
    image, letters = picture.array, picture.letters
    colours = Layout.of(image, letters).without_alpha(image)  # opacity may be anything
    expected = image if alpha else colours
    grown = [factor if axis in "YX" else 1 for axis in letters]
    assert result.shape[lead:] == tuple(np.multiply(expected.shape, grown))
    assert result.dtype == image.dtype
    if "S" in letters:
        axis = letters.index("S")
        result = result.take(range(colours.shape[axis]), lead + axis)
    unmeasured = np.isnan(colours)  # what nothing measured is returned as it is
    for axis in (letters.index(axis) for axis in "YX"):
        unmeasured = unmeasured.repeat(factor, axis)
    assert (np.isfinite(result) | (np.isnan(result) & unmeasured)).all()
    result = result[np.isfinite(result)]
    seen = colours[np.isfinite(colours)].astype(np.longdouble)
    span = max(seen.max() - seen.min(), 1)
    found = result.astype(np.longdouble)
    assert found.min() >= seen.min() - margin * span
    assert found.max() <= seen.max() + margin * span
