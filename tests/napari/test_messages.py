"""Times in words, ranges of plots, errors at the worker's edge; without a window."""

import pytest
import torch

from napari_vae_restore._napari.messages import duration
from napari_vae_restore._napari.widgets.loss_plot import visible_range
from napari_vae_restore._napari.words import noise_in_words
from napari_vae_restore._napari.worker import as_own_error
from napari_vae_restore.errors import InputError, VAERestoreError
from napari_vae_restore.noise.models import GaussianNoise, PoissonGaussianNoise


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.97, "10 s"), (59.7, "1 min"), (119.6, "2 min"), (3599.9, "1 h 0 min")],
)
def test_durations_are_rounded_up_into_the_next_unit(seconds, words):
    assert duration(seconds) == words


def test_range_of_the_plot_leaves_the_beginning_out():
    low, high = visible_range([1000.0, 300.0] + [2.0, 1.0] * 20, [900.0] + [1.5] * 9)
    assert low == 1.0
    assert high == 2.0


@pytest.mark.parametrize("losses", [[], [float("nan")], [float("inf"), 1.0], [2.0, 2.0]])
def test_range_of_the_plot_is_finite_and_not_empty(losses):
    low, high = visible_range(losses, [])
    assert low < high < float("inf")


def test_errors_of_torch_become_errors_that_qt_does_not_swallow():
    for error in (RuntimeError("size mismatch"), torch.OutOfMemoryError("x"), MemoryError()):
        own = as_own_error(error)
        assert isinstance(own, VAERestoreError)
        assert not isinstance(own, RuntimeError)
        assert own.__cause__ is error
    known = InputError("as it is")
    assert as_own_error(known) is known


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        ([], ""),
        ([GaussianNoise(12.34)] * 3, "Noise: σ 12.3."),
        (
            [GaussianNoise(12.34, (0.6, 0.3))],
            "Noise: σ 12.3, correlated between neighbours (0.6).",
        ),
        (
            [PoissonGaussianNoise(0.8, -4.0)],
            "Noise: σ 9.59 on average, more where it is brighter.",
        ),
        ([GaussianNoise(1), GaussianNoise(2)], "Noise of the channels: σ 1; σ 2."),
        (
            [GaussianNoise(n) for n in range(1, 9)],
            "Noise of the channels: σ 1; σ 2; σ 3; σ 4; ….",
        ),
    ],
)
def test_the_noise_in_plain_words(noise, words):
    told = noise_in_words(noise, [120.0] * len(noise))
    assert told.replace("\N{NO-BREAK SPACE}", " ") == words
