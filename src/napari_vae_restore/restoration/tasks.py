"""Restoration tasks: what was done to the image that is to be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.lazy_arrays import as_dask, is_lazy, packed_digest
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.operators import Blur
from napari_vae_restore.operators.resampling import KERNELS

MAX_FACTOR = 4  # largest factor of super-resolution that models are trained for

FILLS: Final = ("mean", "sample")  # what missing pixels get


@dataclass(frozen=True, slots=True)
class Denoise:
    """Removal of noise.

    Parameters
    ----------
    noise : NoiseModel, str or sequence of NoiseModel, optional
        The image's noise in its own intensity units: a model, "auto", "gaussian",
        "poisson-gaussian", "gaussian:SIGMA" or "poisson-gaussian:A,B", each with
        "@RHO_Y,RHO_X" or "@row:RHO" for noise whose neighbours correlate; or one model for
        each channel. By default the noise of the images that the model was trained on, and
        "auto" where they had no common one.
    """

    noise: NoiseModel | str | Sequence[NoiseModel] | None = None

    kind: ClassVar[str] = "denoise"

    def to_dict(self) -> dict[str, Any]:
        """JSON form for recipes."""
        noise: Any = self.noise
        if noise is not None:
            is_list = isinstance(noise, Sequence) and not isinstance(noise, str)
            noise = [str(each) for each in noise] if is_list else str(noise)
        return {"kind": self.kind, "noise": noise}


@dataclass(frozen=True, slots=True, eq=False)
class Inpaint:
    """Filling of missing pixels; where there is no noise, the others stay bit-identical.

    Parameters
    ----------
    mask : array-like
        True, or any value but 0, where a pixel is missing; boolean or integer. Of the
        image's shape, of its shape without the channels, or (Y, X) for every plane.
        What the image holds under it is not read. A dask or zarr array stays lazy.
    name : str
        Where the mask came from, such as a file's name, for the recipe.
    fill : {"mean", "sample"}
        What the missing pixels get: the average of all fillings that agree with the rest,
        which is closest to the truth as a rule and the one to measure on; or one plausible
        filling, drawn at random. A sample has the grain of what is around it, where the
        image's noise stays.

    Raises
    ------
    InputError
        If the mask is neither boolean nor integer, or for another fill.
    """

    mask: NDArray[np.bool_] = field(repr=False)
    name: str = ""
    fill: str = "mean"

    kind: ClassVar[str] = "inpaint"

    def __post_init__(self) -> None:
        mask = as_dask(self.mask) if is_lazy(self.mask) else np.asarray(self.mask)
        if mask.dtype.kind == "O":
            raise InputError(
                f"mask: expected an array of booleans or integers, got a "
                f"{type(self.mask).__name__}: of a Shapes or Labels layer give "
                "mask_of(layer, image_layer)"
            )
        if mask.dtype.kind not in "biu":
            raise InputError(
                f"mask: expected booleans or integers, True where a pixel is missing, got "
                f"{mask.dtype}: threshold it first, such as mask > 0.5"
            )
        if self.fill not in FILLS:
            raise InputError(f"fill: expected one of {', '.join(FILLS)}, got {self.fill!r:.40}")
        object.__setattr__(self, "mask", mask != 0)

    def to_dict(self) -> dict[str, Any]:
        """JSON form for recipes; a hash stands for the mask."""
        digest, missing = packed_digest(self.mask)
        form = {
            "kind": self.kind,
            "mask": self.name,
            "shape": list(self.mask.shape),
            "missing": missing,
            "mask_sha256": digest,
        }
        return form if self.fill == "mean" else form | {"fill": self.fill}


@dataclass(frozen=True, slots=True)
class SuperResolve:
    """Enlargement of an image that was blurred and down-sampled.

    Parameters
    ----------
    factor : int
        2, 3 or 4: output pixels for each input pixel along Y and X.
    kernel : str
        What an input pixel saw: "bicubic" (an antialiased down-sampling), "box" (the
        mean over its area, as binning makes it) or "gaussian". The result, reduced by
        it, gives the image again.

    Raises
    ------
    InputError
        For another factor or kernel.
    """

    factor: int
    kernel: str = "bicubic"

    kind: ClassVar[str] = "super-resolve"

    def __post_init__(self) -> None:
        is_integer = isinstance(self.factor, int | np.integer)
        if (
            not is_integer
            or isinstance(self.factor, bool)
            or not 2 <= self.factor <= MAX_FACTOR
        ):
            raise InputError(f"factor: expected 2, 3 or 4, got {self.factor!r:.40}")
        if self.kernel not in KERNELS:
            raise InputError(
                f"kernel: expected one of {', '.join(KERNELS)}, got {self.kernel!r:.40}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON form for recipes."""
        return {"kind": self.kind, "factor": int(self.factor), "kernel": self.kernel}


@dataclass(frozen=True, slots=True, eq=False)
class Deblur:
    """Removal of a known blur, which no network is trained for: plug-and-play inference.

    Parameters
    ----------
    psf : array-like
        Point spread function, (h, w), of any positive sum; its centre is the pixel
        (h // 2, w // 2). A measured one, a motion, or a microscope's.

    Raises
    ------
    InputError
        If it is not a real array of two axes with a positive sum.
    """

    psf: NDArray[np.float64] = field(repr=False)

    kind: ClassVar[str] = "deblur"

    def __post_init__(self) -> None:
        object.__setattr__(self, "psf", Blur(np.asarray(self.psf)).psf)

    def to_dict(self) -> dict[str, Any]:
        """JSON form for recipes."""
        return {"kind": self.kind, "psf": self.psf.tolist()}


Task = Denoise | Inpaint | SuperResolve | Deblur


@dataclass(frozen=True, slots=True)
class TaskKind:
    """All that is particular to a kind of task, besides its operator."""

    task: type[Task]
    doing: str
    done: str
    keys: frozenset[str]  # of its JSON form
    supplied: str = ""  # what a model adds that nobody measured


# Every kind of task, the boldest last; a result is named after the boldest of its tasks.
KINDS: Final = {
    kind.task.kind: kind
    for kind in (
        TaskKind(Denoise, "denoising", "denoised", frozenset({"noise"})),
        TaskKind(Deblur, "deblurring", "deblurred", frozenset({"psf"})),
        TaskKind(
            Inpaint,
            "filling",
            "inpainted",
            frozenset({"mask", "shape", "missing", "mask_sha256", "feather", "fill"}),
            "what was missing was filled in",
        ),
        TaskKind(
            SuperResolve,
            "enlarging",
            "super-resolved",
            frozenset({"factor", "kernel"}),
            "details finer than the pixels of the image were added",
        ),
    )
}


def image_for(
    image: object, axes: str | None, tasks: Task | Sequence[Task]
) -> tuple[NDArray[Any], str]:
    """The image as an array with known axes, if the tasks can be done to its values.

    Where a mask says what is missing, anything may be under it; where noise is removed, a
    pixel that is not a number was not measured.
    """
    listed = tasks if isinstance(tasks, Sequence) else (tasks,)
    return as_image(
        image,
        axes,
        may_have_holes=any(isinstance(task, Inpaint) for task in listed),
        may_have_nan=any(isinstance(task, Denoise) for task in listed),
        min_side=1,
    )
