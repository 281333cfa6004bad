"""What the plots of a training show, and what they forget."""

import math

import pytest

from napari_vae_restore._napari.messages import TrainingUpdate
from napari_vae_restore._napari.widgets.loss_plot import TrainingPlots


def update(seconds, losses, *, held_out=(), first=None, kl=()):
    return TrainingUpdate(tuple(seconds), tuple(losses), held_out, first, kl, 1, 0.5, None)


def shown(curve):
    """The points of a curve."""
    xs, ys = curve.getData()
    return [] if xs is None else list(zip(xs.tolist(), ys.tolist(), strict=True))


@pytest.fixture
def plots(viewer, qtbot):
    plots = TrainingPlots(viewer)
    qtbot.addWidget(plots)
    return plots


@pytest.mark.gui
def test_a_training_from_nothing_shows_elbo_and_kl(plots):
    assert plots.isHidden()
    kl = ((1.0, (0.3, 0.1)), (2.0, (0.2, math.nan)))
    plots.add(update([1, 2], [3, math.nan], held_out=((2.0, -1.5),), kl=kl))
    assert not plots.isHidden()
    assert shown(plots._held_out) == [(2.0, 1.5)]
    assert shown(plots._levels[0]) == [(1.0, 0.3), (2.0, 0.2)]
    assert shown(plots._levels[2]) == []
    plots.clear()
    assert plots.isHidden()
    assert shown(plots._raw) == []


@pytest.mark.gui
def test_adapting_shows_the_gain(plots):
    plots.add(update([1, 2], [3, 2], held_out=((2.0, -1.0),), first=-1.5))
    assert shown(plots._gain) == [(0.0, 0.0), (2.0, 0.5)]
    assert shown(plots._held_out) == []


@pytest.mark.gui
def test_a_resumed_run_replaces_what_it_goes_over_again(plots):
    plots.add(update([1, 2, 3], [3, 2, 1], held_out=((1.0, -3.0), (3.0, -1.0)), first=-4.0))
    plots.add(update([2.5, 3.5], [5, 6], held_out=((3.5, -2.0),), first=-4.0))
    assert [at for at, _ in shown(plots._raw)] == [1, 2, 2.5, 3.5]
    assert shown(plots._gain) == [(0.0, 0.0), (1.0, 1.0), (3.5, 2.0)]
