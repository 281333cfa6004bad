"""Workers of dask.distributed that do the steps of a restoration into a store.

The block of a worker that dies is repeated by another. The work, with its model, is sent
to each worker once.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any, Final

from napari_vae_restore.errors import InputError, RestorationError, VAERestoreError
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.stores.work import Step, Work, do

_log = logging.getLogger(__name__)

_MOST_FRUITLESS: Final = 3
"""After that many rounds in which no step was finished, the restoration fails."""


class Cluster:
    """A connected client of dask.distributed, and its workers."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def results(self, work: Work, steps: list[Step]) -> Iterator[Tally]:
        """Do independent steps and yield their tallies; steps of dead workers are repeated."""
        from distributed import as_completed

        left, fruitless = set(steps), 0
        while left:
            before = len(left)
            # A worker that dies loses its copy: the work is sent anew in each round.
            shared = self._client.scatter(work, broadcast=True, hash=False)
            futures = {
                self._client.submit(do, shared, step, pure=False): step for step in sorted(left)
            }
            try:
                for future in as_completed(futures):
                    error, tally = _outcome(future)
                    if isinstance(error, VAERestoreError | OSError):
                        raise error
                    if tally is None:
                        _log.warning("%s is repeated: %r", futures[future], error)
                        continue
                    left.discard(futures[future])
                    yield tally
            finally:
                self._client.cancel(list(futures))
            fruitless = fruitless + 1 if len(left) == before else 0
            if fruitless == _MOST_FRUITLESS:
                raise RestorationError(
                    "the workers died of the same blocks again and again: give them more "
                    "memory, or take a smaller tile"
                )


def _outcome(future: Any) -> tuple[BaseException | None, Tally | None]:
    """The error and the tally of a step; neither where its worker died."""
    try:
        if future.status != "finished":
            return (None if future.status == "cancelled" else future.exception()), None
        return None, future.result()
    except CancelledError as error:  # the worker died between computing and answering
        return error, None


@contextlib.contextmanager
def computed_by(client: Any, device: str) -> Iterator[Cluster | None]:
    """The workers of a client or scheduler, one for each card, or None: this process."""
    n_cards = 0 if client is not None else _n_cards(device)
    if client is None and n_cards < 2:
        yield None
        return
    distributed = _import_distributed()
    if n_cards >= 2:
        with (
            distributed.LocalCluster(
                n_workers=n_cards, threads_per_worker=1, dashboard_address=":0"
            ) as local,
            distributed.Client(local) as own,
        ):
            yield Cluster(own)
        return
    if not isinstance(client, str):
        yield Cluster(client)
        return
    try:
        remote = distributed.Client(client, timeout=_PATIENCE)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"No scheduler answers at {client}: start one with `dask scheduler`, or correct "
            "the address."
        ) from error
    with remote:
        yield Cluster(remote)


_PATIENCE: Final = "20s"


def _n_cards(device: str) -> int:
    import torch

    return torch.cuda.device_count() if device in ("auto", "cuda") else 0


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise InputError(
            "Expected dask.distributed for several workers, but it is not installed: "
            "pip install 'napari-vae-restore[distributed]'."
        ) from None
    return distributed
