"""PNG, JPEG and BMP: pictures of one plane, grey or in colour, by way of Pillow.

This module knows nothing of atomic writing or of which paths are allowed.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError
from napari_vae_restore.images.image_metadata import (
    LENGTHS,
    PIXEL,
    Format,
    ImageFile,
    calibration,
    check_claim,
)

# Pillow's modes that arrive as grey or colour; others (CMYK, YCbCr) are converted.
_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "F", "P", "PA", "RGB", "RGBA"}
_GREY = ("u1", "u2")
_SIGNATURE = 8  # bytes that a PNG begins with
_MAX_SAMPLES = 4  # bytes of a pixel: RGBA, or 32 bits of grey
_TEXT_KEY = "Description"
# PNG says pixels per metre alike for a microscope and for a printer: below this size,
# 2540 dots per inch, no printer's are.
_LARGEST_PIXEL = 1e-5  # metres
_METRES_PER_INCH = LENGTHS["inch"].si  # Pillow speaks of inches


def read_picture(path: Path, kind: Format) -> ImageFile:
    """Read a PNG, JPEG or BMP file.

    Raises ImageFileError for a colour PNG of 16 bits. On damaged files the decoder raises
    errors of any type.
    """
    import imageio.v3 as iio

    if kind == "png":
        _refuse_deep_colour(path)
        _check_chunks(path)
    _check_size(path)
    with iio.imopen(path, "r", plugin="pillow") as file:
        metadata = file.metadata(index=0, exclude_applied=False)
        converted = None if metadata.get("mode") in _MODES else "RGB"
        data = np.asarray(file.read(index=0, mode=converted))
    axes = "YX" if data.ndim == 2 else "YXS"
    if kind != "png":
        return ImageFile(data, axes, (1.0,) * data.ndim, (PIXEL,) * data.ndim, kind)
    text = str(metadata.get(_TEXT_KEY, ""))
    return ImageFile(data, axes, *_calibration(axes, metadata), kind, description=text)


def fits_png(data: NDArray[Any], axes: str) -> bool:
    """Whether PNG can hold an image: one plane, uint8 grey or colour or uint16 grey."""
    shown = {a for a, n in zip(axes, data.shape, strict=True) if n > 1} | set("YX")
    grey, colour = shown == set("YX"), shown == set("YXS")
    return (data.dtype.str[1:] == "u1" and colour) or (data.dtype.str[1:] in _GREY and grey)


def write_png(path: Path, image: ImageFile) -> None:
    """Write an image that :func:`fits_png` to a PNG file."""
    import imageio.v3 as iio
    from PIL.PngImagePlugin import PngInfo

    size = dict(zip(image.axes, image.data.shape, strict=True))
    shown = [a for a in "YXS" if a in "YX" or size.get(a, 1) > 1]
    hidden = [a for a in image.axes if a not in shown]  # all of length one
    picture = image.data.transpose([image.axes.index(a) for a in hidden + shown])
    picture = picture.reshape([size[a] for a in shown])
    text = PngInfo()
    if image.description:
        text.add_itxt(_TEXT_KEY, image.description)
    options: dict[str, Any] = {"pnginfo": text, **_dots_per_inch(image)}
    # Into memory first: on a full disk, the encoder would complain once more when it goes.
    encoded = iio.imwrite("<bytes>", picture, plugin="pillow", extension=".png", **options)
    path.write_bytes(encoded)


def _calibration(
    axes: str, metadata: Mapping[str, Any]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Read pixel sizes from the dots per inch, where they are a microscope's."""
    per_inch = dict(zip("XY", metadata.get("dpi", (0, 0)), strict=True))
    sizes = {axis: _METRES_PER_INCH / number for axis, number in per_inch.items() if number > 0}
    known = len(sizes) == len(per_inch) and max(sizes.values()) < _LARGEST_PIXEL
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


def _check_chunks(path: Path) -> None:
    """Raise where a PNG says of a part that it is longer than the file: readers allocate it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(_SIGNATURE)
        while len(start := stream.read(8)) == 8:  # length 4, name 4, then data and checksum 4
            end = stream.tell() + int.from_bytes(start[:4], "big") + 4
            if end > size:
                raise ImageFileError(
                    f"Cannot read {path}: the file ends before its data do; copy or export it "
                    "again."
                )
            stream.seek(end)


def _check_size(path: Path) -> None:
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of large images; these are judged by the size of their file.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            check_claim(path, _MAX_SAMPLES * image.width * image.height)


def _dots_per_inch(image: ImageFile) -> dict[str, Any]:
    """The dots per inch, where lengths are known and the format's 32 bits hold them."""
    sizes = image.sizes
    per_metre = [
        1 / (size * LENGTHS[unit].si)
        for size, unit in (sizes["X"], sizes["Y"])
        if unit in LENGTHS
    ]
    if len(per_metre) < 2 or not all(1 <= number < 2**32 - 1 for number in per_metre):
        return {}
    return {"dpi": tuple(number * _METRES_PER_INCH for number in per_metre)}
