"""Files, folders, globs and stores, expanded into the paths of single images.

Only the names in folders are read; whether an image can be restored shows later.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.images.image_files import is_readable, natural_key
from napari_vae_restore.images.zarr_files import is_store


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image file or store."""

    path: Path
    relative: Path  # to the folder in which all results lie


def is_several(images: Sequence[str | Path]) -> bool:
    """Whether paths may mean more than one image: several paths, a folder, or a glob."""
    if len(images) != 1:
        return True
    path = Path(images[0])
    return _is_folder(path) or (not path.exists() and glob.has_magic(str(path)))


def find_images(
    images: Iterable[str | Path], *, without: Collection[Path] = ()
) -> list[FoundImage]:
    """Expand files, stores, folders (with all below them) and globs into images, each once.

    Existing paths are no globs, whatever their names. `without` are folders to pass over,
    such as that of the results. Inside a folder, t2 comes before t10. Of several folders
    the results keep the folders' names, too.
    """
    given = [Path(image).expanduser() for image in images]
    passed_over = {path.resolve() for path in without}
    n_folders = sum(_is_folder(path) for path in given)
    found: dict[Path, FoundImage] = {}
    for path in given:
        if _is_folder(path):
            top = Path(path.resolve().name) if n_folders > 1 else Path()
            listed = [
                FoundImage(file, top / file.relative_to(path))
                for file in _walk(path, passed_over)
            ]
            if not listed:
                raise InputError(f"Expected images, but there is none in the folder {path}.")
        elif path.exists():
            listed = [FoundImage(path, Path(path.name))]
        elif glob.has_magic(str(path)):
            listed = _matching(path, passed_over)
        else:
            raise InputError(f"Expected an image, but there is no file or folder {path}.")
        for each in listed:
            found.setdefault(each.path.resolve(), each)
    return list(found.values())


def partners_of(
    found: Sequence[FoundImage], folder: Path, *, endings: Sequence[str] = ("",)
) -> list[Path | None]:
    """The file of another folder that belongs to each image, by its name; None without one.

    It lies at the same place below that folder, or anywhere under its mere name, with one
    of the `endings` between name and suffix. An image is never its own partner.
    """
    others: dict[Path, Path] = {}
    for each in find_images([folder]):
        stem, _ = split_name(each.path)
        others.setdefault(each.relative.with_name(stem), each.path)
        others.setdefault(Path(stem), each.path)
    partners = []
    for each in found:
        stem, _ = split_name(each.path)
        names = [f"{stem}{ending}" for ending in endings]
        places = [each.relative.with_name(name) for name in names] + list(map(Path, names))
        own = [others[place] for place in places if place in others]
        partners.append(next((path for path in own if not path.samefile(each.path)), None))
    return partners


def split_name(path: Path) -> tuple[str, str]:
    """A file's name and its ending, ".ome.tif" being one.

    Examples
    --------
    >>> split_name(Path("data/cells.v2.ome.tif"))
    ('cells.v2', '.ome.tif')
    """
    ending = path.suffix
    if Path(path.stem).suffix.lower() == ".ome":
        ending = Path(path.stem).suffix + ending
    return path.name.removesuffix(ending), ending


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


def _matching(pattern: Path, passed_over: set[Path]) -> list[FoundImage]:
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
            matched.append(FoundImage(path, relative))
    if not matched:
        raise InputError(f"Expected images, but none matches {pattern}.")
    return sorted(matched, key=lambda each: (each.relative.parent, natural_key(each.path)))
