"""Muon: momentum whose steps are orthogonalised, for the matrices of a network.

K. Jordan, Y. Jin, V. Boza, J. You, F. Cesista, L. Newhouse, J. Bernstein, "Muon: an
optimizer for hidden layers in neural networks", 2024. Its scaling with weight decay:
J. Liu et al., "Muon is scalable for LLM training", 2025, arXiv:2502.16982.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from napari_vae_restore.models.devices import computes_in_bfloat16

_MOMENTUM: Final = 0.95
_WEIGHT_DECAY: Final = 0.01
_ITERATIONS: Final = 5
_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
"""Jordan et al.: steepest at 0 of the quintics that keep singular values near 1."""
_BETAS: Final = (0.9, 0.99)
_EPSILON: Final = 1e-8
_ADAM_SHARE: Final = 0.1
"""Adam's learning rate relative to Muon's."""


class Muon(Optimizer):
    """Muon for matrices, Adam for all other parameters.

    A convolution's weight is a matrix of (outputs, inputs x kernel). Each group has an
    ``lr_scale`` by which a schedule multiplies its learning rate.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        learning_rate: float,
    ) -> None:
        groups = [
            {"params": list(matrices), "is_matrix": True, "lr_scale": 1.0},
            {"params": list(others), "is_matrix": False, "lr_scale": _ADAM_SHARE},
        ]
        for group in groups:
            group["lr"] = learning_rate * float(group["lr_scale"])  # type: ignore[arg-type]
        super().__init__([group for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; `closure` is not used."""
        for group in self.param_groups:
            update = self._muon if group["is_matrix"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, parameter.grad, group["lr"])

    def _muon(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(momentum, _MOMENTUM)  # Nesterov's
        direction = orthogonalised(ahead.reshape(len(ahead), -1))
        rows, columns = direction.shape
        parameter.mul_(1 - rate * _WEIGHT_DECAY)
        scale = max(1.0, rows / columns) ** 0.5
        parameter.add_(direction.view(ahead.shape), alpha=-rate * scale)

    def _adam(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())
        state["step"] += 1
        step = float(state["step"])
        mean = state["mean"].lerp_(gradient, 1 - _BETAS[0]) / (1 - _BETAS[0] ** step)
        square = state["square"].lerp_(gradient.square(), 1 - _BETAS[1])
        square = square / (1 - _BETAS[1] ** step)
        parameter.addcdiv_(mean, square.sqrt() + _EPSILON, value=-rate)


def orthogonalised(matrix: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrix, (m, n) float32, by a Newton-Schulz iteration.

    Singular vectors stay; singular values, unless tiny beside the greatest, become 0.7 to 1.2.
    """
    a, b, c = _QUINTIC
    x = matrix.bfloat16() if computes_in_bfloat16(matrix.device) else matrix.float()
    is_tall = x.shape[0] > x.shape[1]
    if is_tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.T if is_tall else x
    return result.float()


def split_matrices(
    module: nn.Module, edges: tuple[str, ...]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split parameters: convolutions inside a network, for Muon, and the rest, for Adam.

    The names of its first and last layers begin with one of `edges`.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        is_inner = parameter.ndim == 4 and not name.startswith(edges)
        (matrices if is_inner else others).append(parameter)
    return matrices, others
