"""One verdict on a restored image: keep it, look here, or do not measure on it.

It rests on the evidence of the residual, and on what the image says of a noise that was
stated. It is silent where nothing is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.numbers import Mask
from napari_vae_restore.restoration.trust.evidence import Evidence, Region

Grade: TypeAlias = Literal["keep", "look", "do not measure"]

_LEAST_FLAT: Final = 8  # blocks,
_FLAT_SHARE: Final = 0.1  # and of all
_QUIET: Final = 0.75  # deviation over the model's of all flat blocks, to speak of it
_FEW: Final = 0.002  # marked blocks of all: to look at
_MANY: Final = 0.2  # not to measure on
_STATED: Final = 1.5  # deviation of the image's noise over the assumed one's, either way
_ALIKE: Final = 0.3
# Of the sample that noise is measured on again: pixels, planes, and pixels of those.
_SIDE, _PLANES, _LEVELS = 384, 4, 10_000
_LEAST_PIXELS: Final = 4096  # fewer do not contradict anybody
# Deviation over the range: of weaker noise, texture is easily taken for more.
_STRONG: Final = 4 / 255
_ADVICE: Final = "Let the noise be measured, or state another."


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a restored image."""

    grade: Grade  # whether nothing speaks against it, or something in places, or all over
    text: str = ""  # what was found and what to do, in sentences; empty where nothing is wrong
    regions: tuple[Region, ...] = ()  # where to look, the worst first, at most 100


KEEP: Final = Verdict("keep")


@dataclass(frozen=True, slots=True)
class NoiseCheck:
    """The noise of an image as its pixels tell it, beside that which was assumed."""

    # Deviation over that of the assumed noise, at the image's own levels, of the channel where
    # they differ most.
    level: float = 1.0
    # Lag-1 correlation of neighbours, less the assumed one, along the axis and of the channel
    # where that is most.
    alike: float = 0.0
    # Deviation over that of the assumed noise, of the channel where that is most, and at least
    # 1. It is of weak noise too, where texture may be taken for noise: it spares what is no
    # defect, and contradicts nobody.
    excess: float = 1.0


def check_noise(
    planes: NDArray[Any], missing: Mask | None, noise: Sequence[NoiseModel]
) -> NoiseCheck | None:
    """Measure the noise of planes (N, C, H, W) beside that which was assumed of each channel.

    Of large images the centres are looked at. None where no channel's noise can be seen.
    """
    n, _, height, width = planes.shape
    rows, columns = (
        slice((side - min(side, _SIDE)) // 2, (side + min(side, _SIDE)) // 2)
        for side in (height, width)
    )
    some = slice(None, None, max(1, n // _PLANES)), slice(None), rows, columns
    levels, alike, excess = [], [], []
    for c, model in enumerate(noise):
        values = planes[some][:, c]
        observed = None if missing is None else ~missing[some][:, c]
        try:
            seen = estimate_noise(values, observed=observed)
        except InputError:
            continue
        at = values.ravel() if observed is None else values[observed]
        is_small = at.size < _LEAST_PIXELS
        at = at[:: max(1, at.size // _LEVELS)].astype(np.float64)
        at = at[np.isfinite(at)]
        if not at.size:
            continue
        assumed = math.sqrt(model.variance(at).mean())
        level = math.sqrt(seen.variance(at).mean()) / assumed
        excess.append(level)
        low, high = np.percentile(at, (0.5, 99.5))
        if is_small or assumed < _STRONG * (high - low):
            continue
        pairs = zip(lag_one(seen.correlation), lag_one(model.correlation), strict=True)
        levels.append(level)
        alike.append(max(found - told for found, told in pairs))
    if not excess:
        return None
    if not levels:
        return NoiseCheck(excess=max(1.0, *excess))
    level = max(levels, key=lambda level: abs(math.log(level)))
    return NoiseCheck(level, max(alike), max(1.0, *excess))


def judged(found: Evidence, noise: NoiseCheck | None = None) -> Verdict:
    """Say what to do."""
    level = math.sqrt(found.flat / found.n_flat) if found.n_flat else 1.0
    known = found.n_flat >= max(_LEAST_FLAT, _FLAT_SHARE * found.n_blocks)
    is_quiet = known and level < _QUIET and found.n_quiet > found.n_flat / 2
    is_loud = known and found.n_loud > found.n_flat / 2
    if found.n_marked > _MANY * found.n_blocks:
        share = found.n_marked / found.n_blocks
        text = f"More than noise was removed in {share:.0%} of the image. Do not measure on it."
        return Verdict("do not measure", f"{text} {_ADVICE}", found.regions)
    if is_quiet:
        text = f"Where the result is flat, only {level:.2f} × the assumed noise was removed"
        return Verdict("look", f"{text}: fine structure may be gone. {_ADVICE}")
    if is_loud:
        text = f"Where the result is flat, {level:.2f} × the assumed noise was removed"
        return Verdict("look", f"{text}: the noise model does not fit. {_ADVICE}")
    if found.n_marked > _FEW * found.n_blocks:
        n = len(found.regions)
        where = "one place" if n == 1 else f"{n} places"
        return Verdict(
            "look", f"More than noise was removed in {where}. Look there.", found.regions
        )
    return KEEP if noise is None else _of_noise(noise)


def _of_noise(noise: NoiseCheck) -> Verdict:
    if noise.level > _STATED:
        text = f"The image holds {noise.level:.1f} × the noise that was assumed: some remains"
    elif noise.level < 1 / _STATED:
        text = (
            f"The image holds only {noise.level:.2f} × the noise that was assumed: fine "
            "structure may be gone"
        )
    elif noise.alike > _ALIKE:
        text = (
            f"Neighbours of the image's noise are alike (by {noise.alike:.1f} more than was "
            "assumed): some noise remains"
        )
    else:
        return KEEP
    return Verdict("look", f"{text}. {_ADVICE}")
