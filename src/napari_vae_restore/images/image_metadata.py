"""What an image file says beside its pixels: axes, pixel size, units, names.

Units are named as pint, and so napari, names them. This module reads and writes
nothing; the file formats are in `tiff` and `image_files`.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, InputError

logger = logging.getLogger(__name__)

Format = Literal["ome-tiff", "imagej", "tiff", "png", "jpeg", "bmp"]

Sizes = dict[str, tuple[float, str]]  # by axis: size of a step and its unit

PIXEL = "pixel"
UNKNOWN = (1.0, PIXEL)  # size and unit of an axis of which nothing is known

_TRUSTED = 2**28  # bytes that are allocated on the word of a header alone
_MOST_COMPRESSED = 2**14  # bytes of pixels for each of a file; a claim of more was made up


class Unit(NamedTuple):
    """How file formats spell a unit, and what it is worth."""

    imagej: str
    ome: str
    si: float  # in metres, or in seconds


LENGTHS = {
    "angstrom": Unit("angstrom", "Å", 1e-10),
    "picometer": Unit("pm", "pm", 1e-12),
    "nanometer": Unit("nm", "nm", 1e-9),
    "micrometer": Unit("micron", "µm", 1e-6),
    "millimeter": Unit("mm", "mm", 1e-3),
    "centimeter": Unit("cm", "cm", 1e-2),
    "meter": Unit("m", "m", 1.0),
    "kilometer": Unit("km", "km", 1e3),
    "inch": Unit("inch", "in", 2.54e-2),
}
TIMES = {
    "nanosecond": Unit("nsec", "ns", 1e-9),
    "microsecond": Unit("usec", "µs", 1e-6),
    "millisecond": Unit("msec", "ms", 1e-3),
    "second": Unit("sec", "s", 1.0),
    "minute": Unit("min", "min", 60.0),
    "hour": Unit("hour", "h", 3600.0),
    "day": Unit("day", "d", 86400.0),
}
UNITS = LENGTHS | TIMES | {PIXEL: Unit(PIXEL, PIXEL, 1.0)}
_ALIASES = {
    "px": PIXEL,
    "": PIXEL,
    "um": "micrometer",
    "microns": "micrometer",
    "inches": "inch",
    "hr": "hour",
    "us": "microsecond",
    **{
        spelling: name
        for name, unit in UNITS.items()
        for word in (name, name.replace("meter", "metre"))
        for spelling in (word, word + "s", unit.imagej, unit.ome)
    },
}


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """The pixels of an image file and what it says about them."""

    data: NDArray[Any]  # the pixels as stored, in the order of `axes`
    axes: str  # one capital letter per dimension
    scale: tuple[float, ...]  # of a step along each axis; 1.0 where unknown, or along C and S
    units: tuple[str, ...]  # "micrometer", "second", ...; "pixel" where unknown
    format: Format  # "ome-tiff", "imagej", "tiff", "png", "jpeg" or "bmp"
    channel_names: tuple[str, ...] = ()  # one per channel along C, or none
    description: str = ""  # free text of the file, for example a recipe in JSON; empty if none

    @property
    def sizes(self) -> Sizes:
        """Scale and unit by axis."""
        return dict(zip(self.axes, zip(self.scale, self.units, strict=True), strict=True))


def check_claim(path: Path, n_bytes: int) -> None:
    """Raise ImageFileError if a file is too small for the bytes of pixels that it claims.

    No compression of real images makes them so small.
    """
    if n_bytes <= _TRUSTED:
        return
    stored = 0
    for file in path.rglob("*") if path.is_dir() else [path]:
        stored += file.stat().st_size if file.is_file() else 0
        if n_bytes <= stored * _MOST_COMPRESSED:
            return
    gigabytes = min(n_bytes, 10**30) / 2**30  # not all numbers of JSON are a float's
    raise ImageFileError(
        f"Cannot read {path}: it claims {gigabytes:.3g} GB of pixels, and has {stored} "
        "bytes: it is damaged or was made up; copy or export it again."
    )


def refined(image: ImageFile, factor: int) -> ImageFile:
    """The same, for an image with `factor` pixels for each along Y and X."""
    scale = tuple(
        found[0] / factor if axis in "YX" and found != UNKNOWN else found[0]
        for axis, found in image.sizes.items()
    )
    return replace(image, scale=scale)


def canonical_unit(text: object) -> str:
    """Return the pint name of a unit, however a file or layer spells it.

    Examples
    --------
    >>> canonical_unit("um"), canonical_unit("metres"), canonical_unit("pixel")
    ('micrometer', 'meter', 'pixel')
    """
    # Two code points look like the micro sign; ImageJ escapes one of them.
    spelled = str(text).strip().replace("\\u00B5", "µ").replace("\u03bc", "µ")
    name = _ALIASES.get(spelled) or _ALIASES.get(spelled.lower())
    if name is None:
        logger.warning("The unit %r is not known; the axis is taken to be in pixels.", spelled)
        return PIXEL
    return name


def calibration(
    axes: str, scale: Sequence[float], units: Sequence[object]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Pixel sizes and units in the form that files hold; InputError for impossible ones."""
    if len(scale) != len(axes) or len(units) != len(axes):
        raise InputError(
            f"Expected one pixel size and one unit for each of the axes {axes}, but "
            f"{len(scale)} and {len(units)} came: give scale= and units= of that length."
        )
    sizes, names = [], []
    for axis, size, unit in zip(axes, map(float, scale), units, strict=True):
        if not (math.isfinite(size) and size > 0):
            raise InputError(
                f"Expected pixel sizes above zero, but {size} came for {axis}: correct scale=."
            )
        name = canonical_unit(unit)
        if axis in "CS":
            size, name = 1.0, PIXEL
        elif name in (TIMES if axis in "YXZ" else LENGTHS if axis == "T" else ()):
            logger.warning("The unit %s does not suit the axis %s; it is left out.", name, axis)
            name = PIXEL
        if axis == "T" and name == PIXEL and size != 1:
            name = "second"
        sizes.append(size)
        names.append(name)
    return tuple(sizes), tuple(names)
