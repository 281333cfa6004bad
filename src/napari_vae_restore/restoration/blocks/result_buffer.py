"""A result while it is put together; mean and variance are streamed over the samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.layout import Layout, cast
from napari_vae_restore.restoration.blocks.plan import Plan

Place = tuple[int, slice, slice, slice]
"""Plane, channels, rows and columns of a result."""


class ResultBuffer:
    """The planes of a result, (N, C, H, W), while they are computed.

    Each place gets its mean, then its samples. `unmeasured`, of that shape, marks pixels that
    nothing measured; it is None where there are none.
    """

    def __init__(self, plan: Plan, shape: tuple[int, ...] | None = None) -> None:
        n_samples, keep = plan.options.n_samples, plan.options.keep_samples
        shape, dtype = plan.shape if shape is None else shape, plan.layout.dtype
        wide = np.result_type(dtype, np.float32)
        self._dtype, self._n_drawn = dtype, plan.n_drawn
        self.mean = np.empty(shape, wide)
        self._std = np.empty(shape, np.float32) if n_samples >= 2 else None
        self._samples = np.empty((n_samples, *shape), dtype) if keep and n_samples else None
        self.unmeasured: NDArray[np.bool_] | None = None
        self._count = 0
        self._running = self._squares = np.zeros(0)

    def add(self, place: Place, values: NDArray[np.float64]) -> None:
        """Take the next signal of a place: first its mean, then each of its samples."""
        if self._count == 0:
            self.mean[place] = values
            self._running, self._squares = np.zeros_like(values), np.zeros_like(values)
        else:
            # Welford's update (1962), stable for any offset of the intensities.
            delta = values - self._running
            self._running += delta / self._count
            self._squares += delta * (values - self._running)
            if self._samples is not None:
                self._samples[(self._count - 1, *place)] = cast(values, self._samples.dtype)
        self._count += 1
        if self._count > self._n_drawn:
            if self._std is not None:
                self._std[place] = np.sqrt(self._squares / (self._n_drawn - 1))
            self._count = 0

    def fill(
        self, place: Place, values: NDArray[np.float64], missing: NDArray[np.bool_]
    ) -> None:
        """Put a drawn filling (C, h, w) in the place of the mean."""
        np.copyto(self.mean[place], values, where=missing, casting="same_kind")

    def drop(self) -> None:
        """Forget the signals of a place that did not get all of them."""
        self._count = 0

    def keep(self, place: Place, values: NDArray[Any], observed: NDArray[np.bool_]) -> None:
        """Put the image's values (C, h, w) in, bit for bit, where it was measured."""
        np.copyto(self.mean[place], values, where=observed, casting="same_kind")
        if self._std is not None:
            self._std[place][observed] = 0
        if self._samples is not None:
            np.copyto(self._samples[(slice(None), *place)], values, where=observed)

    def leave(self, place: Place, values: NDArray[Any], unmeasured: NDArray[np.bool_]) -> None:
        """Put what nothing measured in, bit for bit, and remember where it is."""
        self.keep(place, values, unmeasured)
        if self.unmeasured is None:
            self.unmeasured = np.zeros(self.mean.shape, bool)
        self.unmeasured[place] |= unmeasured

    def planes(self) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """Mean and samples in the image's dtype, and standard deviation, as planes."""
        return cast(self.mean, self._dtype), self._std, self._samples

    def finish(
        self, layout: Layout, image: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """Mean, standard deviation and samples in the image's own axes and dtype."""

        def back(planes: NDArray[Any]) -> NDArray[Any]:
            return layout.from_planes(planes, like=image)

        mean, std, samples = self.planes()
        return (
            back(mean),
            None if std is None else layout.from_planes(std),
            # Told the dtype, since stack returns the machine's byte order.
            None
            if samples is None
            else np.stack([back(each) for each in samples], dtype=self._dtype),
        )
