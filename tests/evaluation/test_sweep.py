"""``vr.sweep``: what is held out, what is not done twice, and which member is recommended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.evaluation import sweep as sweeping
from napari_vae_restore.evaluation.grid import Member, MemberFigures, members_of
from napari_vae_restore.evaluation.held_out import hold_out
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.training.networks import network_config, settings_on
from napari_vae_restore.training.sources import Loaded

OPTIONS = {"kind": "flat", "latent": (1, 3), "budget": 1.0, "simulate": "gaussian:0.2"}


@pytest.fixture(scope="module")
def faces() -> NDArray[np.float32]:
    return data.lfw_subset()[:20].astype(np.float32)


def test_a_sweep_goes_on_where_it_was_killed(
    faces: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    class Watched(sweeping.Training):
        def run(self) -> Iterator[vr.Progress]:
            trained.append(self.config.z_dim)
            if trained == [1, 3]:
                raise KeyboardInterrupt
            return super().run()

    monkeypatch.setattr(sweeping, "Training", Watched)
    with pytest.raises(KeyboardInterrupt):
        vr.sweep(faces, tmp_path / "out", **OPTIONS)
    found = vr.sweep(faces, tmp_path / "out", **OPTIONS)
    assert trained == [1, 3, 3]
    assert vr.sweep(faces, tmp_path / "out", **OPTIONS) == found
    assert trained == [1, 3, 3]
    values = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert values["recommended"] == found.recommended.member.name
    assert [each["member"]["latent"] for each in values["members"]] == [1, 3]
    chosen = vr.load(tmp_path / "out" / "recommended.safetensors")
    assert chosen.network.config.z_dim == found.recommended.member.latent
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("<svg") == 2
    assert found.recommended.member.name in report
    # The figures are those of the held-out planes, measured alone.
    images = hold_out([Loaded("image 1", faces, "TYX")], None, GaussianNoise(0.2), 0)
    again = vr.evaluate(chosen, images.images[0].data, axes="TCYX")
    assert again.elbo == pytest.approx(found.recommended.elbo)
    with pytest.raises(vr.InputError, match="sweep of other seed"):
        vr.sweep(faces, tmp_path / "out", seed=1, **(OPTIONS | {"simulate": "gaussian:0.2"}))


def test_a_folder_with_something_else_is_refused(
    faces: NDArray[np.float32], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(vr.InputError, match="something else"):
        vr.sweep(faces, tmp_path, **OPTIONS)


def test_planes_are_held_out_or_rows() -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(10, 24, 24))
    found = hold_out([Loaded("a", stack, "TYX")], [Loaded("b", stack + 1, "TYX")], None, 0)
    assert found.training[0].data.shape == (8, 1, 24, 24)
    assert found.references is not None
    np.testing.assert_array_equal(found.references[0].data, found.images[0].data + 1)
    seen = np.concatenate([found.training[0].data, found.images[0].data])
    assert sorted(seen[:, 0, 0, 0]) == sorted(stack[:, 0, 0])
    colours = rng.normal(size=(100, 60, 3))
    found = hold_out([Loaded("a", colours, "YXS")], None, None, 0)
    np.testing.assert_array_equal(found.training[0].data[0], colours[:80])
    np.testing.assert_array_equal(found.images[0].data[0], colours[80:])
    assert found.training[0].axes == "TYXS"
    with pytest.raises(vr.InputError, match="48 rows"):
        hold_out([Loaded("a", stack[0], "YX")], None, None, 0)


def figures(latent: int, elbo: float, psnr: float | None) -> MemberFigures:
    member = Member(latent, 1.0, 3)
    noisy = None if psnr is None else 20.0
    return MemberFigures(member, 100 * latent, 10, 1.0, elbo, 0.1, 7.0, 2, 4, 30.0, noisy, psnr)


def test_the_rule_prefers_the_smaller_of_nearly_equal_ones() -> None:
    members = (figures(2, -2.1, None), figures(8, -2.005, None), figures(32, -2.0, None))
    found = vr.Sweep("hvae", members, "rows", 1.0)
    assert found.recommended.member.latent == 8
    assert "ELBO" in found.rule
    restored = (figures(2, -2.0, 28.0), figures(8, -2.1, 28.05), figures(32, -3.0, 29.0))
    found = replace(found, members=restored)
    assert found.recommended.member.latent == 32
    assert "PSNR" in found.rule
    assert list(found.plots()) == ["elbo", "denoising"]


def test_every_combination_is_a_member_once() -> None:
    found = members_of("hvae", (2, 8), (0.5, 1), (3, 4))
    assert len(found) == len({member.name for member in found}) == 8
    assert len(members_of("flat", (2, 2), (1, 1.0), None)) == 1
    with pytest.raises(vr.InputError, match="one latent vector"):
        members_of("flat", None, (1,), (3,))
    with pytest.raises(vr.InputError, match="at least one"):
        members_of("hvae", (), (1,), None)


def test_networks_suit_their_images() -> None:
    small = [Loaded("a", np.zeros((9, 25, 27)), "TYX")]
    colours = [Loaded("a", np.zeros((100, 120, 3)), "YXS")]
    assert network_config("flat", small).size == 28
    flat = network_config("flat", colours, latent=7)
    assert (flat.size, flat.channels, flat.z_dim) == (32, 3, 7)
    hvae = network_config("hvae", small, latent=8, levels=3)
    settings = settings_on(hvae, small, beta=0.5, stride=16)
    assert (settings.patch, settings.beta) == (32, 0.5)
    with pytest.raises(vr.InputError, match="hvae or flat"):
        network_config("round", small)
