"""What a user has to learn from: images, and what goes with them.

Noisy images alone are given as they are. Two shots of the same scenes, noisy images with
clean ones, and clean images alone are told apart by the classes here. Files of two
folders belong together by their names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from numpy.typing import NDArray

from napari_vae_restore.array_files import is_array_file, open_array
from napari_vae_restore.arrays import as_image
from napari_vae_restore.errors import ImageFileError, InputError

_log = logging.getLogger(__name__)

Images: TypeAlias = Any
"""An array or layer, a sequence of them, or the path of a file or a folder; files are
pictures, ``.npy`` or Zarr arrays."""

SIMULATED: Final = ("denoise", "inpaint", "super-resolve")
"""Tasks that can be simulated on clean images."""

_NAMED: Final = 3


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
    """Measured images, and what they should have been.

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
    """Clean images, on which what is to be undone is simulated.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        Clean, or at high resolution.
    tasks : sequence of str
        What to simulate, and mixtures of it: "denoise", "inpaint", "super-resolve".

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
class Loaded:
    """One image of a user's.

    Attributes
    ----------
    name : str
        Of its file, or "image 3".
    data : numpy.ndarray
        Checked by :func:`~napari_vae_restore.arrays.as_image`.
    axes : str
        One letter per dimension.
    """

    name: str
    data: NDArray[Any]
    axes: str


def names_of(source: Source) -> tuple[str, ...]:
    """Names of the files, layers or arrays of a source; of matched ones, of the first."""
    if isinstance(source, Shots):
        source = source.first
    elif isinstance(source, Pairs):
        source = source.measured
    elif isinstance(source, Clean):
        source = source.images
    return tuple(str(name) for name, _ in _listed(source))


def load_images(
    images: Images, axes: str | None = None, *, skip_unreadable: bool = False
) -> list[Loaded]:
    """Read and check images.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        A folder stands for the images in it.
    axes : str, optional
        Of the arrays; read or guessed by default.
    skip_unreadable : bool
        Whether a file that cannot be used is passed over with a warning. Every file must
        otherwise be good.

    Returns
    -------
    list of Loaded
        At least one.

    Raises
    ------
    InputError
        For unusable images or axes, or none.
    ImageFileError
        For files that cannot be read, all of them named.
    """
    items = list(_listed(images))
    if not items:
        raise InputError("expected at least one image to train on, got an empty sequence")
    loaded, bad = [], []
    for name, item in items:
        try:
            loaded.append(_loaded(name, item, axes))
        except (ImageFileError, InputError) as error:
            if len(items) == 1 or not isinstance(item, Path):
                raise
            bad.append(str(error))
    if bad and not (skip_unreadable and loaded):
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise ImageFileError(
            f"{len(bad)} of {len(items)} files cannot be used: {'; '.join(bad[:_NAMED])}{more}"
            ": take them out, or skip them (skip_unreadable=True, --skip-unreadable)"
        )
    for words in bad:
        _log.warning("skipped: %s", words)
    return loaded


def load_matched(
    first: Images, second: Images, axes: str | None = None, *, skip_unreadable: bool = False
) -> list[tuple[Loaded, Loaded]]:
    """Read images that belong together one by one.

    Parameters
    ----------
    first, second : array, layer, path, or sequence of them
        Of two folders, files belong together whose names are alike up to their endings.
    axes : str, optional
        Of the arrays; read or guessed by default.
    skip_unreadable : bool
        Whether pairs with an unusable file are passed over with a warning.

    Returns
    -------
    list of (Loaded, Loaded)
        At least one pair; the shapes are whoever's to check who knows what they mean.

    Raises
    ------
    InputError
        If images are left without a partner, or as :func:`load_images`.
    ImageFileError
        As :func:`load_images`.
    """
    ones, others = list(_listed(first)), list(_listed(second))
    if is_folder(first) and is_folder(second):
        by_stem = {Path(name).stem: (name, item) for name, item in others}
        stems = [Path(name).stem for name, _ in ones]
        alone = sorted(set(stems) ^ set(by_stem))
        if alone:
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
    matched = []
    for (name, one), (other_name, other) in zip(ones, others, strict=True):
        try:
            matched.append((_loaded(name, one, axes), _loaded(other_name, other, axes)))
        except (ImageFileError, InputError) as error:
            if not skip_unreadable or not (isinstance(one, Path) and isinstance(other, Path)):
                raise
            _log.warning("skipped: %s", error)
    if not matched:
        raise InputError("expected at least one pair of images to train on, got none")
    return matched


def is_folder(images: Images) -> bool:
    """Whether images are given as a folder of pictures; a Zarr array is none."""
    if not isinstance(images, str | Path):
        return False
    return Path(images).is_dir() and not is_array_file(Path(images))


def _listed(images: Images) -> Iterator[tuple[str, Any]]:
    """Each image as a file's path or as what it came as, under a name."""
    if isinstance(images, str | Path):
        from napari_vae_restore.image_files import list_images

        path = Path(images)
        yield from (
            (file.name, file) for file in (list_images(path) if is_folder(path) else [path])
        )
    elif isinstance(images, Sequence):
        for number, image in enumerate(images, start=1):
            if isinstance(image, str | Path):
                yield from _listed(image)
            else:
                yield f"image {number}", image
    else:
        yield getattr(images, "name", None) or "image 1", images


def _loaded(name: str, item: Any, axes: str | None) -> Loaded:
    if not isinstance(item, Path):
        return Loaded(str(name), *as_image(item, axes))
    from napari_vae_restore.image_files import read_image

    data: Any
    if is_array_file(item):
        data, own_axes = open_array(item)
    else:
        picture = read_image(item)
        data, own_axes = picture.data, picture.axes
    try:
        return Loaded(name, *as_image(data, axes or own_axes))
    except InputError as error:
        raise InputError(f"{item}: {error}") from error
