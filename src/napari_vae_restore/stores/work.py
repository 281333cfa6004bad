"""The blocks of a restoration into a store, one by one: here, or on a worker of a cluster.

A block is read with its surroundings, restored, written to whole chunks, and then marked.
After a crash, unmarked blocks are computed again, bit for bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.images.zarr_files import check_there
from napari_vae_restore.restoration.blocks.lazy import PlaneScales, solve_alone
from napari_vae_restore.restoration.blocks.plan import Plan
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.restoration.blocks.windows import read_window
from napari_vae_restore.stores.target import Target

# A block to restore, ("block", (part, block)), or to reduce, ("level-1", (..., i, j)).
Step = tuple[str, tuple[int, ...]]

_TALLY = TypeAdapter(Tally)
_scales = PlaneScales()


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """All that a worker needs to do a step."""

    plan: Plan
    planes: Any  # (N, C, H, W), of numpy or dask
    missing: Any  # likewise, or None
    target: Target
    places: tuple[tuple[int, ...], ...]  # a plane's leading axes in the output; -1: channel
    key: str  # hash of the request
    source: Path | None = None  # folder of the array that is read, which may vanish

    def steps(self) -> Iterator[list[Step]]:
        """Stage after stage, blocks that do not depend on each other."""
        parts = range(sum(1 for _ in self.plan.parts()))
        blocks = range(len(self.plan.blocks))
        yield [("block", (p, b)) for p in parts for b in blocks]
        for level in range(1, self.target.n_levels):
            yield [(f"level-{level}", number) for number in self.target.level_blocks(level)]


def do(work: Work, step: Step) -> Tally:
    """Do one step, unless it is marked as done; OSError if the store cannot be used."""
    kind, number = step
    mark = work.target.mark("-".join(map(str, (kind, *number))))
    if mark.exists():
        with contextlib.suppress(ValidationError):  # a damaged mark marks nothing
            return _TALLY.validate_json(mark.read_bytes())
    if kind == "block":
        tally = _restore(work, *number)
    else:
        work.target.reduce(int(kind.removeprefix("level-")), number)
        tally = Tally()
    with atomic_write(mark) as temporary:
        temporary.write_bytes(_TALLY.dump_json(tally))
    return tally


def _restore(work: Work, p: int, b: int) -> Tally:
    plan = _on_own_device(work.plan)
    part, block = plan.part(p), plan.blocks[b]
    window = read_window(work.planes, work.missing, part, block.window)
    scale = _scales.of(plan, p, work.planes, work.missing, work.key)
    check_there(work.source)
    (mean, std, samples), tally = solve_alone(plan, part, block, window, scale)
    results = {"mean": mean, "std": std}
    if samples is not None:
        results |= {f"sample-{i}": sample for i, sample in enumerate(samples, start=1)}
    plane, group = part
    for output in work.target.outputs:
        values = results[output.kind]
        if values is None:
            continue
        lead = tuple(group if index < 0 else index for index in work.places[plane])
        shown = values[0] if group in lead else values[0, 0]
        work.target.write(output, (*lead, *block.core), shown)
    return tally


def _on_own_device(plan: Plan) -> Plan:
    """The plan with this worker's graphics card, where several workers share a machine."""
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
