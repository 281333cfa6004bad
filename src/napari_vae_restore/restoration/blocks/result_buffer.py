"""A result while it is put together; mean and variance are streamed over the samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.layout import Layout, cast
from napari_vae_restore.restoration.blocks.plan import Plan

Place = tuple[int, slice, slice, slice]  # plane, channels, rows and columns of a result


class ResultBuffer:
    """The planes of a result, (N, C, H, W), or of one place in it, while they are computed.

    Each place gets its mean, then its samples. `unmeasured`, of that shape, marks pixels that
    nothing measured; it is None where there are none.
    """

    def __init__(self, plan: Plan, alone: Place | None = None) -> None:
        shape, self._start = plan.shape, (0, 0, 0, 0)
        if alone is not None:
            plane, *sides = alone
            channels, rows, columns = (side.stop - side.start for side in sides)
            shape = 1, channels, rows, columns
            self._start = plane, sides[0].start, sides[1].start, sides[2].start
        n_samples, keep = plan.options.n_samples, plan.options.keep_samples
        self._dtype, self._n_drawn = plan.layout.dtype, plan.n_drawn
        self.mean = np.empty(shape, np.result_type(self._dtype, np.float32))
        self._std = np.empty(shape, np.float32) if n_samples >= 2 else None
        kept = keep and n_samples > 0
        self._samples = np.empty((n_samples, *shape), self._dtype) if kept else None
        self.unmeasured: NDArray[np.bool_] | None = None
        self._count = 0
        self._running = self._squares = np.zeros(0)

    def mean_at(self, place: Place) -> NDArray[Any]:
        """The mean of a place, (C, h, w)."""
        return self.mean[self._here(place)]

    def add(self, place: Place, values: NDArray[np.float64]) -> None:
        """Take the next signal of a place: first its mean, then each of its samples."""
        here = self._here(place)
        if self._count == 0:
            self.mean[here] = values
            self._running, self._squares = np.zeros_like(values), np.zeros_like(values)
        else:
            # Welford's update (1962), stable for any offset of the intensities.
            delta = values - self._running
            self._running += delta / self._count
            self._squares += delta * (values - self._running)
            if self._samples is not None:
                self._samples[(self._count - 1, *here)] = cast(values, self._samples.dtype)
        self._count += 1
        if self._count > self._n_drawn:
            if self._std is not None:
                self._std[here] = np.sqrt(self._squares / (self._n_drawn - 1))
            self._count = 0

    def fill(
        self, place: Place, values: NDArray[np.float64], missing: NDArray[np.bool_]
    ) -> None:
        """Put a drawn filling (C, h, w) in the place of the mean."""
        np.copyto(self.mean_at(place), values, where=missing, casting="same_kind")

    def drop(self) -> None:
        """Forget the signals of a place that did not get all of them."""
        self._count = 0

    def keep(self, place: Place, values: NDArray[Any], observed: NDArray[np.bool_]) -> None:
        """Put the image's values (C, h, w) in, bit for bit, where it was measured."""
        here = self._here(place)
        np.copyto(self.mean[here], values, where=observed, casting="same_kind")
        if self._std is not None:
            self._std[here][observed] = 0
        if self._samples is not None:
            np.copyto(self._samples[(slice(None), *here)], values, where=observed)

    def leave(self, place: Place, values: NDArray[Any], unmeasured: NDArray[np.bool_]) -> None:
        """Put what nothing measured in, bit for bit, and remember where it is."""
        self.keep(place, values, unmeasured)
        if self.unmeasured is None:
            self.unmeasured = np.zeros(self.mean.shape, bool)
        self.unmeasured[self._here(place)] |= unmeasured

    def planes(self) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """Mean, standard deviation and samples as planes, all but the second in the dtype."""
        return cast(self.mean, self._dtype), self._std, self._samples

    def finish(
        self, layout: Layout, image: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        """Mean, standard deviation and samples in the image's own axes and dtype."""
        mean, std, samples = self.planes()
        if samples is not None:
            back = [layout.from_planes(each, like=image) for each in samples]
            samples = np.stack(back, dtype=self._dtype)  # else in the machine's byte order
        std = None if std is None else layout.from_planes(std)
        return layout.from_planes(mean, like=image), std, samples

    def _here(self, place: Place) -> Place:
        """A place of the result on the buffer."""
        plane, channels, rows, columns = self._start
        return (
            place[0] - plane,
            _moved(place[1], channels),
            _moved(place[2], rows),
            _moved(place[3], columns),
        )


def _moved(side: slice, start: int) -> slice:
    return slice(side.start - start, side.stop - start)
