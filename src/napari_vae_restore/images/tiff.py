"""TIFF in the three dialects of microscopy: OME-TIFF, ImageJ and plain.

Each dialect has one function that reads its metadata and one that writes it, over
the same `ImageFile`. All store planes in the order that other programs expect
(stack axes, then Y, X and S; ImageJ's are T, Z, C) and name the image's own axes in
one private key, so that axes, singletons included, come back as they were. The
standard fields always decide on sizes and units: of a file that another program
has changed, what that program says holds.

This module knows nothing of atomic writing or of which paths are allowed.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError
from napari_vae_restore.images.image_metadata import (
    LENGTHS,
    PIXEL,
    UNITS,
    UNKNOWN,
    Format,
    ImageFile,
    Sizes,
    calibration,
    check_claim,
)

logger = logging.getLogger(__name__)

_AXES_KEY = "vae_restore_axes"
_NAMES_FOR_UNNAMED = {1: "Z", 2: "TZ", 3: "TCZ"}  # as in arrays.guess_axes
_UNNAMED = "QI"
_FREE_LETTERS = "ZTPRABDEFGHJKLMNOUVW"

_OME_DTYPES = {"i1", "i2", "i4", "u1", "u2", "u4", "f4", "f8"}
_IMAGEJ_DTYPES = {"u1", "u2", "f4"}
# ImageJ counts bytes with 32 bits; the rest is for its metadata.
_IMAGEJ_MAX_BYTES = 2**32 - 2**25
_MAPPED = 2**28  # bytes of pixels above which they may stay on disk


class _Metadata(NamedTuple):
    """What a dialect says beside the pixels."""

    sizes: Sizes  # by axis: size and unit
    axes: str = ""  # the image's own, if the file was written by this module
    channel_names: tuple[str, ...] = ()
    description: str = ""


def read_tiff(path: Path, *, mapped: bool = False) -> ImageFile:
    """Read the first image of a TIFF file, in native byte order; errors of any type."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        if len(tif.series) > 1:
            logger.warning("%s holds %d images; the first is read.", path, len(tif.series))
        check_claim(path, series.nbytes)
        _check_complete(tif, series, path)
        stays = mapped and series.nbytes > _MAPPED
        data = _mapped(path, series) if stays else np.asarray(series.asarray())
        if data.shape != series.shape:  # as of float128, of which tifffile reads nothing
            raise ImageFileError(
                f"Cannot read {path}: it says that it holds {series.shape} pixels of type "
                f"{series.dtype}, but {data.shape} were found; export it again."
            )
        kind, found = _metadata(tif, series.kind)
        shaped = tif.shaped_metadata or ({},)
        explicit = series.kind == "shaped" and "axes" in shaped[0]
        axes = series.axes if explicit else _named_axes(series.axes)
    data, axes = _restore_axes(data, axes, found.axes)
    if not stays:
        data = data.astype(data.dtype.newbyteorder("="), copy=False)
    sizes = (found.sizes.get(axis, UNKNOWN) for axis in axes)
    scale, units = calibration(axes, *zip(*sizes, strict=True))
    n_channels = data.shape[axes.index("C")] if "C" in axes else 0
    names = found.channel_names if len(found.channel_names) == n_channels else ()
    return ImageFile(data, axes, scale, units, kind, names, found.description)


def write_tiff(path: Path, image: ImageFile) -> None:
    """Write an image as the dialect that its `format` names."""
    import tifffile

    stored = _stored_axes(image.axes, image.format)
    data = image.data.transpose([image.axes.index(axis) for axis in stored])
    if stored[-1] == "S" and data.shape[-1] == 1:
        stored, data = stored[:-1], data[..., 0]
    sizes = image.sizes
    if image.format == "ome-tiff":
        options: dict[str, Any] = {"metadata": _ome_metadata(image, sizes)}
    elif image.format == "imagej":
        options = _imagej_options(image, sizes)
    else:
        options = _plain_options(image, sizes)
    options["metadata"] |= {"axes": stored}
    samples = data.shape[-1] if stored[-1] == "S" else 1
    if samples > 1:
        options["planarconfig"] = "contig"
    if samples in (2, 4):
        options["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(
        path,
        data,
        photometric="rgb" if samples > 2 else "minisblack",
        ome=image.format == "ome-tiff",
        imagej=image.format == "imagej",
        **options,
    )


def dialect(data: NDArray[Any], axes: str, scale: Sequence[float], *, ome: bool) -> Format:
    """The kind of TIFF that can hold an image of this shape and dtype."""
    code = data.dtype.str[1:]
    samples = data.shape[axes.index("S")] if "S" in axes else 1
    standard = set(axes) <= set("TZCYXS")
    if ome and standard and code in _OME_DTYPES and not {"C", "S"} <= set(axes):
        return "ome-tiff"
    colour_fits = samples == 1 or (samples == 3 and code == "u1")
    sizes_fit = all(map(_fits_rational, (scale[axes.index("Y")], scale[axes.index("X")])))
    # tifffile takes an ImageJ hyperstack of one pixel across for one without X.
    wide = data.shape[axes.index("X")] > 1
    fits = colour_fits and sizes_fit and wide and data.nbytes < _IMAGEJ_MAX_BYTES
    return "imagej" if standard and fits and code in _IMAGEJ_DTYPES else "tiff"


def _fits_rational(number: float) -> bool:
    """Whether a resolution tag, a ratio of 32-bit integers, holds a number to 1e-6."""
    return 1e-6 <= number <= 1e6


def _mapped(path: Path, series: Any) -> NDArray[Any]:
    import tifffile

    if series.dataoffset is None:
        raise ImageFileError(
            f"Cannot read {path}: it holds {series.nbytes / 2**30:.1f} GB in a form that "
            "cannot be read in parts; convert it to OME-Zarr, or save it without compression."
        )
    return np.asarray(tifffile.memmap(path, series=0, mode="r"))


def _check_complete(tif: Any, series: Any, path: Path) -> None:
    """Raise if the file ends early; tifffile would return fewer planes, or zeros."""
    if any(page is None for page in series.pages):
        raise ImageFileError(
            f"Cannot read {path}: planes of it are in other files, which are missing; put them "
            "beside it."
        )
    cut_off = any(
        offset + count > page.parent.filehandle.size
        for page in series.pages
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    )
    # A last page that points at a next one has lost its followers.
    form, handle = tif.tiff, tif.filehandle
    order: Literal["little", "big"] = "little" if tif.byteorder == "<" else "big"
    start = tif.pages[len(tif.pages) - 1].offset
    handle.seek(start)
    n_tags = int.from_bytes(handle.read(form.tagnosize), order)
    handle.seek(start + form.tagnosize + n_tags * form.tagsize)
    if cut_off or int.from_bytes(handle.read(form.offsetsize), order) != 0:
        raise ImageFileError(
            f"Cannot read {path}: the file ends before its data do; copy or export it again."
        )


def _metadata(tif: Any, kind: str) -> tuple[Format, _Metadata]:
    if kind == "ome":
        return "ome-tiff", _read_ome(tif.ome_metadata)
    if kind == "imagej":
        return "imagej", _read_imagej(tif)
    return "tiff", _read_plain(tif)


# Axes: stored order and the image's own.


def _stored_axes(axes: str, kind: Format) -> str:
    """Return the order in which other programs expect the axes."""
    stack = [axis for axis in axes if axis not in "YXS"]
    if kind == "imagej":
        stack.sort(key="TZC".index)
    return "".join(stack) + "YX" + "S" * ("S" in axes)


def _named_axes(axes: str) -> str:
    """Name the stack axes of which the file says nothing but the size."""
    # Of 1 x 1 x 1 x 1 pixels tifffile says "YXYX": what comes again later has no name.
    axes = "".join("Q" if axis in axes[i + 1 :] else axis for i, axis in enumerate(axes))
    n_unnamed = sum(axis in _UNNAMED for axis in axes)
    names = _NAMES_FOR_UNNAMED.get(n_unnamed, "")
    if not names or set(names) & set(axes):
        names = "".join(letter for letter in _FREE_LETTERS if letter not in axes)
    fresh = iter(names)
    return "".join(next(fresh) if axis in _UNNAMED else axis for axis in axes)


def _restore_axes(data: NDArray[Any], axes: str, own: str) -> tuple[NDArray[Any], str]:
    """Return the pixels in the image's own axes, where they still agree with the file."""
    if len(set(own)) < len(own) or not set(axes) <= set(own):
        return data, axes
    absent = "".join(axis for axis in own if axis not in axes)
    data = data[(np.newaxis,) * len(absent)]
    return data.transpose([(absent + axes).index(axis) for axis in own]), own


# OME-TIFF: https://www.openmicroscopy.org/Schemas/Documentation/Generated/OME-2016-06


def _read_ome(xml: str) -> _Metadata:
    root = ElementTree.fromstring(xml)
    image = root.find(".//{*}Image")
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        return _Metadata({})
    sizes: Sizes = {}
    for axis in "XYZ":
        if size := _positive(pixels.get(f"PhysicalSize{axis}")):
            sizes[axis] = size, pixels.get(f"PhysicalSize{axis}Unit", "µm")
    if size := _positive(pixels.get("TimeIncrement")):
        sizes["T"] = size, pixels.get("TimeIncrementUnit", "s")
    own = root.find(f".//{{*}}MapAnnotation/{{*}}Value/{{*}}M[@K='{_AXES_KEY}']")
    return _Metadata(
        sizes,
        "" if own is None else own.text or "",
        _names(channel.get("Name") for channel in pixels.iterfind("{*}Channel")),
        image.findtext("{*}Description") or "",
    )


def _ome_metadata(image: ImageFile, sizes: Sizes) -> dict[str, Any]:
    metadata: dict[str, Any] = {"MapAnnotation": {_AXES_KEY: image.axes}}
    for axis, (size, unit) in sizes.items():
        name = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
        if axis in "TZYX" and (size, unit) != UNKNOWN:
            metadata |= {name: size, f"{name}Unit": UNITS[unit].ome}
    if image.channel_names:
        metadata["Channel"] = {"Name": list(image.channel_names)}
    if image.description:
        metadata["Description"] = image.description
    return metadata


# ImageJ: ij/io/TiffDecoder.java and FileOpener.java, https://github.com/imagej/ImageJ


def _read_imagej(tif: Any) -> _Metadata:
    metadata: Mapping[str, Any] = tif.imagej_metadata
    sizes = _sizes_from_tags(tif.pages[0], any_unit="unit" in metadata)
    unit = str(metadata.get("unit", ""))
    for axis in "XY":
        # A unit in the description outweighs that of the resolution tags.
        if "unit" in metadata:
            sizes[axis] = sizes.get(axis, (1.0, unit))[0], unit
    if "yunit" in metadata:
        sizes["Y"] = sizes.get("Y", (1.0, ""))[0], str(metadata["yunit"])
    if "spacing" in metadata or "unit" in metadata or "zunit" in metadata:
        spacing = _positive(metadata.get("spacing")) or 1.0
        sizes["Z"] = spacing, str(metadata.get("zunit", unit))
    if interval := _positive(metadata.get("finterval")):
        sizes["T"] = interval, str(metadata.get("tunit", "sec"))
    labels = list(metadata.get("Labels") or [])
    names = labels[: int(metadata.get("channels", 1))]
    # ImageJ labels planes; they are names of channels if every stack repeats them.
    named = bool(names) and labels == names * (len(labels) // len(names))
    return _Metadata(
        sizes,
        str(metadata.get(_AXES_KEY, "")),
        _names(names) if named else (),
        str(metadata.get("Info", "")),
    )


def _imagej_options(image: ImageFile, sizes: Sizes) -> dict[str, Any]:
    metadata: dict[str, Any] = {_AXES_KEY: image.axes}
    unit = sizes["X"][1]
    if unit != PIXEL:
        metadata["unit"] = UNITS[unit].imagej
    for axis in "YZ":
        if axis in sizes and sizes[axis][1] != unit:
            metadata[f"{axis.lower()}unit"] = UNITS[sizes[axis][1]].imagej
    if "Z" in sizes:
        metadata["spacing"] = sizes["Z"][0]
    if "T" in sizes and sizes["T"][1] != PIXEL:
        interval, name = sizes["T"]
        metadata |= {"finterval": interval, "tunit": UNITS[name].imagej}
    if image.channel_names:
        n = dict(zip(image.axes, image.data.shape, strict=True))
        metadata["Labels"] = list(image.channel_names) * (n.get("T", 1) * n.get("Z", 1))
    if image.description:
        metadata["Info"] = image.description
    resolution = (1 / sizes["X"][0], 1 / sizes["Y"][0])
    return {"metadata": metadata, "resolution": resolution}


# Plain TIFF: JSON in the description, as tifffile writes it, beside the baseline tags.


def _read_plain(tif: Any) -> _Metadata:
    record: Mapping[str, Any] = (tif.shaped_metadata or ({},))[0]
    own = str(record.get(_AXES_KEY, ""))
    if not own:
        return _Metadata(_sizes_from_tags(tif.pages[0], any_unit=False))
    sizes = zip(record["scale"], record["units"], strict=True)
    return _Metadata(
        dict(zip(own, sizes, strict=True)),
        own,
        _names(record["channel_names"]),
        str(record["text"]),
    )


def _plain_options(image: ImageFile, sizes: Sizes) -> dict[str, Any]:
    metadata = {
        _AXES_KEY: image.axes,
        "scale": image.scale,
        "units": image.units,
        "channel_names": image.channel_names,
        "text": image.description,
    }
    options: dict[str, Any] = {"metadata": metadata}
    if sizes["X"][1] in LENGTHS and sizes["Y"][1] in LENGTHS:
        centimeters = [sizes[axis][0] * LENGTHS[sizes[axis][1]].si * 100 for axis in "XY"]
        if all(map(_fits_rational, centimeters)):  # else the JSON alone has them
            options["resolution"] = tuple(1 / size for size in centimeters)
            options["resolutionunit"] = "CENTIMETER"
    return options


def _sizes_from_tags(page: Any, *, any_unit: bool) -> Sizes:
    """Read pixel sizes from the resolution tags.

    Unless another unit is stated elsewhere, only a resolution per centimetre counts:
    one per inch is a printer's, and one without unit the shape of the pixels.
    """
    unit = page.tags.valueof("ResolutionUnit")
    if not any_unit and unit != 3:  # centimetres
        return {}
    factor, name = (1.0, PIXEL) if any_unit else (1e4, "micrometer")
    sizes = {}
    for axis in "XY":
        numerator, denominator = page.tags.valueof(f"{axis}Resolution") or (0, 0)
        if numerator and denominator:
            sizes[axis] = factor * denominator / numerator, name
    return sizes


def _positive(value: object) -> float | None:
    """Return a size that a file states, or None if it is no size at all."""
    try:
        number = abs(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None


def _names(names: Iterable[str | None]) -> tuple[str, ...]:
    listed = tuple(names)
    return tuple(name or "" for name in listed) if any(listed) else ()
