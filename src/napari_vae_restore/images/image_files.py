"""Image files: TIFF, PNG, JPEG and BMP in; TIFF and PNG out, metadata kept.

This module does not judge whether an image can be restored: `arrays.as_image` does.
"""

import os
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, InputError, shortened
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.images.image_metadata import UNKNOWN, Format, ImageFile, calibration
from napari_vae_restore.images.layout import checked_axes
from napari_vae_restore.images.pictures import fits_png, read_picture, write_png
from napari_vae_restore.images.tiff import dialect, read_tiff, write_tiff

StrPath = str | os.PathLike[str]

_TIFF = (".tif", ".tiff")
_PICTURES: dict[str, Format] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".bmp": "bmp"}
_READABLE = (*_TIFF, *_PICTURES)
# Characters that XML, and so OME-TIFF, cannot hold, nor text tags in general.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def read_image(path: StrPath, *, mapped: bool = False) -> ImageFile:
    """Read an image file.

    Parameters
    ----------
    path : path-like
        A .tif, .tiff, .png, .jpg, .jpeg or .bmp file. Of several images in a TIFF
        the first is read, and a warning logged.
    mapped : bool
        Whether the pixels of a TIFF of more than 256 MB stay on disk until a part of them
        is asked for. They are then in the file's byte order, and it must not be compressed.

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
        if suffix in _TIFF:
            return read_tiff(path, mapped=mapped)
        return read_picture(path, _PICTURES[suffix])
    except ImageFileError:
        raise
    except (MemoryError, SyntaxError) as error:  # Python's parser errs where memory ends
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

    The name decides: .ome.tif (or .tif, if `like` is OME-TIFF) gives OME-TIFF where it can
    hold the image; other .tif an ImageJ hyperstack where ImageJ can, else plain TIFF; .png a
    picture. From a TIFF comes back all that was written (scale to 1e-6 along X and Y); from a
    PNG Y, X, S, the description and, to 1e-5, pixel sizes below 10 micrometers.
    """
    path = Path(path)
    check_output(path, (), overwrite=overwrite)
    image = _described(path, np.asarray(data), axes, like, scale, units, description)
    try:
        with atomic_write(path) as temporary:
            if image.format == "png":
                write_png(temporary, image)
            else:
                write_tiff(temporary, image)
    except MemoryError as error:
        raise ImageFileError(f"Cannot write {path}: the memory does not suffice.") from error
    except OSError as error:
        place = "" if error.filename in (None, str(path)) else f" ({error.filename})"
        reason = f"{why_not_written(error)}{place}"
        raise ImageFileError(f"Cannot write {path}: {reason}.") from error
    except (ValueError, struct.error) as error:
        raise ImageFileError(f"Cannot write {path}: {shortened(error).rstrip('.')}.") from error


def check_output(path: StrPath, inputs: Iterable[StrPath], *, overwrite: bool) -> None:
    """Raise InputError, before hours of work, where a result may not be written to a path."""
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
    """The image files of a folder, in the order that people count in; at least one."""
    folder = Path(folder)
    try:
        files = [file for file in folder.iterdir() if is_readable(file) and file.is_file()]
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageFileError(f"Cannot list the folder {folder}: {reason}.") from error
    if not files:
        raise ImageFileError(
            f"No image in the folder {folder}: files that can be read end in "
            f"{', '.join(_READABLE)}."
        )
    return sorted(files, key=natural_key)


def is_readable(file: Path) -> bool:
    """Whether a file of a folder counts as an image, by its name; hidden ones do not."""
    return file.suffix.lower() in _READABLE and file.name[0] != "."


def natural_key(file: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that sorts names as people count, t2 before t10."""
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
    """The file that is to be written; InputError if it cannot be."""
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
    known = {} if like is None else like.sizes
    known_scale, known_units = zip(*(known.get(axis, UNKNOWN) for axis in axes), strict=True)
    scale, names = calibration(
        axes,
        known_scale if scale is None else scale,
        known_units if units is None else units,
    )
    if description is None:
        description = "" if like is None else _UNWRITABLE.sub("", like.description)
    elif found := _UNWRITABLE.search(description):
        raise InputError(
            f"Expected a description of printable text, but {found[0]!r} came at position "
            f"{found.start()}: remove it, or write JSON, which escapes it."
        )
    n_channels = data.shape[axes.index("C")] if "C" in axes else 0
    channels = () if like is None else like.channel_names
    wants_ome = like is not None and like.format == "ome-tiff"
    kind = _format(path, data, axes, scale, wants_ome=wants_ome)
    fitting = channels if len(channels) == n_channels else ()
    return ImageFile(data, axes, scale, names, kind, fitting, description)


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
    if not fits_png(data, axes):
        raise InputError(
            f"Expected for PNG one plane, uint8 grey or colour or uint16 grey, but axes {axes} "
            f"of shape {data.shape} with {data.dtype} came: write to a name that ends in .tif."
        )
    return "png"


def _reason_not_read(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or shortened(error)
    if "imagecodecs" in reason:
        return "its compression needs a further package; run pip install imagecodecs"
    if isinstance(error, LookupError):  # the decoder fell over what should be there
        return f"it is damaged ({reason})"
    return reason.rstrip(".")
