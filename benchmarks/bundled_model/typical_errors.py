"""Typical error of each kind of example, to which losses are relative."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from napari_vae_restore.training.degradations import BUCKETS, N_BUCKETS, TASKS

_MEMORY: Final = 0.01
"""Least share of a new error in a running mean."""


class TypicalErrors:
    """Running means of the errors, of any shape, in each bucket."""

    def __init__(self, *shape: int) -> None:
        self._mean, self._seen = torch.zeros(N_BUCKETS, *shape), torch.zeros(N_BUCKETS)

    def update(self, bucket: Tensor, errors: Tensor) -> Tensor:
        """Take a batch's errors (N, *shape) in; the means of its buckets, (N, *shape)."""
        for i, error in zip(bucket.tolist(), errors.detach().cpu(), strict=True):
            if bool(error.isfinite().all()):  # a NaN would stay for ever
                self._seen[i] += 1
                memory = max(_MEMORY, 1 / float(self._seen[i]))
                self._mean[i] += (error - self._mean[i]) * memory
        return self._mean[bucket.cpu()].to(errors.device)

    def of_tasks(self) -> dict[str, float]:
        """Figures: the mean over the buckets of each task that came."""
        figures = {}
        for task, indices in _BUCKETS_OF_TASKS.items():
            came = [float(self._mean[i]) for i in indices if self._seen[i] > 0]
            if came:
                figures[f"L1 of {task}, grey levels"] = 255 * sum(came) / len(came)
        return figures

    def state(self) -> dict[str, Tensor]:
        """The means, and how often each bucket came."""
        return {"typical": self._mean, "seen": self._seen}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`state` gave."""
        self._mean, self._seen = state["typical"].clone(), state["seen"].clone()


def _task_of(bucket: str) -> str:
    """The task that a bucket's name begins with."""
    name = bucket.removeprefix("correlated ")
    return max((task for task in TASKS if name.startswith(task)), key=len)


_BUCKETS_OF_TASKS: Final = {
    task: [i for i, bucket in enumerate(BUCKETS) if _task_of(bucket) == task] for task in TASKS
}
