"""Model files round-trip exactly, and everything else is refused with words."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import napari_vae_restore as vr
from napari_vae_restore.models.files import load_checkpoint
from napari_vae_restore.models.model import Normalisation, TrainingRecord, build_network

CONFIGS = [
    vr.HVAEConfig(levels=2, width=8, latent=4),
    vr.FlatVAEConfig(size=16, width=8, z_dim=4),
    vr.HVAEConfig(levels=2, latent=4, layers=(2, 1), widths=(8, 12)),
]
NOISES = [None, vr.GaussianNoise(12.5), vr.PoissonGaussianNoise(0.8, -4.0)]


def make(
    config: vr.HVAEConfig | vr.FlatVAEConfig = CONFIGS[0], noise: object = None
) -> vr.Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(config).eval()
    record = TrainingRecord(n_steps=7, seconds=1.5, elbo=-0.25, kl=(0.1, 0.2))
    return vr.Model(network, Normalisation(1.5, 2.25), noise, record)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    make().save(path)
    return path


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_round_trip_is_exact(config: vr.HVAEConfig, noise: object, tmp_path: Path) -> None:
    model, path = make(config, noise), tmp_path / "mine.safetensors"
    model.save(path)
    loaded = vr.load(path)
    assert loaded.network.config == config
    assert (loaded.normalisation, loaded.noise, loaded.record) == (
        model.normalisation,
        noise,
        model.record,
    )
    assert loaded.name == "mine"
    assert not loaded.network.training
    for name, weight in model.network.state_dict().items():
        assert torch.equal(weight, loaded.network.state_dict()[name])
    assert loaded.sha256 == model.sha256


def test_hash_tells_weights_and_noise_apart(saved: Path) -> None:
    model = vr.load(saved)
    before = model.sha256
    assert replace(model, noise=vr.GaussianNoise(1)).sha256 != before
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    assert model.sha256 != before


def test_an_existing_file_is_kept(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(vr.InputError, match="exists and was not replaced"):
        make(noise=vr.GaussianNoise(3)).save(saved)
    assert saved.read_bytes() == before
    make(noise=vr.GaussianNoise(3)).save(saved, overwrite=True)
    assert vr.load(saved).noise == vr.GaussianNoise(3)


def test_a_failed_write_leaves_the_old_file(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(vr.ModelFileError, match="the disk is full"):
        make().save(saved, overwrite=True)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_others_may_read_what_the_umask_allows(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode


def test_the_suffix_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(vr.InputError, match=r"\.safetensors"):
        make().save(tmp_path / "mine.pt")


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(vr.ModelFileError, match="does not exist"):
        vr.load(tmp_path / "none.safetensors")
    with pytest.raises(vr.ModelFileError, match="is a folder"):
        vr.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 8, 40, 200, -1])
def test_truncated_files_are_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(vr.ModelFileError, match="torn"):
        vr.load(saved)


@pytest.mark.parametrize(
    "content", [b"\x80\x04pickle", b"PK\x03\x04zip", b"{}", struct.pack("<Q", 2**62)]
)
def test_foreign_bytes_are_refused(saved: Path, content: bytes) -> None:
    saved.write_bytes(content * 50)
    with pytest.raises(vr.ModelFileError, match="no safetensors"):
        vr.load(saved)


def test_another_programs_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(vr.ModelFileError, match="another program"):
        vr.load(path)


def with_header(path: Path, change: dict[str, object]) -> None:
    """Rewrite a model file with some keys of its header replaced."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    table = json.loads(content[8 : 8 + length])
    header = json.loads(table["__metadata__"]["napari_vae_restore"])
    table["__metadata__"]["napari_vae_restore"] = json.dumps(header | change)
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2.*update"),
        ({"surprise": 1}, r"unknown \['surprise'\]"),
        ({"kind": "diffusion"}, "unknown kind of model 'diffusion'"),
        ({"config": {"levels": 2, "colour": "red"}}, "not valid"),
        ({"config": {"levels": "many"}}, "not valid"),
        ({"config": {"levels": 3, "width": 8, "latent": 4}}, "do not fit"),
        ({"config": {"levels": 2, "width": 1_000_000, "latent": 4}}, "width from 1 to"),
        ({"normalisation": {"offset": 1.0}}, "not valid"),
        ({"noise": {"kind": "gaussian", "sigma": -1}}, "not valid"),
        ({"noise": {"kind": "mystery"}}, "not valid"),
        ({"record": {"n_steps": "x"}}, "not valid"),
    ],
    ids=str,
)
def test_headers_of_another_version_or_content_are_refused(
    saved: Path, change: dict[str, object], message: str
) -> None:
    with_header(saved, change)
    with pytest.raises(vr.ModelFileError, match=message):
        vr.load(saved)


def test_a_finished_model_is_no_checkpoint(saved: Path) -> None:
    with pytest.raises(vr.ModelFileError, match="not a checkpoint"):
        load_checkpoint(saved)
