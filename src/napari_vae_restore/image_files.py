"""Image files: TIFF, PNG, JPEG and BMP in; TIFF and PNG out, metadata kept.

`read_image` gives the pixels with their axes, pixel size and units, `write_image`
stores them entirely or not at all, `check_output` guards the originals and
`list_images` finds the images of a folder. The dialects of TIFF are in `tiff`.

This module does not judge whether an image can be restored: `arrays.as_image` does.
"""

import logging
import os
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.atomic import atomic_write
from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.image_metadata import LENGTHS, PIXEL, Format, ImageFile, calibration
from napari_vae_restore.layout import checked_axes
from napari_vae_restore.tiff import dialect, read_tiff, write_tiff

__all__ = ["ImageFile", "check_output", "list_images", "read_image", "write_image"]

logger = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

_TIFF = (".tif", ".tiff")
_PICTURES: dict[str, Format] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".bmp": "bmp",
}
_READABLE = (*_TIFF, *_PICTURES)
# Pillow's modes that arrive as grey or colour; others (CMYK, YCbCr) are converted.
_PICTURE_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "F", "P", "PA", "RGB", "RGBA"}
_PNG_GREY = ("u1", "u2")
_PNG_TEXT_KEY = "Description"
# PNG says pixels per metre alike for a microscope and for a printer: below this size,
# 2540 dots per inch, no printer's are.
_LARGEST_PNG_PIXEL = 1e-5  # metres
_METRES_PER_INCH = LENGTHS["inch"].si  # Pillow speaks of inches
# Characters that XML, and so OME-TIFF, cannot hold, nor text tags in general.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def read_image(path: StrPath) -> ImageFile:
    """Read an image file.

    Parameters
    ----------
    path : path-like
        A .tif, .tiff, .png, .jpg, .jpeg or .bmp file. Of several images in a TIFF
        the first is read, and a warning logged.

    Returns
    -------
    ImageFile
        Pixels in their own dtype, axes, pixel size and units. Axes of length one
        that the file does not keep are absent; files that `write_image` wrote keep
        all. Stack axes without names are taken as "Z", "TZ" or "TCZ".

    Raises
    ------
    ImageFileError
        If the file is missing, a folder, of another kind, torn or not readable.
    """
    path = Path(path)
    if path.is_dir():
        raise ImageFileError(f"Cannot read {path}: it is a folder; give an image file in it.")
    suffix = path.suffix.lower()
    if suffix not in _READABLE:
        raise ImageFileError(
            f"Cannot read {path}: files that can be read end in {', '.join(_READABLE)}."
        )
    if not path.exists():
        raise ImageFileError(f"Cannot read {path}: there is no such file.")
    try:
        return read_tiff(path) if suffix in _TIFF else _read_picture(path, _PICTURES[suffix])
    except ImageFileError:
        raise
    except MemoryError as error:
        raise ImageFileError(
            f"Cannot read {path}: it does not fit into memory; crop or convert it."
        ) from error
    except Exception as error:  # on damaged files the decoders raise errors of any type
        raise ImageFileError(f"Cannot read {path}: {_reason_not_read(error)}.") from error


def write_image(
    path: StrPath,
    data: NDArray[Any],
    axes: str,
    *,
    like: ImageFile | None = None,
    scale: Sequence[float] | None = None,
    units: Sequence[str] | None = None,
    description: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image file, entirely or not at all.

    The name decides: .ome.tif (or .tif, if `like` is OME-TIFF) gives OME-TIFF where
    it can hold the image; other .tif an ImageJ hyperstack where ImageJ can (uint8,
    uint16, float32; T, Z, C, Y, X, uint8 RGB; below 4 GB), else plain TIFF; .png a
    picture. `read_image` returns from a TIFF the same data, axes, scale (to 1e-6
    along X and Y), units, channel names and description. PNG keeps Y, X, S, the
    description and, to 1e-5, pixel sizes below 10 micrometers.

    Parameters
    ----------
    path : path-like
        The file to write.
    data : numpy.ndarray
        Integer, floating or bool.
    axes : str
        One letter per dimension.
    like : ImageFile, optional
        Where scale, units, channel names and description come from, axis by axis,
        unless they are given.
    scale : sequence of float, optional
        Size of a step along each axis.
    units : sequence of str, optional
        Its units.
    description : str, optional
        Text to store, for example a recipe in JSON.
    overwrite : bool, default: False
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the format cannot hold the image, the arguments do not fit it, or the
        path is refused by `check_output`.
    ImageFileError
        If writing fails; the file is then as it was before.
    """
    path = Path(path)
    check_output(path, (), overwrite=overwrite)
    image = _described(path, np.asarray(data), axes, like, scale, units, description)
    try:
        with atomic_write(path) as temporary:
            if image.format == "png":
                _write_png(temporary, image)
            else:
                write_tiff(temporary, image)
    except MemoryError as error:
        raise ImageFileError(f"Cannot write {path}: the memory does not suffice.") from error
    except (OSError, ValueError, struct.error) as error:
        raise ImageFileError(f"Cannot write {path}: {_reason_not_written(error)}.") from error


def check_output(path: StrPath, inputs: Iterable[StrPath], *, overwrite: bool) -> None:
    """Make sure, before hours of work, that a result may be written to a path.

    Parameters
    ----------
    path : path-like
        The file to be written.
    inputs : iterable of path-like
        Files that must not be written to, whatever `overwrite` says and however
        they are spelled or linked.
    overwrite : bool
        Whether another existing file may be replaced.

    Raises
    ------
    InputError
        If the path is one of the inputs, exists although it may not, is a folder
        or lies in none.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"Expected a file to write, but {path} is a folder: add a file name.")
    if not path.parent.is_dir():
        raise InputError(
            f"Expected an existing folder, but {path.parent} is none: create it or correct "
            "the output path."
        )
    if not path.exists():
        return
    for source in map(Path, inputs):
        if source.exists() and path.samefile(source):
            raise InputError(
                f"Expected an output beside the inputs, but {path} is the input {source} "
                "itself: choose another name."
            )
    if not overwrite:
        raise InputError(
            f"Expected a new file, but {path} exists: choose another name, or give --overwrite "
            "(overwrite=True)."
        )


def list_images(folder: StrPath) -> list[Path]:
    """List the image files of a folder, in the order that people count in.

    Parameters
    ----------
    folder : path-like
        The folder; its own folders and hidden files are passed over.

    Returns
    -------
    list of pathlib.Path
        Files that `read_image` may read, t2 before t10.

    Raises
    ------
    ImageFileError
        If the folder cannot be read or holds no image.
    """
    folder = Path(folder)
    try:
        files = [
            file
            for file in folder.iterdir()
            if file.suffix.lower() in _READABLE and file.name[0] != "." and file.is_file()
        ]
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageFileError(f"Cannot list the folder {folder}: {reason}.") from error
    if not files:
        raise ImageFileError(
            f"No image in the folder {folder}: files that can be read end in "
            f"{', '.join(_READABLE)}."
        )
    return sorted(files, key=_natural_key)


def _natural_key(file: Path) -> tuple[list[tuple[bool, int, str]], str]:
    # Numbers compare by value and come before text.
    parts = re.findall(r"([0-9]+)|([^0-9]+)", file.name.casefold())
    return [(bool(text), int(number or 0), text) for number, text in parts], file.name


def _described(
    path: Path,
    data: NDArray[Any],
    axes: str,
    like: ImageFile | None,
    scale: Sequence[float] | None,
    units: Sequence[object] | None,
    description: str | None,
) -> ImageFile:
    """Put together what is to be written, and check that it can be."""
    axes = checked_axes(axes, data.shape)
    if data.dtype.kind not in "biuf" or data.dtype.itemsize > 8 or data.size == 0:
        raise InputError(
            f"Expected integer, floating or bool pixels of at most 64 bits, but {data.dtype} "
            f"of shape {data.shape} came: convert the image."
        )
    if data.dtype.kind == "b" and "S" in axes:
        raise InputError(
            f"Expected bool pixels without colour, but axes {axes} came: convert them to uint8."
        )
    known = {} if like is None else _sizes_by_axis(like)
    sizes = [known.get(axis, (1.0, PIXEL)) for axis in axes]
    sizes_and_units = scale, _ = calibration(
        axes,
        [size for size, _ in sizes] if scale is None else scale,
        [unit for _, unit in sizes] if units is None else units,
    )
    if description is None:
        description = "" if like is None else _UNWRITABLE.sub("", like.description)
    elif found := _UNWRITABLE.search(description):
        raise InputError(
            f"Expected a description of printable text, but {found[0]!r} came at position "
            f"{found.start()}: remove it, or write JSON, which escapes it."
        )
    n_channels = data.shape[axes.index("C")] if "C" in axes else 0
    names = () if like is None or len(like.channel_names) != n_channels else like.channel_names
    wants_ome = like is not None and like.format == "ome-tiff"
    kind = _format(path, data, axes, scale, wants_ome=wants_ome)
    return ImageFile(data, axes, *sizes_and_units, kind, names, description)


def _sizes_by_axis(image: ImageFile) -> dict[str, tuple[float, str]]:
    return dict(zip(image.axes, zip(image.scale, image.units, strict=True), strict=True))


def _format(
    path: Path, data: NDArray[Any], axes: str, scale: Sequence[float], *, wants_ome: bool
) -> Format:
    suffix = path.suffix.lower()
    if suffix in _TIFF:
        named_ome = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
        found = dialect(data, axes, scale, ome=named_ome or wants_ome)
        if named_ome and found != "ome-tiff":
            raise InputError(
                f"Expected an image that OME-TIFF can hold, but axes {axes} with {data.dtype} "
                "came: write to a name that ends in .tif without .ome."
            )
        return found
    if suffix != ".png":
        raise InputError(
            f"Expected an output that ends in .tif, .tiff or .png, but {path.name} came: "
            "choose one of them."
        )
    shown = {a for a, n in zip(axes, data.shape, strict=True) if n > 1} | set("YX")
    grey, colour = shown == set("YX"), shown == set("YXS")
    if not (
        (data.dtype.str[1:] == "u1" and colour) or (data.dtype.str[1:] in _PNG_GREY and grey)
    ):
        raise InputError(
            f"Expected for PNG one plane, uint8 grey or colour or uint16 grey, but axes {axes} "
            f"of shape {data.shape} with {data.dtype} came: write to a name that ends in .tif."
        )
    return "png"


def _read_picture(path: Path, kind: Format) -> ImageFile:
    import imageio.v3 as iio

    if kind == "png":
        _refuse_deep_colour(path)
    with iio.imopen(path, "r", plugin="pillow") as file:
        metadata = file.metadata(index=0, exclude_applied=False)
        converted = None if metadata.get("mode") in _PICTURE_MODES else "RGB"
        data = np.asarray(file.read(index=0, mode=converted))
    axes = "YX" if data.ndim == 2 else "YXS"
    if kind != "png":
        return ImageFile(data, axes, (1.0,) * data.ndim, (PIXEL,) * data.ndim, kind)
    text = str(metadata.get(_PNG_TEXT_KEY, ""))
    return ImageFile(data, axes, *_png_calibration(axes, metadata), kind, description=text)


def _png_calibration(
    axes: str, metadata: Mapping[str, Any]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Read pixel sizes from the dots per inch, where they are a microscope's."""
    per_inch = dict(zip("XY", metadata.get("dpi", (0, 0)), strict=True))
    sizes = {axis: _METRES_PER_INCH / number for axis, number in per_inch.items() if number > 0}
    known = len(sizes) == len(per_inch) and max(sizes.values()) < _LARGEST_PNG_PIXEL
    unit, name = LENGTHS["micrometer"].si, "micrometer"
    found = [(sizes[a] / unit, name) if known and a in sizes else (1.0, PIXEL) for a in axes]
    return calibration(axes, [size for size, _ in found], [name for _, name in found])


def _refuse_deep_colour(path: Path) -> None:
    """Raise on colour PNG of 16 bits, of which Pillow silently returns the upper 8."""
    with path.open("rb") as stream:
        header = stream.read(26)  # signature 8, chunk 8, width 4, height 4, depth, colour type
    if len(header) == 26 and header[24] == 16 and header[25] != 0:
        raise ImageFileError(
            f"Cannot read {path}: colour PNG of 16 bits is not supported; save it as .tif."
        )


def _write_png(path: Path, image: ImageFile) -> None:
    import imageio.v3 as iio
    from PIL.PngImagePlugin import PngInfo

    size = dict(zip(image.axes, image.data.shape, strict=True))
    shown = [a for a in "YXS" if a in "YX" or size.get(a, 1) > 1]
    hidden = [a for a in image.axes if a not in shown]  # all of length one
    picture = image.data.transpose([image.axes.index(a) for a in hidden + shown])
    picture = picture.reshape([size[a] for a in shown])
    text = PngInfo()
    if image.description:
        text.add_itxt(_PNG_TEXT_KEY, image.description)
    options: dict[str, Any] = {"pnginfo": text, **_png_options(image)}
    iio.imwrite(path, picture, plugin="pillow", extension=".png", **options)


def _png_options(image: ImageFile) -> dict[str, Any]:
    """The dots per inch, where lengths are known and the format's 32 bits hold them."""
    sizes = _sizes_by_axis(image)
    per_metre = [
        1 / (size * LENGTHS[unit].si)
        for size, unit in (sizes["X"], sizes["Y"])
        if unit in LENGTHS
    ]
    if len(per_metre) < 2 or not all(1 <= number < 2**32 - 1 for number in per_metre):
        return {}
    return {"dpi": tuple(number * _METRES_PER_INCH for number in per_metre)}


def _reason_not_read(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if "imagecodecs" in reason:
        return "its compression needs a further package; run pip install imagecodecs"
    return " ".join(reason.split()).rstrip(".")


def _reason_not_written(error: Exception) -> str:
    # numpy reports a short write as an OSError without number.
    if isinstance(error, OSError) and error.errno is None:
        return f"the disk may be full ({error})"
    reason = getattr(error, "strerror", None) or str(error)
    place = getattr(error, "filename", None)
    return " ".join(reason.split()).rstrip(".") + (f" ({place})" if place else "")
