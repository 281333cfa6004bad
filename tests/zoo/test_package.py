"""What a package says; and, where bioimageio.core is installed, that its tools run it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import napari_vae_restore as vr
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.reports.model_report import report_of
from napari_vae_restore.zoo import package
from napari_vae_restore.zoo.archive import CONFIG_KEY, import_package
from napari_vae_restore.zoo.credit import Author, Credit
from napari_vae_restore.zoo.description import describe, package_name
from napari_vae_restore.zoo.documentation import readme
from untrained import EVERY_TASK, untrained

CREDIT = Credit(authors=(Author("A. Person", "A Lab"),), licence="CC-BY-4.0")


MODELS = {
    "every task": untrained(EVERY_TASK),
    "gaussian": untrained(noise=vr.GaussianNoise(3.0)),
    "photons": untrained(noise=vr.PoissonGaussianNoise(2.0, 9.0)),
    "textbook": untrained(vr.FlatVAEConfig(size=32, width=8, z_dim=4)),
}


def said(model, credit=CREDIT):
    return describe(
        model,
        credit,
        name="Name",
        description="About",
        digest="0" * 64,
        cover="cover.png",
        spread=100.0,
    )


def test_what_is_missing_is_asked_for_at_once():
    with pytest.raises(vr.InputError, match="missing: an author, and a licence"):
        Credit(authors=(), licence="")
    with pytest.raises(vr.InputError, match=r"an author$"):
        Credit(authors=(Author(""),), licence="MIT")
    with pytest.raises(vr.InputError, match="a DOI or a URL"):
        Credit(authors=CREDIT.authors, licence="MIT", cite="Me, 2026")


def test_citations_find_their_place():
    cited = Credit(authors=CREDIT.authors, licence="MIT", cite="Me, doi:10.1234/abc.d.")
    assert cited.citations()[0]["doi"] == "10.1234/abc.d"
    linked = Credit(authors=CREDIT.authors, licence="MIT", cite="Me, https://me.org/paper.")
    assert linked.citations()[0]["url"] == "https://me.org/paper"
    assert len(CREDIT.citations()) == 1


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_description_is_json_and_names_the_hash(model):
    form = json.loads(json.dumps(said(model), allow_nan=False))
    assert form["config"][CONFIG_KEY]["model_sha256"] == model.sha256
    sizes = [axis.get("size") for axis in form["inputs"][0]["axes"][2:]]
    config = model.network.config
    if config.fixed_size:
        assert sizes == [config.fixed_size] * 2
    else:
        assert sizes == [{"min": 64, "step": config.stride}] * 2
    assert form["license"] == "CC-BY-4.0"


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_documentation_tells_limits_and_validation(model):
    text = readme(report_of(model), "Name", "About", "From here.")
    assert "## Limits" in text
    assert "## Validation" in text
    assert ("tiles" in text) == ("measured in each input" in text) == (model.noise is None)


@pytest.mark.parametrize("name", ["a", "größe/µm: 3", "x" * 200])
def test_names_are_as_bioimage_io_allows_them(name):
    found = package_name(name)
    assert 5 <= len(found) <= 64
    assert found.isascii()
    assert "/" not in found


def test_the_test_image_is_cut_and_refused_with_words():
    model = MODELS["gaussian"]
    plane = np.arange(100 * 300, dtype=np.uint16).reshape(100, 300)
    assert package._test_image(model, (plane, "YX")).shape == (1, 1, 100, 256)
    assert package._test_image(model, (np.stack([plane] * 3), "TYX")).dtype == np.float32
    assert package._test_image(MODELS["textbook"], (plane, "YX")).shape == (1, 1, 32, 32)
    assert package._test_image(model, None).shape == (1, 1, 256, 256)
    with pytest.raises(vr.InputError, match="at least 64"):
        package._test_image(model, (plane[:40], "YX"))
    with pytest.raises(vr.InputError, match="finite"):
        package._test_image(model, (np.where(plane == 7, np.nan, plane), "YX"))
    colours = untrained(vr.HVAEConfig(levels=2, width=8, latent=4, channels=3))
    with pytest.raises(vr.InputError, match="3 channels"):
        package._test_image(colours, (plane, "YX"))


def test_unusable_paths_are_refused_before_anything_is_computed(tmp_path):
    model = MODELS["every task"]
    with pytest.raises(vr.InputError, match=r"\.zip"):
        package.export_package(model, tmp_path / "x.tar", CREDIT)
    (tmp_path / "x.zip").touch()
    with pytest.raises(vr.InputError, match="was not replaced"):
        package.export_package(model, tmp_path / "x.zip", CREDIT)
    with pytest.raises(vr.InputError, match="a cover that is"):
        package.export_package(model, tmp_path / "y.zip", CREDIT, cover=tmp_path / "x.zip")


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bioimageio", None)
    monkeypatch.setitem(__import__("sys").modules, "bioimageio.core", None)
    with pytest.raises(vr.InputError, match=r"napari-vae-restore\[bioimageio\]"):
        package.export_package(MODELS["every task"], tmp_path / "x.zip", CREDIT)


def global_state():
    """Of the generators that no entry point of the library may touch."""
    legacy = np.random.get_state()[1]  # noqa: NPY002
    return legacy.tolist(), torch.random.get_rng_state().tolist()


@pytest.fixture
def core():
    return pytest.importorskip("bioimageio.core")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_its_tools_run_it_and_the_model_comes_back(core, model, tmp_path):
    path, back = tmp_path / "package.zip", tmp_path / "back.safetensors"
    state = global_state()
    found = package.export_package(model, path, CREDIT)
    assert found.status == "passed"
    assert any("Reproduce test outputs" in check for check in found.checks)
    assert global_state() == state
    assert import_package(path, back).sha256 == model.sha256


@pytest.mark.filterwarnings("ignore")
def test_the_bundled_model_runs_in_its_tools_on_other_pictures(core, tmp_path):
    cover = tmp_path / "mine.png"
    Image.new("L", (64, 64)).save(cover)
    path = tmp_path / "package.zip"
    picture = np.random.default_rng(0).normal(100, 10, (90, 128))
    package.export_package(
        find_model("default"), path, CREDIT, picture=(picture, "YX"), cover=cover
    )
    noisy = np.random.default_rng(1).normal(500, 10, (1, 1, 96, 128)).astype(np.float32)
    sample = core.predict(model=path, inputs=noisy)
    (denoised,) = sample.members.values()
    assert np.std(denoised.data.to_numpy()) < 0.3 * np.std(noisy)


def test_an_unknown_licence_is_told_in_a_sentence(core, tmp_path):
    credit = Credit(authors=CREDIT.authors, licence="my own")
    with pytest.raises(vr.InputError, match=r"SPDX .* but 'my own' came"):
        package.export_package(MODELS["every task"], tmp_path / "x.zip", credit)


@pytest.mark.filterwarnings("ignore")
def test_what_its_tools_refuse_is_not_written(core, tmp_path, monkeypatch):
    monkeypatch.setattr(package, "package_name", lambda name: "x")
    with pytest.raises(vr.ModelFileError, match=r"not valid and was not written.*name"):
        package.export_package(MODELS["every task"], tmp_path / "x.zip", CREDIT)
    assert not list(tmp_path.iterdir())
