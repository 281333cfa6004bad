"""The file: magic, version, a JSON header with its checksum, and the payload.

Nothing is unpickled, and nothing is allocated on the word of a header alone: lengths are
compared with the file's, and the image's size with limits. It knows nothing of networks.

| bytes | what |
|---|---|
| 8 | magic |
| 2 | version, little-endian |
| 4 | length of the header |
| 4 | CRC-32 of the header |
| header | JSON, UTF-8, deflated; see :class:`Header` |
| rest | the planes' data, one after another, in the order and lengths of the header |
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Final

import numpy as np

from napari_vae_restore.errors import ImageFileError, InputError, shortened
from napari_vae_restore.images.arrays import MAX_INTENSITY
from napari_vae_restore.images.layout import checked_axes

# As PNG's: a text mode or seven bits on the way show at once.
MAGIC: Final = b"\x89VAEC\r\n\x1a"
VERSION: Final = 1
MAX_PIXELS: Final = 2**28  # of an image that is read: 256 megapixels
# Largest plane whose latents are coded: exact networks take 600 bytes a pixel.
MAX_LATENT_PIXELS: Final = 2**20

HEAD: Final = struct.Struct("<8sHII")
_MAX_HEADER_BYTES: Final = 4 * 2**20  # of a header as it is stored, and as JSON
_MAX_PIXELS_PER_BYTE: Final = 2**14  # of payload; a larger claim was made up
_MOST_LEVELS: Final = 64  # of latents
_MAX_STEP: Final = 2**40


@dataclass(frozen=True, slots=True)
class PlaneHeader:
    """What a reader needs beside a plane's data."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    length: int  # bytes in the payload
    offset: float  # intensity = offset + unit * integer
    unit: float
    black: int  # integer that is 0 in network units
    white: int  # integer that is 1 in network units
    step: int  # of the wavelet coefficients, in sixteenths of an integer
    levels: int  # of latents that are coded
    latent_step: int  # in 64ths
    sigma: int  # noise of the mean head's input, network units times 4096; 0: head left out


@dataclass(frozen=True, slots=True)
class Header:
    """The description of an image and of its file."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    axes: str
    shape: tuple[int, ...]
    dtype: str  # as numpy spells it, little-endian
    scale: tuple[float, ...]
    units: tuple[str, ...]
    channel_names: tuple[str, ...]
    model: str
    model_sha256: str
    quality: float  # as it was asked for
    lossless: bool  # whether an exact residual follows
    planes: tuple[PlaneHeader, ...]  # in the order of Layout.to_planes
    payload_sha256: str
    image_sha256: str  # of the decoded pixels; other pixels are refused
    package_version: str  # of the writer


def packed(header: Header, payload: Sequence[bytes]) -> bytes:
    """The bytes of a file."""
    values = json.dumps(asdict(header), separators=(",", ":"), allow_nan=False)
    text = zlib.compress(values.encode(), 9)
    head = HEAD.pack(MAGIC, VERSION, len(text), zlib.crc32(text))
    return b"".join([head, text, *payload])


def unpacked(data: bytes) -> tuple[Header, list[bytes]]:
    """The header and each plane's data.

    Raises ImageFileError for a file that is foreign, torn, of another version, or impossible.
    """
    if len(data) < HEAD.size or data[: len(MAGIC)] != MAGIC:
        raise ImageFileError(
            "this is no .vaec file: give one that `vae-restore compress` wrote"
        )
    _, version, length, checksum = HEAD.unpack_from(data)
    if version != VERSION:
        raise ImageFileError(
            f"the file has version {version}, and this program reads version {VERSION}: update "
            "napari-vae-restore"
        )
    text = data[HEAD.size : HEAD.size + min(length, _MAX_HEADER_BYTES)]
    if len(text) != length or zlib.crc32(text) != checksum:
        raise ImageFileError("the file is torn in its header: copy it again")
    header = _parsed(text)
    payload = memoryview(data)[HEAD.size + length :]
    _check(header, len(payload))
    if hashlib.sha256(payload).hexdigest() != header.payload_sha256:
        raise ImageFileError(
            "the file is torn: its data do not fit their checksum; copy it again"
        )
    stream = io.BytesIO(payload)
    return header, [stream.read(plane.length) for plane in header.planes]


def _parsed(text: bytes) -> Header:
    from pydantic import TypeAdapter, ValidationError

    try:
        values = zlib.decompressobj().decompress(text, _MAX_HEADER_BYTES)
        return TypeAdapter(Header).validate_json(values)
    except zlib.error as error:
        raise ImageFileError("the file's header is damaged: copy it again") from error
    except (ValidationError, RecursionError) as error:
        raise ImageFileError(f"the file's header is not valid: {shortened(error)}") from error


def _check(header: Header, n_bytes: int) -> None:
    """Raise unless the header's claims are possible for a payload of that length."""
    try:
        checked_axes(header.axes, header.shape)
        dtype = np.dtype(header.dtype)
    except (InputError, TypeError) as error:
        raise ImageFileError(f"the file's header is not valid: {shortened(error)}") from error
    n_pixels = math.prod(header.shape)
    plane_pixels = math.prod(header.shape[header.axes.index(letter)] for letter in "YX")
    problems = {
        "a dtype that no image has": dtype.kind not in "iuf" or dtype.itemsize > 8,
        "an empty image": not header.shape or min(header.shape) < 1,
        f"more than {MAX_PIXELS} pixels": n_pixels > MAX_PIXELS,
        "more pixels than its data can hold": n_pixels > n_bytes * _MAX_PIXELS_PER_BYTE,
        "other lengths than it has": sum(p.length for p in header.planes) != n_bytes
        or any(p.length < 0 for p in header.planes),
        f"latents of more than {MAX_LATENT_PIXELS} pixels": plane_pixels > MAX_LATENT_PIXELS
        and any(plane.levels for plane in header.planes),
        "steps that cannot be": not all(
            0 < plane.step < _MAX_STEP
            and 0 <= plane.levels <= _MOST_LEVELS
            and 0 < plane.latent_step < _MAX_STEP
            and 0 <= plane.sigma < 2**16
            and -_MAX_STEP < plane.black < plane.white < _MAX_STEP
            and abs(plane.offset) <= MAX_INTENSITY
            and 0 < plane.unit <= MAX_INTENSITY
            for plane in header.planes
        ),
    }
    if found := [problem for problem, there in problems.items() if there]:
        raise ImageFileError(f"the file claims {found[0]}: it is damaged or was made up")
