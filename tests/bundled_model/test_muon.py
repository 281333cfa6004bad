"""Muon: orthogonal steps for matrices, Adam for the rest, a state that goes on exactly."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from bundled_model.muon import Muon, orthogonalised, split_matrices
from napari_vae_restore.models.condition import ConditionEncoder


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3), nn.Conv2d(16, 1, 1)
        )


def optimiser(net: nn.Module) -> Muon:
    return Muon(*split_matrices(net, ("0", "2")), 0.02)


def train(net: nn.Module, muon: Muon, steps: range) -> Tensor:
    for i in steps:
        x = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(i))
        loss = (net(x) - x[..., 1:-1, 1:-1]).square().mean()
        muon.zero_grad()
        loss.backward()
        muon.step()
    return loss.detach()


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_directions_are_orthogonal(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    direction = orthogonalised(matrix)
    assert direction.shape == shape
    assert direction.dtype == torch.float32
    values = torch.linalg.svdvals(direction)
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    cosine = (direction * (u @ v)).sum() / direction.norm() / (u @ v).norm()
    assert cosine > 0.97


def test_a_zero_gradient_gives_a_zero_direction() -> None:
    assert orthogonalised(torch.zeros(3, 5)).abs().max() == 0


def test_a_first_step_of_muon_is_the_orthogonalised_gradient() -> None:
    net = network()
    weight = net[1].weight
    before = weight.detach().clone()
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    optimiser(net).step()
    step = before * (1 - 0.02 * 0.01) - weight.detach()
    direction = orthogonalised(weight.grad.reshape(16, -1))
    cosine = torch.cosine_similarity(step.flatten(), direction.flatten(), dim=0)
    assert cosine > 0.99
    assert float(step.norm()) == pytest.approx(0.02 * float(direction.norm()), rel=0.02)


def test_a_first_step_of_adam_has_its_learning_rate() -> None:
    net = network()
    before = net[0].weight.detach().clone()
    train(net, optimiser(net), range(1))
    assert (net[0].weight.detach() - before).abs() == pytest.approx(0.002, rel=1e-3)


def test_the_loss_falls() -> None:
    net = network()
    muon = optimiser(net)
    first = train(net, muon, range(1))
    assert train(net, muon, range(1, 60)) < 0.3 * first


def test_resuming_is_exact() -> None:
    whole = network()
    train(whole, optimiser(whole), range(10))
    first = network()
    muon = optimiser(first)
    train(first, muon, range(4))
    second = copy.deepcopy(first)
    resumed = optimiser(second)
    resumed.load_state_dict(muon.state_dict())
    train(second, resumed, range(4, 10))
    for expected, found in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(expected, found)
    assert all(isinstance(v, Tensor) for s in resumed.state.values() for v in s.values())


def test_matrices_are_the_convolutions_inside() -> None:
    encoder = ConditionEncoder((16, 24), (1, 1), 2)
    matrices, others = split_matrices(encoder, ("stem", "head"))
    assert len(matrices) + len(others) == len(list(encoder.parameters()))
    assert all(p.ndim == 4 for p in matrices)
    outside = {id(encoder.stem.weight), id(encoder.head.weight)}
    assert outside <= {id(p) for p in others}
