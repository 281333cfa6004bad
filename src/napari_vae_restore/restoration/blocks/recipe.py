"""The recipe of a plan: what a user needs to repeat it."""

from __future__ import annotations

from napari_vae_restore import __version__
from napari_vae_restore.restoration.blocks.plan import Plan
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Recipe


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
