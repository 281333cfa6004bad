"""Sources of a training: images, and their second shots or clean images.

Noisy images alone are given as they are. Two shots of the same scenes, noisy images with
clean ones, and clean images alone have a class each. Files of two folders are matched by
name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.images.array_files import is_array_file, open_array
from napari_vae_restore.images.arrays import as_image, open_image
from napari_vae_restore.training.degradations import FACTORS

_log = logging.getLogger(__name__)

Images: TypeAlias = Any
"""An array or layer, a sequence of them, or the path of a file or a folder; files are
pictures, ``.npy`` or Zarr arrays."""

SIMULATED: Final = ("denoise", "inpaint", "super-resolve")  # tasks that can be simulated
_NAMED: Final = 3  # names that an error message lists


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """Two noisy shots of the same scenes, pixel on pixel (Noise2Noise).

    Parameters
    ----------
    first, second : array, layer, path, or sequence of them
        As many images in both, of the same shapes; of folders, files of the same names.

    References
    ----------
    J. Lehtinen et al., "Noise2Noise", ICML 2018, arXiv:1803.04189.
    """

    first: Images
    second: Images


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Measured images with their clean images.

    Parameters
    ----------
    measured : array, layer, path, or sequence of them
        Noisy images, or small ones.
    clean : array, layer, path, or sequence of them
        As many, pixel on pixel, of folders the files of the same names; or all 2, 3 or 4
        times as high and wide, for super-resolution.
    """

    measured: Images
    clean: Images


@dataclass(frozen=True, slots=True, eq=False)
class Clean:
    """Clean images, on which degradations are simulated.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        Clean, or at high resolution.
    tasks : sequence of str
        Tasks to simulate, and their mixtures: "denoise", "inpaint", "super-resolve".

    Raises
    ------
    InputError
        For another task, or none.
    """

    images: Images
    tasks: tuple[str, ...] = SIMULATED

    def __post_init__(self) -> None:
        tasks = (self.tasks,) if isinstance(self.tasks, str) else tuple(self.tasks)
        if not tasks or not set(tasks) <= set(SIMULATED):
            raise InputError(f"tasks: expected some of {', '.join(SIMULATED)}, got {tasks!r}")
        object.__setattr__(self, "tasks", tasks)


Source: TypeAlias = Images | Shots | Pairs | Clean


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An image that was given and has not been read."""

    name: str  # of its file or layer, or "image 3"
    given: Any  # an array, a layer or a path


Items: TypeAlias = tuple[Item, ...]
"""One image, or a measured one with its second shot or clean image."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A checked image of a user."""

    name: str  # of its file, or "image 3"
    data: NDArray[Any]  # checked by :func:`~napari_vae_restore.images.arrays.as_image`
    axes: str  # one letter per dimension


LoadedItems: TypeAlias = tuple[Loaded, ...]
"""The same, read."""


def items_of(source: Source) -> list[Items]:
    """Every image of a source, unread, with its second shot or clean image if it has one."""
    if isinstance(source, Shots):
        return matched(source.first, source.second)
    if isinstance(source, Pairs):
        return matched(source.measured, source.clean)
    return [(item,) for item in listed(source.images if isinstance(source, Clean) else source)]


def load(
    items: Sequence[Items],
    axes: str | None = None,
    *,
    skip_unreadable: bool = False,
    may_have_nan: bool = False,
) -> list[LoadedItems]:
    """Read and check images; NaN, where allowed, marks unmeasured pixels."""
    if not items:
        raise InputError("expected at least one image to train on, got an empty sequence")
    check = partial(as_image, may_have_nan=may_have_nan)
    loaded, bad = [], []
    for item in items:
        try:
            loaded.append(tuple(opened(each, axes, check, mapped=False) for each in item))
        except (ImageFileError, InputError) as error:
            if len(items) == 1 or not all(isinstance(each.given, Path) for each in item):
                raise
            bad.append(str(error))
    if bad and not (skip_unreadable and loaded):
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        files = "files" if len(items[0]) == 1 else "pairs of files"
        raise ImageFileError(
            f"{len(bad)} of {len(items)} {files} cannot be used: "
            f"{'; '.join(bad[:_NAMED])}{more}: take them out, or skip them "
            "(skip_unreadable=True, --skip-unreadable)"
        )
    for words in bad:
        _log.warning("skipped: %s", words)
    return loaded


def load_images(images: Images, axes: str | None = None, **options: bool) -> list[Loaded]:
    """Read and check images alone; options as for :func:`load`."""
    return [image for (image,) in load(items_of(images), axes, **options)]


def opened(
    item: Item,
    axes: str | None,
    check: Callable[..., tuple[Any, str]] = open_image,
    *,
    mapped: bool = True,
) -> Loaded:
    """An image, checked; by default its data are read by slicing."""
    from napari_vae_restore.images.image_files import read_image

    path = item.given
    if not isinstance(path, Path):
        return Loaded(item.name, *check(path, axes))
    if is_array_file(path):
        data, own_axes = open_array(path)
    else:
        picture = read_image(path, mapped=mapped)
        data, own_axes = picture.data, picture.axes
    try:
        return Loaded(item.name, *check(data, axes or own_axes))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def matched(first: Images, second: Images) -> list[Items]:
    """Match two sources, unread: files by name, others by order."""
    ones, others = listed(first), listed(second)
    if is_folder(first) and is_folder(second):
        by_stem = {Path(item.name).stem: item for item in others}
        stems = [Path(item.name).stem for item in ones]
        if alone := sorted(set(stems) ^ set(by_stem)):
            more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
            raise InputError(
                f"expected files of the same names in {first} and {second}, but "
                f"{', '.join(alone[:_NAMED])}{more} came in one of them only"
            )
        others = [by_stem[stem] for stem in stems]
    if len(ones) != len(others):
        raise InputError(
            f"expected as many images on both sides, got {len(ones)} and {len(others)}"
        )
    return list(zip(ones, others, strict=True))


def factor_between(measured: Loaded, clean: Loaded) -> int:
    """Clean pixels per measured one along both sides, by the shapes alone."""
    small, large = measured.data.shape, clean.data.shape
    axes = dict(zip(measured.axes, small, strict=True))
    for factor in (1, *FACTORS):
        if large == tuple(n * factor if axis in "YX" else n for axis, n in axes.items()):
            return factor
    raise InputError(
        f"expected a clean image of the shape {small} of {measured.name}, or 2, 3 or 4 times "
        f"as high and wide, got {large} of {clean.name}"
    )


def is_folder(images: Images) -> bool:
    """Whether images are given as a folder of pictures, not as a Zarr array."""
    if not isinstance(images, str | Path):
        return False
    return Path(images).is_dir() and not is_array_file(Path(images))


def listed(images: Images) -> list[Item]:
    """Every single image, unread; a folder stands for the pictures in it."""
    if isinstance(images, str | Path):
        from napari_vae_restore.images.image_files import list_images

        path = Path(images)
        files = list_images(path) if is_folder(path) else [path]
        return [Item(file.name, file) for file in files]
    if not isinstance(images, Sequence):
        return [Item(str(getattr(images, "name", None) or "image 1"), images)]
    items: list[Item] = []
    for number, image in enumerate(images, start=1):
        is_path = isinstance(image, str | Path)
        items += listed(image) if is_path else [Item(f"image {number}", image)]
    return items
