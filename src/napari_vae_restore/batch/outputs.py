"""Checks of outputs, before anything is computed that would have no place to go."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from numpy.typing import DTypeLike

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.images.image_files import check_output, write_image
from napari_vae_restore.images.image_metadata import ImageFile

_SAMPLE_SIDE = 8  # of the part of an image that is written on trial, along each axis


def check_path(
    path: Path, suffixes: Sequence[str], inputs: Sequence[Path], *, overwrite: bool
) -> None:
    """Raise InputError unless a file of this name may and can be written."""
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"Expected an output that ends in {' or '.join(suffixes)}, but {path.name} came: "
            "add the ending or change it."
        )
    check_output(path, inputs, overwrite=overwrite)
    check_writable(path.parent, "the output")


def check_writable(folder: Path, what: str) -> None:
    """Raise InputError unless files can be written into a folder, as a trial shows."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"Cannot write into the folder {folder}: {error.strerror}; choose another place "
            f"for {what}."
        ) from error


def check_stores(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise InputError if two outputs, or an output and an input, are the same store."""
    taken = {path.resolve(): path for path in inputs}
    for path in outputs:
        if other := taken.get(path.resolve()):
            raise InputError(
                f"Expected an output beside the inputs and of a name of its own, but {path} "
                f"and {other} are one: rename it."
            )
        taken[path.resolve()] = path


def check_format(path: Path, image: ImageFile, axes: str, dtype: DTypeLike) -> None:
    """Raise InputError if the format cannot hold a result of the image's shape and `dtype`.

    A corner of the image is written on trial, which asks `write_image` itself.
    """
    corner = image.data[tuple(slice(_SAMPLE_SIDE) for _ in axes)].astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        write_image(Path(folder) / path.name, corner, axes, like=image)


def write_file(path: Path, content: bytes) -> None:
    """Write a file entirely or not at all; ImageFileError where it cannot be written."""
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise ImageFileError(f"Cannot write {path}: {why_not_written(error)}.") from error
