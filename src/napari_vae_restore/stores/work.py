"""The blocks of a restoration into a store, one by one: here, or on a worker of a cluster.

A block is read with its surroundings, restored, written to whole chunks, and marked as done;
who died before the mark is repeated, to the same bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from napari_vae_restore.restoration.blocks.lazy import PlaneScales, solve_alone
from napari_vae_restore.restoration.blocks.plan import Plan
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.restoration.blocks.windows import read_window
from napari_vae_restore.stores.ome_zarr import check_there
from napari_vae_restore.stores.target import Target

Step = tuple[str, tuple[int, ...]]
"""A block to restore, ("block", (part, block)), or to reduce, ("level-1", (..., i, j))."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """All that a worker needs to know.

    Attributes
    ----------
    plan : Plan
        Of the image.
    planes, missing : array
        (N, C, H, W), numpy's or dask's; missing may be None.
    target : Target
        Where the result goes.
    places : tuple of tuple
        Of each plane, the index of its leading axes in the output; -1 stands for the
        channels.
    n_kept : int
        Samples that are written.
    key : str
        Of the orders, the same for the same work.
    source : Path or None
        Folder of the array that is read, which may vanish; None for what cannot.
    """

    plan: Plan
    planes: Any
    missing: Any
    target: Target
    places: tuple[tuple[int, ...], ...]
    n_kept: int
    key: str
    source: Path | None = None

    def steps(self) -> Iterator[list[Step]]:
        """Blocks that do not depend on each other, stage after stage."""
        parts = range(sum(1 for _ in self.plan.parts()))
        blocks = range(len(self.plan.blocks))
        yield [("block", (p, b)) for p in parts for b in blocks]
        for level in range(1, self.target.n_levels):
            yield [(f"level-{level}", number) for number in self.target.level_blocks(level)]


def do(work: Work, step: Step) -> Tally:
    """Do one step, unless its mark says that it is done.

    Raises
    ------
    InputError, RestorationError
        As :func:`~.lazy.solve_alone`.
    ImageFileError
        If the source has vanished.
    OSError
        If the store cannot be read or written.
    """
    kind, number = step
    name = "-".join(map(str, (kind, *number)))
    found = work.target.done(name)
    if found is not None:
        with contextlib.suppress(ValidationError, OverflowError):
            return _TALLY.validate_python(found)
    if kind == "block":
        tally = _restore(work, *number)
    else:
        work.target.reduce(int(kind.removeprefix("level-")), number)
        tally = Tally()
    work.target.mark(name, asdict(tally))
    return tally


_TALLY = TypeAdapter(Tally)


def _restore(work: Work, p: int, b: int) -> Tally:
    plan = _on_own_device(work.plan)
    part, block = plan.part(p), plan.blocks[b]
    window = read_window(work.planes, work.missing, part, block.window)
    scale = _scales.of(plan, p, work.planes, work.missing, work.key)
    check_there(work.source)
    (mean, std, samples), tally = solve_alone(plan, part, block, window, scale)
    results = {"mean": mean, "std": std}
    if samples is not None:
        results |= {f"sample-{i + 1}": samples[i] for i in range(work.n_kept)}
    plane, group = part
    for output in work.target.outputs:
        values = results[output.kind]
        if values is None:
            continue
        lead = tuple(group if index < 0 else index for index in work.places[plane])
        shown = values[0] if group in lead else values[0, 0]
        work.target.write(output.kind, (*lead, *block.core), shown)
    return tally


_scales = PlaneScales()


def _on_own_device(plan: Plan) -> Plan:
    """The plan with the graphics card of this worker, where several share a machine."""
    import torch

    if plan.options.device not in ("auto", "cuda") or torch.cuda.device_count() < 2:
        return plan
    from distributed import get_worker

    try:
        name = get_worker().name
    except ValueError:  # not on a worker
        return plan
    if not isinstance(name, int):
        return plan
    device = f"cuda:{name % torch.cuda.device_count()}"
    return replace(plan, options=replace(plan.options, device=device))
