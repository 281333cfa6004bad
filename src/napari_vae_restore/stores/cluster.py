"""Workers of dask.distributed that do the steps of a restoration into a store.

The block of a worker that dies is repeated by another.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any, Final

from napari_vae_restore.errors import InputError, RestorationError
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.stores.work import Step, Work, do

_PATIENCE: Final = "20s"


def results(client: Any, work: Work, steps: list[Step]) -> Iterator[Tally]:
    """Do independent steps on the workers of a client and yield their tallies."""
    from distributed import KilledWorker, as_completed

    with warnings.catch_warnings():
        # dask advises to scatter what is large, and that is lost with the last worker.
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        shared = client.submit(_itself, work, pure=False)
        futures = [client.submit(do, shared, step, pure=False) for step in steps]
    try:
        for _, tally in as_completed(futures, with_results=True):
            yield tally
    except (KilledWorker, CancelledError) as error:
        raise RestorationError(
            "the workers died of the same blocks again and again: give them more memory, or "
            "take a smaller tile"
        ) from error
    finally:
        client.cancel(futures)


def _itself(work: Work) -> Work:
    """A task, so that it is sent to each worker once, and again if a worker dies."""
    return work


@contextlib.contextmanager
def connected(client: Any, device: str) -> Iterator[Any]:
    """The client that computes, with a worker for each of several cards; None: nobody else."""
    import torch

    n_cards = torch.cuda.device_count() if client is None and device in ("auto", "cuda") else 0
    if client is None and n_cards < 2:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError(
            "Expected dask.distributed for several workers, but it is not installed: "
            "pip install 'napari-vae-restore[distributed]'."
        ) from None
    with contextlib.ExitStack() as stack:
        if client is None:
            local = LocalCluster(
                n_workers=n_cards, threads_per_worker=1, dashboard_address=":0"
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
        elif isinstance(client, str):
            try:
                client = stack.enter_context(Client(client, timeout=_PATIENCE))
            except (OSError, TimeoutError, ValueError) as error:
                raise InputError(
                    f"No scheduler answers at {client}: start one with `dask scheduler`, or "
                    "correct the address."
                ) from error
        yield client
