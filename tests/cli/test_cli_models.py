"""``vae-restore models``: list, show, export, import."""

import json

import pytest

from napari_vae_restore.models.bundled import find_model


def test_help_of_the_group(run):
    for words in (["models"], ["models", "--help"]):
        status, out, err = run(*words)
        assert (status, err) == (0, "")
        for command in ("list", "show", "export", "import"):
            assert command in out


def test_list(run, model_file, folder):
    assert run("models", "list")[1].split()[:3] == ["default", "restoration", "·"]
    (folder / "broken.safetensors").write_bytes(b"torn")
    status, out, err = run("models", "list", folder)
    assert (status, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert "hvae · denoise · 5 steps" in lines["model.safetensors"]
    assert "noise gaussian:25" in lines["model.safetensors"]
    assert "cannot be used" in lines["broken.safetensors"]
    found = json.loads(run("models", "list", folder, "--json")[1])
    assert found[0]["name"] == "default"
    assert "torn" in next(e["error"] for e in found if "error" in e)
    status, _, err = run("models", "list", folder / "none")
    assert (status, "folder" in err) == (2, True)


def test_show(run, model_file, tmp_path):
    status, out, err = run("models", "show", model_file)
    assert (status, err) == (0, "")
    assert "Gaussian, standard deviation 25" in out
    assert "every 2 px" in out
    values = json.loads(run("models", "show", "default", "--json")[1])
    assert values["sha256"] == find_model("default").sha256
    page = tmp_path / "report.html"
    status, out, _ = run("models", "show", model_file, "--html", page)
    assert status == 0
    assert str(page) in out
    assert "data:image/png" in page.read_text(encoding="utf-8")
    assert run("models", "show", model_file, "--html", page)[0] == 0
    status, _, err = run("models", "show", "default", "--html", page)
    assert status == 2
    assert "was not replaced" in err
    assert run("models", "show", "default", "--html", page, "--overwrite")[0] == 0


def test_training_leaves_a_report_beside_the_weights(run, model_file, folder, tmp_path):
    page = model_file.with_name("model.report.html")
    assert "Gaussian, standard deviation 25" in page.read_text(encoding="utf-8")
    words = ["train", folder / "noisy.tif", "--steps", 2, "--noise", "gaussian:25"]
    (tmp_path / "other.report.html").write_text("mine")
    status, out, err = run(*words, "-o", tmp_path / "other.safetensors")
    assert status == 0
    assert "was not replaced" in err
    assert "Report" not in out
    assert (tmp_path / "other.report.html").read_text() == "mine"


def test_export_asks_for_what_is_missing(run, tmp_path):
    words = ["models", "export", "default", "-o", tmp_path / "x.zip"]
    status, _, err = run(*words)
    assert status == 2
    assert "missing: an author, and a licence" in err
    status, _, err = run(*words, "--github", "someone")
    assert "--author for each" in err
    status, _, err = run(*words, "--format", "onnx")
    assert "--format bioimageio" in err


@pytest.mark.filterwarnings("ignore")
def test_export_and_import(run, model_file, tmp_path):
    pytest.importorskip("bioimageio.core")
    package, back = tmp_path / "x.zip", tmp_path / "back.safetensors"
    who = ["--author", "A. Person", "--affiliation", "A Lab", "--licence", "CC-BY-4.0"]
    status, out, err = run("models", "export", model_file, "-o", package, *who)
    assert status == 0, err
    assert "passed" in out
    status, out, _ = run("models", "import", package, "-o", back)
    assert status == 0
    shown = [json.loads(run("models", "show", f, "--json")[1]) for f in (model_file, back)]
    assert shown[0]["sha256"] == shown[1]["sha256"]


def test_import_refuses_what_is_none(run, tmp_path):
    status, _, err = run(
        "models", "import", tmp_path / "x.zip", "-o", tmp_path / "m.safetensors"
    )
    assert status == 2
    assert "does not exist" in err
