"""What a result says of its plan: the recipe that repeats it, and the diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_vae_restore import __version__
from napari_vae_restore.restoration.blocks.plan import Plan
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Diagnostics, Recipe
from napari_vae_restore.restoration.trust.verdict import judged


def recipe_of(plan: Plan, problem: Problem) -> Recipe:
    """How to repeat what a plan does for a problem with its mask."""
    return Recipe(
        tasks=tuple(task.to_dict() for task in problem.tasks),
        noise=tuple(str(channel) for channel in plan.noise),
        model=plan.model.name,
        model_sha256=plan.model.sha256,
        axes=plan.layout.axes,
        n_samples=plan.options.n_samples,
        tile=plan.tile,
        seed=plan.options.seed,
        package_version=__version__,
    )


def diagnostics_of(
    plan: Plan, tally: Tally, *, repeated: Sequence[float] = (), **more: Any
) -> Diagnostics:
    """Diagnostics of all blocks together; `repeated` are the values of unmeasured pixels."""
    return Diagnostics(
        residual_std=tally.residual_std,
        noise=plan.noise,
        n_hot_pixels=tally.n_hot,
        n_tiles=plan.n_tiles,
        halo=plan.halo,
        decision=None if plan.problem.blur else tally.decision,
        unmeasured=tally.unmeasured(repeated),
        verdict=judged(tally.evidence, plan.stated),
        **more,
    )
