"""The plan of a bundled model's training, and the record of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from napari_vae_restore.errors import ModelFileError


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides how a run goes, besides its pictures and its network.

    Attributes
    ----------
    budget : float
        Wall time of all stages, in seconds; counts where `steps` is empty.
    steps : tuple of int
        Steps of each stage in place of the budget: the same plan then gives the same
        model on the same machine.
    seed : int
        Of initialisation, data and latent noise.
    side : int
        Of the patches, in pixels; a multiple of 12 and of the network's stride.
    start : str
        Hash of the model whose weights it starts from; empty for fresh ones.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    budget: float = 3 * 3600.0
    steps: tuple[int, ...] = ()
    seed: int = 0
    side: int = 96
    start: str = ""


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What a stage did.

    Attributes
    ----------
    name : str
        Of the stage.
    steps : int
        Optimiser steps.
    seconds : float
        Wall time of them.
    figures : dict
        Running means of what it watched, at its end.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    steps: int
    seconds: float
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Course:
    """How far a run has come, for its checkpoint.

    Attributes
    ----------
    plan : Plan
        How the run goes.
    step, seconds, figures
        Of the stage under way; see :class:`StageRecord`.
    done : tuple of StageRecord
        The stages before it.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    plan: Plan
    step: int
    seconds: float
    figures: dict[str, float]
    done: tuple[StageRecord, ...]

    @classmethod
    def parse(cls, values: Mapping[str, Any], path: Path) -> Course:
        """Read the values of a checkpoint; raises ModelFileError if they are not such."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            detail = "; ".join(str(error).splitlines())
            raise ModelFileError(f"{path}: the checkpoint is not valid: {detail}") from error
