"""The state of a training: tensors and values, for the `training` part of a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from napari_vae_restore.errors import ModelFileError, told
from napari_vae_restore.training.settings import TrainingSettings

_NETWORK, _AVERAGED, _OPTIMIZER, _GENERATOR = "network.", "averaged.", "optimizer.", "generator"


@dataclass(frozen=True, slots=True)
class Course:
    """How a training was set and how far it has come.

    Attributes
    ----------
    settings : TrainingSettings
        Of the optimisation.
    seed : int
        As given to the training.
    noise : str
        As given to the training, in its written form.
    budget : float
        Seconds; counts where `n_steps` is None.
    n_steps : int or None
        Steps that the run is to have.
    step : int
        Steps done.
    seconds : float
        Wall time of them.
    has_best : bool
        Whether the file's model is the best so far by held-out data, and not the average
        of the moment.
    best_at : float
        Share of the run that was over when the best was found.
    start : str
        The model that it started from, as it was named; empty where it was not.
    supervision : str
        What it learned by, in words.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    settings: TrainingSettings
    seed: int
    noise: str
    budget: float
    n_steps: int | None
    step: int
    seconds: float
    has_best: bool
    best_at: float = 0.0
    start: str = ""
    supervision: str = ""

    @classmethod
    def parse(cls, values: Mapping[str, Any], path: str | Path) -> Course:
        """Read the values of a checkpoint; raises ModelFileError if they are not such."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            raise ModelFileError(
                f"{path}: the checkpoint is not valid: {told(error)}"
            ) from error


def to_tensors(
    network: nn.Module, averaged: nn.Module, optimizer: Optimizer, generator: torch.Generator
) -> dict[str, Tensor]:
    """All that determines the steps to come."""
    tensors = {_GENERATOR: generator.get_state()}
    for prefix, module in ((_NETWORK, network), (_AVERAGED, averaged)):
        tensors |= {prefix + name: value for name, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{key}": value for key, value in state.items()}
    return tensors


def from_tensors(
    tensors: dict[str, Tensor],
    network: nn.Module,
    averaged: nn.Module,
    optimizer: Optimizer,
    generator: torch.Generator,
) -> None:
    """Put the state back into freshly built parts; the inverse of `to_tensors`."""
    network.load_state_dict(_part(tensors, _NETWORK))
    averaged.load_state_dict(_part(tensors, _AVERAGED))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, _OPTIMIZER).items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    generator.set_state(tensors[_GENERATOR])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
