"""The bundled model: what is written for it is read, checked and restores."""

import copy
import hashlib

import numpy as np
import pytest
import torch
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.models import bundled
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.model import TrainingRecord, build_network
from napari_vae_restore.restoration.blocks.halo import measure_halo

TINY = RestorationConfig(widths=(8, 8), depths=(1, 1), width=8, latent=4)


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(TINY).eval()
    return vr.Model(network, None, None, TrainingRecord(n_steps=3), name="mine")


def test_what_is_exported_restores(tmp_path, model):
    path = bundled.export(model, tmp_path)
    name, digest = path.name, hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / "default.sha256").read_text() == f"{digest}  {name}\n"
    found = vr.load(path)
    assert found.record == model.record
    for key, weight in model.network.state_dict().items():
        assert torch.equal(weight.half().float(), found.network.state_dict()[key])
    noisy = data.camera()[:40, :48].astype(np.float32)
    restored = vr.denoise(noisy, model=found, noise="gaussian:10", device="cpu")
    assert restored.mean.shape == noisy.shape
    assert np.isfinite(restored.mean).all()


def test_what_is_exported_is_what_is_bundled(tmp_path, model, monkeypatch):
    path = bundled.export(model, tmp_path)
    monkeypatch.setattr(bundled, "WEIGHTS", path)
    monkeypatch.setattr(bundled, "CHECKSUM", path.with_suffix(".sha256"))
    read = bundled._bundled.__wrapped__
    assert read().network.config == TINY
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(vr.ModelFileError, match="not the file that this version came with"):
        read()
    path.unlink()
    with pytest.raises(vr.ModelFileError, match="is missing"):
        read()


def test_nothing_can_be_exported_to_where_there_is_no_folder(tmp_path, model):
    with pytest.raises(vr.ModelFileError, match="cannot write"):
        bundled.export(model, tmp_path / "none")


def test_the_halo_beside_the_weights_is_the_measured_one():
    model = bundled.find_model("default")
    assert bundled.stored_halo(model) == measure_halo(model)


def test_the_stored_halo_is_nobody_elses(model, tmp_path, monkeypatch):
    assert bundled.stored_halo(model) is None
    bundled.store_halo(model, 48, tmp_path)
    path = tmp_path / bundled.HALO.name
    monkeypatch.setattr(bundled, "HALO", path)
    assert bundled.stored_halo(model) == 48
    path.write_text("{}")
    with pytest.raises(vr.ModelFileError, match="damaged"):
        bundled.stored_halo(model)


def test_the_hash_is_that_of_the_weights_as_they_are(model):
    changed = vr.Model(copy.deepcopy(model.network), model.normalisation, model.noise)
    before = changed.sha256
    with torch.no_grad():
        next(changed.network.parameters()).add_(1)
    assert changed.sha256 != before
