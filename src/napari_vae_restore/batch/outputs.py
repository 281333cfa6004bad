"""Outputs are checked before anything is computed: hours of work need a place to go."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from numpy.typing import DTypeLike

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.image_files import ImageFile, check_output, write_image

_SAMPLE_SIDE = 8
"""Steps along each axis of the part of an image that is written on trial."""


def check_path(
    path: Path, suffixes: Sequence[str], inputs: Sequence[Path], *, overwrite: bool
) -> None:
    """Make sure that a file of this name may and can be written.

    Raises
    ------
    InputError
        If the name ends otherwise, `check_output` refuses it, or its folder cannot be
        written to.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"Expected an output that ends in {' or '.join(suffixes)}, but {path.name} came: "
            "add the ending or change it."
        )
    check_output(path, inputs, overwrite=overwrite)
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise InputError(
            f"Cannot write into the folder {path.parent}: {error.strerror}; choose another "
            "place for the output."
        ) from error


def check_stores(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Make sure that no store is written to twice, or to what is read.

    Raises
    ------
    InputError
        If one would be.
    """
    taken = {path.resolve(): path for path in inputs}
    for path in outputs:
        if other := taken.get(path.resolve()):
            raise InputError(
                f"Expected an output beside the inputs and of a name of its own, but {path} "
                f"and {other} are one: rename it."
            )
        taken[path.resolve()] = path


def check_different(first: Path, second: Path) -> None:
    """Make sure that two outputs do not replace one another.

    Raises
    ------
    InputError
        If both are the same file.
    """
    if first.resolve() == second.resolve():
        raise InputError(f"Expected two output files, but {first} came twice: rename one.")


def check_format(path: Path, image: ImageFile, axes: str, dtype: DTypeLike) -> None:
    """Make sure that the format can hold a result of an image's shape.

    A corner of the image is written on trial, which asks `write_image` itself.

    Raises
    ------
    InputError
        If it cannot, as a PNG cannot hold a stack.
    """
    corner = image.data[tuple(slice(_SAMPLE_SIDE) for _ in axes)].astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        write_image(Path(folder) / path.name, corner, axes, like=image)
