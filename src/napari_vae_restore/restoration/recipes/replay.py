"""Recipes and masks from files: what is to be done to an image, read back.

A recipe is the JSON that :class:`~.result.Recipe` gives, in a file of its own or in the
description of a result. Written by hand, it may hold the tasks alone. The numbers are checked
by :func:`~.restore.restore`, to which they are passed on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_vae_restore import __version__
from napari_vae_restore.errors import InputError, shortened
from napari_vae_restore.images.array_files import is_array_file, open_array, stored_recipe
from napari_vae_restore.images.image_files import read_image
from napari_vae_restore.models.bundled import DEFAULT
from napari_vae_restore.noise.notation import parse_noise
from napari_vae_restore.restoration.recipes.code import MASK_IS_GONE
from napari_vae_restore.restoration.result import Recipe
from napari_vae_restore.restoration.tasks import (
    KINDS,
    Deblur,
    Denoise,
    Inpaint,
    SuperResolve,
    Task,
)

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_IMAGES = (".tif", ".tiff", ".png")  # endings of the files whose description holds a recipe

REMARKS = ("is", "note")  # what a file says of itself beside its recipe
_KEYS = {field.name for field in fields(Recipe)} | set(REMARKS)

_Value = TypeVar("_Value", int, str)


@dataclass(frozen=True, slots=True)
class Request:
    """What a recipe asks for."""

    tasks: tuple[Task, ...]  # at least one
    model: str = DEFAULT  # name of the model; "default" is the bundled one
    # As for :func:`~.restore.restore`.
    n_samples: int = 0
    seed: int = 0
    tile: int | None = None  # the same
    axes: str | None = None  # axes of the image
    # Hashes that the recipe was made with; empty where it does not tell.
    model_sha256: str = ""
    mask_sha256: str = ""

    def departures(self, model: Model) -> list[str]:
        """Say in what a run with a model departs from the recipe."""
        found = []
        if self.model_sha256 and model.sha256 != self.model_sha256:
            found.append(
                f"the recipe was made with another model named {self.model!r}: the result will "
                "differ"
            )
        masks = [t.to_dict()["mask_sha256"] for t in self.tasks if isinstance(t, Inpaint)]
        if self.mask_sha256 and masks != [self.mask_sha256]:
            found.append("the recipe was made with another mask: the result will differ")
        return found


def read_recipe(path: str | Path, *, mask: str | Path | None = None) -> Request:
    """Read a recipe from JSON, or from a result that this package wrote (TIFF, PNG, Zarr).

    The mask that it names is looked for from the recipe's folder, unless another is given.
    Raises InputError if it is no recipe, has an unknown key or task, a value of another type or
    a mask that cannot be used; ImageFileError if an image cannot be read.
    """
    path = Path(path)
    values = recipe_values(path)
    try:
        return request_of(values, path.parent, mask=mask)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def tasks_of(
    recipe: Mapping[str, Any], *, missing: Any = None, resolved: bool = False
) -> list[Task]:
    """The tasks of a recipe that was made in this session, `missing` its mask.

    With `resolved`, the noise that was found, in place of the one that was asked for. Raises
    InputError if the mask is not given though the recipe fills holes, or for an unknown task.
    """
    tasks: list[Task] = []
    for form in recipe["tasks"]:
        if form["kind"] == Inpaint.kind:
            if missing is None:
                raise InputError(MASK_IS_GONE)
            tasks.append(Inpaint(missing, str(form.get("mask", "")), form.get("fill", "mean")))
        elif form["kind"] == Denoise.kind and resolved:
            tasks.append(Denoise([parse_noise(text) for text in recipe["noise"]]))
        else:
            tasks.append(_task(form, Path(), None))
    return tasks


def read_mask(path: str | Path) -> Inpaint:
    """Read a mask from an image or a Zarr store: 0 where a pixel was measured.

    In a picture in colour, as drawing programs save masks, a pixel is missing where any colour
    is not 0 and the alpha, if there is one, not 0 either. Raises InputError for other values
    and for JPEG, ImageFileError if the file cannot be read.
    """
    if is_array_file(Path(path)):
        return Inpaint(open_array(Path(path))[0], str(path))
    image = read_image(path)
    if image.format == "jpeg":
        raise InputError(
            f"mask {path}: JPEG changes values near every edge, so that 0 does not stay 0: "
            "save the mask as PNG or TIFF"
        )
    try:
        mask: Any = Inpaint(image.data).mask
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if "S" in image.axes:
        samples = np.moveaxis(mask, image.axes.index("S"), -1)
        has_alpha = samples.shape[-1] in (2, 4)
        colours = samples[..., :-1] if has_alpha else samples
        mask = np.asarray(colours.any(axis=-1))
        if has_alpha:
            mask &= samples[..., -1]
    return Inpaint(mask, str(path))


def recipe_values(path: Path) -> dict[str, Any]:
    """Read the JSON object of a recipe without looking at what it asks for.

    Raises InputError if there is none, ImageFileError if it is an image that cannot be read.
    """
    is_image = path.suffix.lower() in (*_IMAGES, ".zarr")
    try:
        if is_array_file(path):
            text = stored_recipe(path)
        else:
            text = read_image(path).description if is_image else path.read_text("utf-8-sig")
        values = json.loads(text)
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        found = (
            "its description holds none" if is_image else f"it is not JSON ({shortened(error)})"
        )
        raise InputError(
            f"{path}: expected a recipe, but {found}: give a result of this program, or a file "
            "with its description"
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a recipe, one JSON object, got {values!r:.40}")
    return values


def request_of(
    values: Mapping[str, Any], folder: str | Path = "", *, mask: str | Path | None = None
) -> Request:
    """Make a request of a recipe's values; all but ``"tasks"`` may be absent.

    The mask that the recipe names is looked for from `folder`, unless another is given. Raises
    InputError and ImageFileError as :func:`read_recipe`.
    """
    folder, mask = Path(folder), None if mask is None else Path(mask)
    _check_keys("recipe", values, _KEYS, version=values.get("package_version"))
    given = values.get("tasks")
    if not isinstance(given, list) or not given:
        raise InputError(
            'tasks: expected a list with at least one, such as [{"kind": "denoise"}], got '
            f"{given!r:.40}"
        )
    tasks = tuple(_task(form, folder, mask) for form in given)
    if mask is not None and not any(isinstance(task, Inpaint) for task in tasks):
        raise InputError("a mask was given, but no task of the recipe fills anything")
    number, text = partial(_value, values, int), partial(_value, values, str)
    return Request(
        tasks,
        model=text("model", DEFAULT),
        n_samples=number("n_samples", 0),
        seed=number("seed", 0),
        tile=number("tile", 0) or None,
        axes=text("axes", "") or None,
        model_sha256=text("model_sha256", ""),
        mask_sha256="".join(_value(form, str, "mask_sha256", "") for form in given),
    )


def _task(form: Any, folder: Path, mask: Path | None) -> Task:
    kind = form.get("kind") if isinstance(form, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(
            f'tasks: expected objects with a "kind" out of {", ".join(KINDS)}, got {form!r:.60}'
        )
    _check_keys(f"task {kind}", form, {"kind", *KINDS[kind].keys})
    match kind:
        case Denoise.kind:
            return _denoise(form.get("noise"))
        case Inpaint.kind:
            return _inpaint(form, folder, mask)
        case SuperResolve.kind:
            return SuperResolve(form.get("factor"), _value(form, str, "kernel", "bicubic"))
    try:
        psf = np.asarray(form.get("psf"), np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError("psf: expected rows of numbers, all of one length") from None
    return Deblur(psf)


def _denoise(noise: Any) -> Denoise:
    if isinstance(noise, list) and all(isinstance(each, str) for each in noise):
        return Denoise([parse_noise(each) for each in noise])
    if noise is None or isinstance(noise, str):
        return Denoise(noise)
    raise InputError(
        'noise: expected text such as "auto" or "gaussian:12.5", or a list of such, got '
        f"{noise!r}"
    )


def _inpaint(form: Mapping[str, Any], folder: Path, mask: Path | None) -> Inpaint:
    if width := _value(form, int, "feather", 0):
        raise InputError(
            f"the recipe's fill fades into the image over {width} pixels, which Python does "
            "alone: vr.feathered(out, image, mask, width)"
        )
    fill = _value(form, str, "fill", "mean")
    if mask is None:
        name = _value(form, str, "mask", "")
        mask = folder / name
        try:
            is_there = bool(name) and mask.exists()
        except OSError:  # of a name that no file can have
            is_there = False
        if not is_there:
            problem = f"no {mask!s:.200}" if name else "it names none"
            raise InputError(
                f"the recipe's mask is not there ({problem}): give it, --mask FILE"
            )
    return replace(read_mask(mask), fill=fill)


def _check_keys(
    what: str, values: Mapping[str, Any], known: set[str], *, version: object = None
) -> None:
    if not (unknown := sorted(set(values) - known)):
        return
    advice = f"use those out of {', '.join(sorted(known))}"
    if version not in (None, __version__):
        advice = f"it was made by version {version}, and this is {__version__}: update"
    raise InputError(f"{what}: unknown {', '.join(map(repr, unknown))}: {advice}")


def _value(values: Mapping[str, Any], kind: type[_Value], name: str, default: _Value) -> _Value:
    """One value of a type; `default` where it is absent or null."""
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = "an integer" if kind is int else "text"
        raise InputError(f"{name}: expected {expected}, got {value!r:.40}")
    return value
