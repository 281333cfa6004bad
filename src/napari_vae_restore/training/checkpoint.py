"""The state of a training as named tensors, for the `training.*` part of a model file."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from napari_vae_restore.models.protocol import VAEModule

_NETWORK, _AVERAGED, _OPTIMIZER, _GENERATOR = "network.", "averaged.", "optimizer.", "generator"


def to_tensors(
    network: VAEModule, averaged: VAEModule, optimizer: Optimizer, generator: torch.Generator
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
    network: VAEModule,
    averaged: VAEModule,
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
