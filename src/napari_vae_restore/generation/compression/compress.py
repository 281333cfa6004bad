"""Images to bytes and back: :func:`compress`, :func:`decompress`."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore import __version__
from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.generation.compression.coder import Integers, constriction
from napari_vae_restore.generation.compression.container import (
    MAX_LATENT_PIXELS,
    Header,
    PlaneHeader,
    packed,
    unpacked,
)
from napari_vae_restore.generation.compression.exact import exact_copy
from napari_vae_restore.generation.compression.plane_codec import (
    FRACTION,
    Networks,
    decoded_plane,
    encoded_plane,
)
from napari_vae_restore.generation.network_inputs import torch_computing
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.image_metadata import ImageFile
from napari_vae_restore.images.layout import Layout, cast
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.restoration.inference.units import BLACK_WHITE

SUFFIX: Final = ".vaec"

QUALITY: Final = 50.0  # default: steps of a sixteenth of the range
# Points of quality that halve the step: from the plane's range at 0 to 1 / 256 of it.
_PER_OCTAVE: Final = 12.5
_MORE_LEVELS: Final = 2  # of latents, which each plane may choose in place of none
_LATENT_STEP: Final = 64  # in 64ths: a standard deviation of the top prior
_MAX_INTEGER: Final = 2**20
_N_FLOAT: Final = 2**16  # integers for floating intensities, or for a larger range


def compress(
    image: Any,
    model: Model | str | Path = DEFAULT,
    *,
    quality: float = QUALITY,
    lossless: bool = False,
    levels: int | None = None,
    axes: str | None = None,
) -> bytes:
    """Compress an image.

    Parameters
    ----------
    image : array-like, napari.layers.Image or ImageFile
        Any real dtype but bool, any axes, no alpha; finite. Of an `ImageFile` pixel size,
        units and channel names are kept too. Noise costs most of the bits: restore first.
    model : Model, str or Path
        "default", or another model of every task; the same is needed to read the file.
    quality : float
        0 to 100; 12.5 points halve the errors. It counts in parts of each plane's range.
    lossless : bool
        Whether the exact difference is added. For integers of a range below 2^20.
    levels : int, optional
        How many levels of latents are coded, coarsest first; by default whichever of none
        and two is better, and none for planes above a megapixel.
    axes : str, optional
        One letter per dimension; read or guessed by default.

    Returns
    -------
    bytes
        A .vaec file; see :mod:`~.container`.

    Raises
    ------
    InputError
        For an image, parameter or model that cannot be used, or where the package
        constriction is missing.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails, for example when memory runs out.
    """
    constriction()
    if not 0 <= quality <= 100:
        raise InputError(f"quality: expected a number from 0 to 100, got {quality!r}")
    file = _as_file(image, axes)
    layout = Layout.of(file.data, file.axes)
    if layout.has_alpha:
        raise InputError("Expected an image without alpha: leave that sample out.")
    found = find_model(model)
    networks = _networks(found)
    to_try = _levels_to_try(levels, len(found.network.config.strides), layout)
    data: list[bytes] = []
    headers: list[PlaneHeader] = []
    planes = layout.to_planes(file.data)
    decoded = np.empty(planes.shape, np.float64)
    with torch_computing():
        for place in np.ndindex(planes.shape[:2]):
            integers, first = _integers(planes[place], quality, lossless=lossless)
            part, plane, back = encoded_plane(
                integers, first, networks, to_try, lossless=lossless
            )
            data.append(part)
            headers.append(plane)
            decoded[place] = back * plane.unit + plane.offset
    header = Header(
        axes=file.axes,
        shape=file.data.shape,
        dtype=file.data.dtype.newbyteorder("<").str,
        scale=file.scale,
        units=file.units,
        channel_names=file.channel_names,
        model=found.name,
        model_sha256=found.sha256,
        quality=float(quality),
        lossless=lossless,
        planes=tuple(headers),
        payload_sha256=hashlib.sha256(b"".join(data)).hexdigest(),
        image_sha256=_checksum(layout.from_planes(cast(decoded, layout.dtype))),
        package_version=__version__,
    )
    return packed(header, data)


def decompress(data: bytes, model: Model | str | Path = DEFAULT) -> ImageFile:
    """Read what :func:`compress` made.

    Parameters
    ----------
    data : bytes
        A .vaec file.
    model : Model, str or Path
        The one that it was compressed with.

    Returns
    -------
    ImageFile
        Pixels in the image's axes and dtype, pixel size, units and channel names.

    Raises
    ------
    ImageFileError
        For a file that is foreign, torn, damaged or of another version, or whose pixels come
        out otherwise than where it was written.
    InputError
        If it needs another model, or where the package constriction is missing.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails, for example when memory runs out.
    """
    header, parts = unpacked(data)
    constriction()
    found = find_model(model)
    if found.sha256 != header.model_sha256:
        raise InputError(
            f"the file was compressed with model {header.model!r:.60} "
            f"({header.model_sha256:.12}), and model {found.name!r} ({found.sha256[:12]}) "
            "came: give the model that it was compressed with"
        )
    network = _networks(found).exact
    layout = Layout(header.axes, header.shape, np.dtype(header.dtype))
    n_planes, n_channels, height, width = layout.planes_shape
    if layout.has_alpha or len(header.planes) != n_planes * n_channels:
        raise ImageFileError("the file claims another number of planes than it has")
    decoded = np.empty((n_planes * n_channels, height, width), np.float64)
    with torch_computing():
        for index, (part, plane) in enumerate(zip(parts, header.planes, strict=True)):
            integers = decoded_plane(
                part, (height, width), plane, network, lossless=header.lossless
            )
            decoded[index] = integers * plane.unit + plane.offset
    planes = cast(decoded.reshape(layout.planes_shape), layout.dtype)
    pixels = layout.from_planes(planes)
    if _checksum(pixels) != header.image_sha256:
        raise ImageFileError(
            "the pixels came out otherwise than where the file was written: read it with "
            f"napari-vae-restore {header.package_version}"
        )
    return ImageFile(
        pixels, header.axes, header.scale, header.units, "tiff", header.channel_names
    )


def _as_file(image: Any, axes: str | None) -> ImageFile:
    """Checked pixels and axes, with what is known of pixel size, units and channel names."""
    if isinstance(image, ImageFile):
        array, axes = as_image(image.data, axes or image.axes)
        return replace(image, data=array, axes=axes)
    array, axes = as_image(image, axes)
    return ImageFile(array, axes, (1.0,) * len(axes), ("pixel",) * len(axes), "tiff")


def _levels_to_try(levels: int | None, n_levels: int, layout: Layout) -> tuple[int, ...]:
    """How many levels of latents to try; each plane takes the best number."""
    height, width = layout.planes_shape[2:]
    has_room = height * width <= MAX_LATENT_PIXELS
    if levels is None:
        return (0, _MORE_LEVELS) if has_room else (0,)
    if not 0 <= levels <= n_levels:
        raise InputError(f"levels: expected 0 to {n_levels}, got {levels!r}")
    if levels and not has_room:
        raise InputError(
            f"levels: expected planes of at most {MAX_LATENT_PIXELS} pixels, got "
            f"{height} × {width}: leave the levels out, or compress parts"
        )
    return (levels,)


def _networks(model: Model) -> Networks:
    if not isinstance(model.network, RestorationVAE):
        raise InputError(
            f"model {model.name!r} was trained on noisy images, and compression needs a model "
            "of every task: use model='default'"
        )
    return Networks(model.network, _exact(model.network))


_exact = lru_cache(maxsize=1)(exact_copy)  # the copy of the latest network


def _integers(
    plane: NDArray[Any], quality: float, *, lossless: bool
) -> tuple[Integers, PlaneHeader]:
    """A plane as integers, and the header that leads back to intensities."""
    least, most = float(plane.min()), float(plane.max())
    is_exact = plane.dtype.kind in "iu" and most - least < _MAX_INTEGER
    if lossless and not is_exact:
        raise InputError(
            f"lossless: expected integers of a range below {_MAX_INTEGER}, got {plane.dtype} "
            f"from {least:g} to {most:g}: leave lossless out, or convert the image"
        )
    unit = 1.0 if is_exact else max((most - least) / _N_FLOAT, math.ulp(most))
    integers = np.rint((plane.astype(np.float64) - least) / unit).astype(np.int64)
    black, white = (round(float(each)) for each in np.percentile(integers, BLACK_WHITE))
    white = max(white, black + 1)
    share = 2 ** (-quality / _PER_OCTAVE)
    step = max(round(share * (white - black) * FRACTION), 1)
    return integers, PlaneHeader(0, least, unit, black, white, step, 0, _LATENT_STEP, 0)


def _checksum(pixels: NDArray[Any]) -> str:
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()
