"""Tasks made into one measurement, y = A x + noise, for each plane of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.estimation.estimate import is_estimated, resolve_noise
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.numbers import Mask
from napari_vae_restore.operators import (
    Blur,
    Composition,
    Downsampling,
    Identity,
    Masking,
    Operator,
)
from napari_vae_restore.restoration.tasks import Deblur, Denoise, Inpaint, SuperResolve, Task

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """All tasks on one image, in the order of the physics.

    First the blur, then the coarser pixels, then the loss of some, and last the noise.
    """

    denoising: Denoise | None  # none where the measurement is taken as free of noise
    # (N, C, H, W) bool, a view; None where nothing is missing, or where others read it.
    missing: Any
    fills: bool  # whether pixels are missing
    draws: bool  # whether these get a sample, in place of the mean
    factor: int  # output pixels for each input pixel along both sides
    kernel: str  # of the down-sampling
    blur: Blur | None  # which no network was trained on
    tasks: tuple[Task, ...]  # as given

    @classmethod
    def of(cls, tasks: Task | Sequence[Task], layout: Layout) -> Problem:
        """Compose tasks, at most one of each kind, for an image.

        Raises InputError if there is none, an unknown one or one kind twice, or if a mask has
        another shape or leaves nothing of a plane.
        """
        given: dict[type[Task], Any] = {}
        for task in tasks if isinstance(tasks, Sequence) else (tasks,):
            if not isinstance(task, Task):
                raise InputError(
                    f"tasks: expected Denoise(), Inpaint(mask), SuperResolve(factor) or "
                    f"Deblur(psf), or a list of them, got {task!r}"
                )
            if type(task) in given:
                raise InputError(
                    f"tasks: {task.kind} is there twice: put what both say into one"
                )
            given[type(task)] = task
        if not given:
            raise InputError("tasks: expected at least one, such as Denoise(), got none")
        inpainting, enlarging = given.get(Inpaint), given.get(SuperResolve)
        deblurring = given.get(Deblur)
        return cls(
            denoising=given.get(Denoise),
            missing=None if inpainting is None else missing_planes(inpainting, layout),
            fills=inpainting is not None,
            draws=inpainting is not None and inpainting.fill == "sample",
            factor=1 if enlarging is None else enlarging.factor,
            kernel="bicubic" if enlarging is None else enlarging.kernel,
            blur=None if deblurring is None else Blur(deblurring.psf),
            tasks=tuple(given.values()),
        )

    @property
    def is_denoising_alone(self) -> bool:
        """Whether models that know noise only can solve it."""
        return not self.fills and self.factor == 1 and self.blur is None

    @property
    def keeps_observed(self) -> bool:
        """Whether observed pixels stay bit-identical in a noise-free image."""
        return self.fills and self.factor == 1 and self.blur is None

    @property
    def loses_all_channels_alike(self) -> bool:
        """Whether the same pixels are missing in every channel of a plane."""
        missing = self.missing
        return missing is None or bool((missing == missing[:, :1]).all())

    def without_mask(self) -> Problem:
        """The same for those who are given what is missing window by window."""
        return replace(self, missing=None, tasks=())

    def measures_noise(self, model: Model) -> bool:
        """Whether the noise has to be looked for in the image."""
        noise = self._noise(model)
        return isinstance(noise, str) and is_estimated(noise)

    def _noise(self, model: Model) -> NoiseModel | str | Sequence[NoiseModel] | None:
        """What is said of the noise, by the task or else by the model; None without noise."""
        if self.denoising is None or self.denoising.noise is not None:
            return None if self.denoising is None else self.denoising.noise
        return model.noise or "auto"

    def noise_models(
        self, planes: NDArray[Any], missing: Mask | None, model: Model
    ) -> tuple[NoiseModel, ...]:
        """p(y | s) of each channel of planes (N, C, H, W) or a sample; none without noise."""
        noise = self._noise(model)
        if noise is None:
            return ()
        n_channels = planes.shape[1]
        if isinstance(noise, Sequence) and not isinstance(noise, str):
            if len(noise) != n_channels:
                raise InputError(
                    f"noise: expected one model for each of {n_channels} channels, got "
                    f"{len(noise)}"
                )
            return tuple(noise)
        masks = [None if missing is None else ~missing[:, c] for c in range(n_channels)]
        return tuple(
            resolve_noise(noise, planes[:, c], observed=observed)
            for c, observed in enumerate(masks)
        )

    def operator(self, observed: Mask | None) -> Operator:
        """A, from the output grid to a plane (C, H, W) or to a part of it."""
        steps: list[Operator] = [] if self.blur is None else [self.blur]
        if self.factor > 1:
            steps.append(Downsampling(self.factor, self.kernel))
        if observed is not None:
            steps.append(Masking(observed))
        if len(steps) > 1:
            return Composition(*steps)
        return steps[0] if steps else Identity()


def missing_planes(task: Inpaint, layout: Layout) -> Any:
    """The mask of a task as bool planes (N, C, H, W), a view where it can be one.

    Raises InputError if the mask does not fit the image, or covers a whole plane.
    """
    mask, axes, shape = task.mask, layout.axes, layout.shape
    spatial = tuple(n for n, letter in zip(shape, axes, strict=True) if letter in "YX")
    grey = tuple(n for n, letter in zip(shape, axes, strict=True) if letter not in "CS")
    for kept, expected in (
        (axes, shape),
        (axes.translate(_NO_CHANNELS), grey),
        ("YX", spatial),
    ):
        if mask.shape == expected:
            letters = "".join(a for a in axes if a in kept)
            spread = tuple(slice(None) if a in letters else None for a in axes)
            whole = np.broadcast_to(mask[spread], shape)
            break
    else:
        options = " or ".join(str(s) for s in dict.fromkeys((shape, grey, spatial)))
        raise InputError(
            f"mask: expected the shape {options} for an image {axes} {shape}, got {mask.shape}"
        )
    missing = layout.to_planes(whole)
    if isinstance(missing, np.ndarray) and bool(missing.all(axis=(2, 3)).any()):
        raise InputError(
            "mask: it covers a whole plane, and nothing is left to infer it from: leave some "
            "pixels of each plane and channel out of it"
        )
    return missing


_NO_CHANNELS = str.maketrans("", "", "CS")
