"""Settings of a training with their defaults, and the notation of time budgets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Final

from napari_vae_restore.errors import InputError
from napari_vae_restore.models.config import FlatVAEConfig, ModelConfig, RestorationConfig

_SECOND, _MINUTE, _HOUR = 1.0, 60.0, 3600.0
_UNITS = {
    **dict.fromkeys(("", "s", "sec", "second"), _SECOND),
    **dict.fromkeys(("m", "min", "minute"), _MINUTE),
    **dict.fromkeys(("h", "hour"), _HOUR),
}

SYMMETRIES: Final = (1, 2, 8)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of the optimisation; the defaults are tuned for minutes on two CPU cores.

    They are those of a VAE trained from nothing; :data:`FINE_TUNING` goes on from a model.

    Parameters
    ----------
    batch : int
        Patches per step.
    patch : int
        Side of the patches in pixels, a multiple of the network's stride.
    learning_rate : float
        At its peak; cosine decay to zero over the run.
    beta : float
        Weight of the KL after warm-up.
    beta_warmup : float
        Share of the run over which the weight rises linearly from 0 to `beta`. A short
        one can let the posterior collapse where the noise is correlated: at 0.05, stripes
        were left in at 21.7 dB, at 0.5 restored to 30.6 dB; white noise gained 0.9 dB.
    ema : float
        Decay of the exponential moving average of the weights, per step.
    max_gradient : float
        Gradients of a larger norm are scaled down to it; none is skipped for its size,
        so that no run of outliers can lock the training.
    patience : float
        Share of the run, without the warm-up, after which it ends early if the held-out
        score has not improved; 1 for never.
    symmetries : int
        Number of orientations of patches: 8, turned by quarters and mirrored, since most
        images have no up; 2, mirrored left and right, for upright things such as faces; 1,
        as they are, for digits.

    Raises
    ------
    InputError
        For a value outside its range.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    batch: int = 4
    patch: int = 64
    learning_rate: float = 1e-2
    beta: float = 1.0
    beta_warmup: float = 0.5
    ema: float = 0.995
    max_gradient: float = 10.0
    patience: float = 0.5
    symmetries: int = 8

    def __post_init__(self) -> None:
        for name, low, high in (
            ("batch", 1, 4096),
            ("patch", 8, 1024),
            ("learning_rate", 1e-8, 1.0),
            ("beta", 0.0, 100.0),
            ("beta_warmup", 0.0, 1.0),
            ("ema", 0.0, 1.0),
            ("max_gradient", 1e-6, 1e6),
            ("patience", 1e-3, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name}: expected {low} to {high}, got {value!r}")
        if self.symmetries not in SYMMETRIES:
            raise InputError(f"symmetries: expected 1, 2 or 8, got {self.symmetries!r}")

    def beta_at(self, fraction: float) -> float:
        """Weight of the KL when `fraction` of the run is over; exactly `beta` after warm-up."""
        if fraction >= self.beta_warmup:
            return self.beta
        return self.beta * fraction / self.beta_warmup


FINE_TUNING: Final = TrainingSettings(
    batch=4, patch=128, learning_rate=1e-4, beta_warmup=0.0, ema=0.99, max_gradient=1.0
)
"""Defaults for adapting the bundled model to images of one kind, for minutes."""

_TEXTBOOK_BATCH: Final = 32


def settings_for(config: ModelConfig) -> TrainingSettings:
    """Default settings of a kind of network.

    A textbook VAE sees whole small pictures of things that mostly stand upright.
    """
    if isinstance(config, RestorationConfig):
        return FINE_TUNING
    if isinstance(config, FlatVAEConfig):
        return TrainingSettings(
            batch=_TEXTBOOK_BATCH,
            patch=config.size,
            learning_rate=5e-3,
            beta_warmup=0.05,  # few pictures are memorised before a long one ends
            symmetries=2,
        )
    return TrainingSettings()


def parse_budget(budget: str | float) -> float:
    """Seconds of a time budget.

    Parameters
    ----------
    budget : str or float
        Such as ``"2 min"``, ``"90s"``, ``"1h"`` or ``120``.

    Returns
    -------
    float
        Seconds, above 0.

    Raises
    ------
    InputError
        If the budget is not understood, or is not positive.

    Examples
    --------
    >>> parse_budget("2 min")
    120.0
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", str(budget).lower())
    unit = None if match is None else match[2]
    if unit not in _UNITS and unit is not None:
        unit = unit.removesuffix("s")
    seconds = 0.0 if match is None else float(match[1]) * _UNITS.get(unit or "", 0.0)
    if not 0 < seconds < math.inf:
        raise InputError(
            f"time budget: expected a positive time such as '2 min', '90 s' or '1 h', "
            f"got {budget!r}"
        )
    return seconds
