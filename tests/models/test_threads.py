"""The number of threads: as many as are fastest, and the caller's own number afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch

import napari_vae_restore as vr
from napari_vae_restore.models import threads
from napari_vae_restore.models.threads import WORTH_A_TRIAL, Trial, fitting_threads
from napari_vae_restore.restoration.inference import posterior

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_allowed() -> Iterator[None]:
    """Four threads may be used."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def trial_of(seconds: dict[int, float]) -> tuple[Trial, list[int]]:
    """A trial that takes so long, and the numbers that it has tried."""
    tried: list[int] = []

    def trial(n: int) -> float:
        tried.append(n)
        return seconds[n]

    return trial, tried


@pytest.mark.parametrize(
    ("seconds", "fastest"),
    [
        ({4: 0.1, 2: 0.2, 1: 0.4}, 4),
        ({4: 0.3, 2: 0.2, 1: 0.4}, 2),
        ({4: 0.9, 2: 0.8, 1: 0.4}, 1),
        ({4: 0.4, 2: 0.4, 1: 0.4}, 4),
    ],
)
def test_the_fastest_number_runs(seconds: dict[int, float], fastest: int) -> None:
    trial, tried = trial_of(seconds)
    with fitting_threads(CPU, WORTH_A_TRIAL, trial):
        assert torch.get_num_threads() == fastest
    assert torch.get_num_threads() == 4
    assert sorted(tried) == [1, 2, 4]


def test_a_choice_holds_for_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(threads.time, "monotonic", lambda: now[0])
    trial, tried = trial_of({4: 3.0, 2: 2.0, 1: 1.0})
    for moment, n_tried in ((100.0, 3), (105.0, 3), (120.0, 6)):
        now[0] = moment
        with fitting_threads(CPU, WORTH_A_TRIAL, trial):
            assert torch.get_num_threads() == 1
        assert len(tried) == n_tried


def test_who_asks_for_fewer_gets_no_more() -> None:
    trial, tried = trial_of({4: 1.0, 2: 2.0, 1: 3.0})
    with fitting_threads(CPU, WORTH_A_TRIAL, trial):
        pass
    torch.set_num_threads(2)
    with fitting_threads(CPU, WORTH_A_TRIAL, trial):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    n_tried = len(tried)
    with fitting_threads(CPU, WORTH_A_TRIAL, trial):
        assert torch.get_num_threads() == 1
    assert len(tried) == n_tried


def test_small_passes_and_other_devices_are_left_alone() -> None:
    trial, tried = trial_of({})
    for device, n_pixels in ((CPU, WORTH_A_TRIAL - 1), (torch.device("meta"), WORTH_A_TRIAL)):
        with fitting_threads(device, n_pixels, trial):
            assert torch.get_num_threads() == 4
    assert not tried


def test_an_error_leaves_the_callers_number() -> None:
    with pytest.raises(KeyError), fitting_threads(CPU, WORTH_A_TRIAL):
        raise KeyError
    assert torch.get_num_threads() == 4


def test_a_restoration_is_the_same_on_any_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.random.default_rng(0).normal(100, 10, (512, 512)).astype(np.float32)
    means = []
    for fastest in (1, 2):
        trial, tried = trial_of({n: float(n != fastest) for n in (1, 2, 4)})
        fitting = partial(fitting_threads, trial=trial)
        monkeypatch.setattr(posterior, "fitting_threads", fitting)
        means.append(vr.denoise(image, noise="gaussian:10", device="cpu").mean)
        assert tried
    np.testing.assert_array_equal(*means)
