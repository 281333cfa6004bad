"""Endless numbered batches of patches, which worker processes make in advance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from napari_vae_restore.training.degradations import BUCKETS, simulate
from napari_vae_restore.training.pictures import PatchSource

Batch: TypeAlias = tuple[Tensor, ...]
Arrays: TypeAlias = tuple[np.ndarray, ...]
Draw: TypeAlias = Callable[[PatchSource, np.random.Generator], Arrays]

_PREFETCHED: Final = 8  # batches for each worker
_TRIES: Final = 4
_KEPT_BESIDE_HOLES: Final = 0.4  # share of the other tasks' examples
_KEPT_BESIDE_NOISE: Final = 0.57


def simulated(source: PatchSource, rng: np.random.Generator) -> Arrays:
    """One simulated measurement: condition, target, weight, bucket."""
    example = simulate(source.draw(rng), rng)
    return example.condition, example.target, example.weight, np.array(example.bucket)


def mostly_holes(source: PatchSource, rng: np.random.Generator) -> Arrays:
    """As :func:`simulated`, but most examples other than holes are drawn anew, up to thrice.

    Samples learn their spread in holes last.
    """
    return _mostly(("hole,",), _KEPT_BESIDE_HOLES, source, rng)


def mostly_noise(source: PatchSource, rng: np.random.Generator) -> Arrays:
    """As :func:`simulated`, but many examples other than noise are drawn anew, up to thrice.

    Most images are noisy, and the mean goes on improving there.
    """
    return _mostly(("noise,", "correlated noise,"), _KEPT_BESIDE_NOISE, source, rng)


def _mostly(
    kinds: tuple[str, ...], kept: float, source: PatchSource, rng: np.random.Generator
) -> Arrays:
    for _ in range(_TRIES):
        arrays = simulated(source, rng)
        if BUCKETS[int(arrays[-1])].startswith(kinds) or rng.random() < kept:
            break
    return arrays


def clean(source: PatchSource, rng: np.random.Generator) -> Arrays:
    """One clean patch, (1, P, P)."""
    return (source.draw(rng)[None],)


class Stream(IterableDataset[Batch]):
    """Batch i is drawn from the generator of (*seed, i), whatever came before."""

    def __init__(
        self, draw: Draw, source: PatchSource, *, batch: int, seed: tuple[int, ...], first: int
    ) -> None:
        self._draw, self._source = draw, source
        self._batch, self._seed, self._first = batch, seed, first

    def __iter__(self) -> Iterator[Batch]:
        # Batches are taken from the workers in turn, so their order stays as it is.
        worker = get_worker_info()
        turn, n_workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for index in itertools.count(self._first + turn, n_workers):
            rng = np.random.default_rng([*self._seed, index])
            examples = [self._draw(self._source, rng) for _ in range(self._batch)]
            columns = zip(*examples, strict=True)
            yield tuple(torch.from_numpy(np.stack(column)) for column in columns)


def batches(stream: Stream, workers: int) -> Iterator[Batch]:
    """Iterate over a stream; worker processes, if any, make its batches in advance."""
    prefetched = _PREFETCHED if workers else None
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=prefetched,
        generator=torch.Generator(),  # else the global one gives the workers' seeds
    )
    return iter(loader)
