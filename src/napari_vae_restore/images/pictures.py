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
    UNKNOWN,
    Format,
    ImageFile,
    Sizes,
    check_claim,
)

# Pillow's modes that arrive as grey or colour; others (CMYK, YCbCr) are converted.
_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "F", "P", "PA", "RGB", "RGBA"}
_MAX_SAMPLES = 4  # bytes of a pixel: RGBA, or 32 bits of grey
_TEXT_KEY = "Description"
# PNG says pixels per metre alike for a microscope and for a printer: below this size,
# 2540 dots per inch, no printer's are.
_LARGEST_PIXEL = 1e-5  # metres
_METRES_PER_INCH = LENGTHS["inch"].si  # Pillow speaks of inches


def read_picture(path: Path, kind: Format) -> ImageFile:
    """Read a PNG, JPEG or BMP file; errors of any type for damaged ones."""
    import imageio.v3 as iio

    if kind == "png":
        _check_png(path)
    _check_size(path)
    with iio.imopen(path, "r", plugin="pillow") as file:
        metadata = file.metadata(index=0, exclude_applied=False)
        converted = None if metadata.get("mode") in _MODES else "RGB"
        data = np.asarray(file.read(index=0, mode=converted))  # type: ignore[call-arg]
    axes = "YX" if data.ndim == 2 else "YXS"
    sizes, text = {}, ""
    if kind == "png":
        sizes, text = _sizes(metadata), str(metadata.get(_TEXT_KEY, ""))
    scale, units = zip(*(sizes.get(axis, UNKNOWN) for axis in axes), strict=True)
    return ImageFile(data, axes, scale, units, kind, description=text)


def fits_png(data: NDArray[Any], axes: str) -> bool:
    """Whether PNG can hold an image: one plane, uint8 grey or colour or uint16 grey."""
    shown = {a for a, n in zip(axes, data.shape, strict=True) if n > 1} | set("YX")
    depth = data.dtype.str[1:]
    return (depth in ("u1", "u2") and shown == set("YX")) or (
        depth == "u1" and shown == set("YXS")
    )


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


def _sizes(metadata: Mapping[str, Any]) -> Sizes:
    """Read pixel sizes from the dots per inch, where they are a microscope's."""
    per_inch = dict(zip("XY", metadata.get("dpi", (0, 0)), strict=True))
    metres = {
        axis: _METRES_PER_INCH / number for axis, number in per_inch.items() if number > 0
    }
    if len(metres) < 2 or max(metres.values()) >= _LARGEST_PIXEL:
        return {}
    unit = LENGTHS["micrometer"].si
    return {axis: (size / unit, "micrometer") for axis, size in metres.items()}


def _check_png(path: Path) -> None:
    """Raise on what Pillow would read otherwise than it stands there, or allocate.

    It returns of 16 bits of colour the upper 8, and allocates parts that are longer than the
    file.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(26)  # signature 8, chunk 8, width 4, height 4, depth, colour type
        if len(header) == 26 and header[24] == 16 and header[25] != 0:
            raise ImageFileError(
                f"Cannot read {path}: colour PNG of 16 bits is not supported; save it as .tif."
            )
        stream.seek(8)
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
    sizes = [image.sizes[axis] for axis in "XY"]
    per_metre = [1 / (size * LENGTHS[unit].si) for size, unit in sizes if unit in LENGTHS]
    if len(per_metre) < 2 or not all(1 <= number < 2**32 - 1 for number in per_metre):
        return {}
    return {"dpi": tuple(number * _METRES_PER_INCH for number in per_metre)}
