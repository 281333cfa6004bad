"""Plan of a bundled model's training, and the record of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Plan:
    """Options that determine a run, besides its pictures and its network."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    budget: float = 3 * 3600.0  # seconds for all stages, where `steps` is empty
    # Steps of each stage in place of the budget: then a run can be repeated exactly.
    steps: tuple[int, ...] = ()
    seed: int = 0
    side: int = 96  # of the patches, in pixels; a multiple of 12 and of the network's stride
    start: str = ""  # hash of the starting model; empty for fresh weights


@dataclass(frozen=True, slots=True)
class StageRecord:
    """Record of a finished stage."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    steps: int
    seconds: float  # wall time
    figures: dict[str, float]  # running means at its end


@dataclass(frozen=True, slots=True)
class RunState:
    """State of a run, for its checkpoint."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    plan: Plan
    # Of the present stage; see :class:`StageRecord`.
    step: int
    seconds: float
    figures: dict[str, float]
    done: tuple[StageRecord, ...]
