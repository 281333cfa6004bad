"""A model on devices: wherever it goes, it is copied there once."""

import gc
import weakref

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from napari_vae_restore import HVAEConfig, Model
from napari_vae_restore.models.model import build_network


def untrained() -> Model:
    return Model(build_network(HVAEConfig(levels=2, width=8, latent=4)).eval(), None, None)


@pytest.mark.parametrize("name", ["cpu", "cpu:0"])
def test_a_model_that_is_there_is_not_copied(name):
    model = untrained()
    assert model.on(torch.device(name)) is model


@pytest.mark.parametrize("names", [("meta", "meta:0"), ("meta:0", "meta")])
def test_a_device_has_one_copy_whatever_it_is_called(names):
    model = untrained()
    first, second = (model.on(torch.device(name)) for name in names)
    assert first is second
    assert first is not model
    assert first.on(torch.device(names[1])) is first


def test_the_graphics_card_is_the_first_of_its_kind():
    # Tensors of this mode have devices and no values: no graphics card is needed.
    with FakeTensorMode(), torch.device("cuda"):
        model = untrained()
        assert next(model.network.parameters()).device == torch.device("cuda:0")
        for name in ("cuda", "cuda:0"):
            assert model.on(torch.device(name)) is model


def test_a_copy_goes_with_its_model():
    model = untrained()
    copy = weakref.ref(model.on(torch.device("meta")))
    gc.collect()
    assert copy() is not None
    del model
    gc.collect()
    assert copy() is None
