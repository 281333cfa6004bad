"""Planes of volumes, NIfTI-1 or InVesalius 3, which training takes as pictures."""

from __future__ import annotations

import gzip
import io
import plistlib
import tarfile
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

AXES: Final = "zyx"
SUFFIXES: Final = (".nii.gz", ".inv3")
_HEADER_SIZE: Final = 348
_DTYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}
"""Of the NIfTI-1 data type codes, those that are single real numbers."""
_STEP: Final = 3
"""Every third plane is kept: neighbours show nearly the same."""
_BRIGHT: Final = 0.1
_LEAST_BRIGHT: Final = 0.1
"""A plane shows something if this share of its pixels is above `_BRIGHT` of the range."""


def read_volume(name: str, content: bytes) -> NDArray[Any]:
    """The voxels, (Z, Y, X), of a file whose name ends in one of `SUFFIXES`."""
    return read_invesalius(content) if name.endswith(".inv3") else read_nifti(content)


def read_invesalius(content: bytes) -> NDArray[Any]:
    """The voxels of an InVesalius 3 project: a tar archive of property lists and arrays."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {
            member.name.rpartition("/")[2]: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    if not {"main.plist", "matrix.dat"} <= files.keys():
        raise ValueError("expected an InVesalius 3 project with main.plist and matrix.dat")
    matrix = plistlib.loads(files["main.plist"])["matrix"]
    return np.frombuffer(files["matrix.dat"], matrix["dtype"]).reshape(matrix["shape"])


def read_nifti(content: bytes) -> NDArray[Any]:
    """The voxels of a NIfTI-1 file in one piece, compressed or not."""
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    order = "<" if content[:4] == _HEADER_SIZE.to_bytes(4, "little") else ">"
    n_axes, *sizes = (int(n) for n in np.frombuffer(content, f"{order}i2", 8, 40))
    code = int(np.frombuffer(content, f"{order}i2", 1, 70)[0])
    start = int(np.frombuffer(content, f"{order}f4", 1, 108)[0])
    if content[344:347] != b"n+1" or n_axes != 3 or code not in _DTYPES:
        raise ValueError("expected a NIfTI-1 file of one volume of real numbers")
    shape = tuple(reversed(sizes[:3]))
    voxels = np.frombuffer(content, order + _DTYPES[code], int(np.prod(shape)), start)
    return voxels.reshape(shape)


def planes_across(volume: NDArray[Any], axis: str) -> NDArray[Any]:
    """Every third plane, (N, height, width), across an axis, without the empty ones."""
    planes = np.moveaxis(volume, AXES.index(axis), 0)[::_STEP]
    bright = planes > volume.min() + _BRIGHT * float(np.ptp(volume))
    return np.ascontiguousarray(planes[bright.mean(axis=(1, 2)) > _LEAST_BRIGHT])


def as_tiff(planes: NDArray[Any]) -> bytes:
    """A TIFF of planes."""
    file = io.BytesIO()
    tifffile.imwrite(file, planes, photometric="minisblack", metadata={"axes": "ZYX"})
    return file.getvalue()
