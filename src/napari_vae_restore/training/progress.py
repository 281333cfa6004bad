"""Report of a training after each step."""

from __future__ import annotations

from dataclasses import dataclass


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
