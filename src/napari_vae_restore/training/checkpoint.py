"""How far a training is: its report after each step, and its state in a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from napari_vae_restore.errors import ModelFileError, shortened
from napari_vae_restore.training.settings import TrainingSettings

_State = TypeVar("_State")
_NETWORK, _AVERAGED, _OPTIMIZER, _GENERATOR = "network.", "averaged.", "optimizer.", "generator"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a training reports after each step.

    Attributes
    ----------
    step : int
        Steps done.
    fraction : float
        Share of the run that is over, 0 to 1.
    seconds, seconds_left : float
        Wall time of the training so far, and an estimate of the rest.
    loss : float
        Of the step's batch, nats per pixel: the negative ELBO, or the negative
        log-likelihood of the targets.
    kl : tuple of float
        KL of each level on that batch, nats per pixel, finest first; empty where only the
        mean head is trained.
    beta, learning_rate : float
        In force at this step.
    held_out : float or None
        What the held-out part says of the averaged weights, nats per pixel, larger is
        better: the ELBO, or the log-likelihood. Where this step measured it.
    held_out_first : float or None
        The same of the weights that it started from, where they were a model's.
    """

    step: int
    fraction: float
    seconds: float
    seconds_left: float
    loss: float
    kl: tuple[float, ...]
    beta: float
    learning_rate: float
    held_out: float | None
    held_out_first: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Options of a training and how far it has come."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    settings: TrainingSettings
    seed: int
    noise: str  # in its written form, as given
    budget: float  # seconds; counts where `n_steps` is None
    n_steps: int | None
    step: int
    seconds: float
    # Whether the model of the file is the best by held-out data, or else the present average.
    has_best: bool
    best_at: float = 0.0  # share of the run that was over when the best was found
    start: str = ""  # name or path of the starting model; empty for fresh weights
    supervision: str = ""  # in words, such as "pairs"


def parse_state(kind: type[_State], values: Mapping[str, Any], path: str | Path) -> _State:
    """Read a checkpoint's values as a dataclass; raises ModelFileError if they do not fit."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise ModelFileError(
            f"{path}: the checkpoint is not valid: {shortened(error)}"
        ) from error


def to_tensors(
    network: nn.Module, averaged: nn.Module, optimizer: Optimizer, generator: torch.Generator
) -> dict[str, Tensor]:
    """Tensors of everything that determines the steps to come."""
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
