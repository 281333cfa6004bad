"""Which images are meant: files, folders, globs and stores, expanded into single paths.

Nothing is read but the names in folders; whether an image can be restored shows later.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.image_files import is_readable, natural_key

_STORE = ".zarr"
"""Ending of a folder that is one image."""


@dataclass(frozen=True, slots=True)
class Found:
    """One image.

    Attributes
    ----------
    path : Path
        The file, or the store.
    relative : Path
        Its place below the folder in which all results lie.
    """

    path: Path
    relative: Path


def is_store(path: Path) -> bool:
    """Whether a folder is one image, by its name: ``.zarr`` and ``.ome.zarr``."""
    return path.suffix.lower() == _STORE


def is_several(images: Sequence[str | Path]) -> bool:
    """Whether paths may mean more than one image, or another number on another day.

    Parameters
    ----------
    images : sequence of str or Path
        As for :func:`find_images`.

    Returns
    -------
    bool
        True for more than one path, a folder that is no store, and a glob.
    """
    if len(images) != 1:
        return True
    path = Path(images[0])
    return _is_folder(path) or (not path.exists() and glob.has_magic(str(path)))


def find_images(images: Iterable[str | Path], *, without: Collection[Path] = ()) -> list[Found]:
    """Expand paths into images.

    Parameters
    ----------
    images : iterable of str or Path
        Files, taken whatever their endings; stores; folders, for all images in them and
        in their own folders; globs such as ``"data/**/*.tif"``, for the images that they
        match. What exists under a name with ``*`` or ``[`` in it is no glob.
    without : collection of Path
        Folders that are passed over, such as that of the results, unless they are given.

    Returns
    -------
    list of Found
        Each image once. Inside a folder, t2 comes before t10. Of a folder and a glob the
        folders below it are kept; of several folders their own names, too.

    Raises
    ------
    InputError
        If there is nothing under a path, or no image in a folder or glob.
    ImageFileError
        If a folder cannot be read.
    """
    given = [Path(image).expanduser() for image in images]
    passed_over = {path.resolve() for path in without}
    n_folders = sum(_is_folder(path) for path in given)
    found: dict[Path, Found] = {}
    for path in given:
        if _is_folder(path):
            top = Path(path.resolve().name) if n_folders > 1 else Path()
            listed = [
                Found(file, top / file.relative_to(path)) for file in _walk(path, passed_over)
            ]
            if not listed:
                raise InputError(f"Expected images, but there is none in the folder {path}.")
        elif path.exists():
            listed = [Found(path, Path(path.name))]
        elif glob.has_magic(str(path)):
            listed = _matching(path, passed_over)
        else:
            raise InputError(f"Expected an image, but there is no file or folder {path}.")
        for each in listed:
            found.setdefault(each.path.resolve(), each)
    return list(found.values())


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not is_store(path)


def _walk(folder: Path, passed_over: set[Path]) -> Iterator[Path]:
    """Images of a folder, then those of its folders."""

    def refuse(error: OSError) -> None:
        reason = error.strerror or str(error)
        raise ImageFileError(f"Cannot list the folder {error.filename}: {reason}.") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        inside = [here / name for name in folders if not name.startswith(".")]
        stores = [path for path in inside if is_store(path)]
        images = [path for name in files if is_readable(path := here / name)]
        yield from sorted([*images, *stores], key=natural_key)
        entered = [
            path
            for path in sorted(inside, key=natural_key)
            if not is_store(path) and path.resolve() not in passed_over
        ]
        folders[:] = [path.name for path in entered]


def _matching(pattern: Path, passed_over: set[Path]) -> list[Found]:
    """Images that a glob matches, with their places below its part without wildcards."""
    fixed = Path()
    for part in pattern.parts:
        if glob.has_magic(part):
            break
        fixed /= part
    matched = []
    for path in fixed.glob(str(pattern.relative_to(fixed))):
        relative = path.relative_to(fixed)
        above = [fixed / parent for parent in relative.parents if parent.name]
        is_image = path.is_dir() if is_store(path) else is_readable(path) and path.is_file()
        is_inside = any(is_store(each) or each.resolve() in passed_over for each in above)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        if is_image and not is_inside and not is_hidden:
            matched.append(Found(path, relative))
    if not matched:
        raise InputError(f"Expected images, but none matches {pattern}.")
    return sorted(matched, key=lambda each: (each.relative.parent, natural_key(each.path)))
