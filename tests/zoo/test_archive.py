"""Packages are read without running, unpacking or believing anything in them."""

import hashlib
import io
import zipfile
from dataclasses import asdict

import pytest

import napari_vae_restore as vr
from napari_vae_restore.zoo import archive
from napari_vae_restore.zoo.archive import Attachment, import_package
from untrained import untrained

yaml = pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def model():
    return untrained(noise=vr.GaussianNoise(3.0))


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    model.save(path)
    return path.read_bytes()


@pytest.fixture
def pack(model, weights, tmp_path):
    """Make a package; parts of what it says can be replaced."""

    def packed(name="package.zip", rdf="rdf.yaml", content=weights, description=None, **said):
        digest = hashlib.sha256(weights).hexdigest()
        form = asdict(Attachment("model.safetensors", digest, model.sha256)) | said
        if description is None:
            description = yaml.safe_dump(
                {"type": "model", "name": "x", "config": {archive.CONFIG_KEY: form}}
            )
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(rdf, description)
            file.writestr("model.safetensors", content)
        return path

    return packed


@pytest.mark.parametrize("rdf", archive.DESCRIPTIONS)
def test_the_whole_model_comes_back(pack, model, tmp_path, rdf):
    output = tmp_path / "back.safetensors"
    found = import_package(pack(rdf=rdf), output)
    assert found.sha256 == model.sha256 == vr.load(output).sha256
    assert found.name == "back"
    with pytest.raises(vr.InputError, match="was not replaced"):
        import_package(pack(), output)
    import_package(pack(), output, overwrite=True)


def test_an_unpacked_package_is_one_too(pack, model, tmp_path):
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(pack()) as file:
        file.extractall(folder)
    for n, source in enumerate((folder, folder / "rdf.yaml")):
        assert import_package(source, tmp_path / f"{n}.safetensors").sha256 == model.sha256
    (folder / "model.safetensors").unlink()
    with pytest.raises(vr.ModelFileError, match="does not exist"):
        import_package(folder, tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/etc/model.safetensors",
        "sub/model.safetensors",
        "..\\model.safetensors",
        "C:\\model.safetensors",
        "weights.pt",
        "",
        ".safetensors/..",
    ],
)
def test_a_name_never_becomes_a_path(pack, tmp_path, name):
    with pytest.raises(vr.ModelFileError, match="nothing was read"):
        import_package(pack(weights=name), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"sha256": "0" * 64}, "SHA-256 differs"),
        ({"model_sha256": "0" * 64}, "not the one that it describes"),
        ({"version": 2}, "another version"),
        ({"surprise": 1}, "damaged"),
        ({"sha256": 3}, "damaged"),
        ({"weights": "other.safetensors"}, "missing"),
        ({"content": b"\x80\x04pickle"}, "SHA-256 differs"),
    ],
    ids=str,
)
def test_what_is_not_as_told_is_refused(pack, tmp_path, said, message):
    with pytest.raises(vr.ModelFileError, match=message):
        import_package(pack(**said), tmp_path / "out.safetensors")
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_pickle_with_the_right_hash_is_no_model(pack, tmp_path):
    content = b"\x80\x04pickle" * 50
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(vr.ModelFileError, match="no safetensors"):
        import_package(pack(content=content, sha256=digest), tmp_path / "out.safetensors")


FOREIGN = {
    "type": "model",
    "name": "UNet \x1b[31mred",
    "weights": {"torchscript": {"source": "w.pt"}, "onnx": {"source": "w.onnx"}},
}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (FOREIGN, r"the model 'UNet \\x1b\[31mred' .*'onnx, torchscript'.*bioimageio.core"),
        (FOREIGN | {"config": {"bioimageio": {}}}, "made by another program"),
        ({"type": "dataset", "name": "cells"}, "of type 'dataset', and not a model"),
        ({"type": "model"}, "'None'"),
        ([1, 2], "no mapping"),
        ("text", "no mapping"),
    ],
    ids=str,
)
def test_what_others_made_is_refused_by_what_it_is(pack, tmp_path, description, message):
    path = pack(description=yaml.safe_dump(description))
    with pytest.raises(vr.ModelFileError, match=message):
        import_package(path, tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    "text", ["a: [1", "!!python/object/apply:os.system ['true']", "a: " + "[" * 5000, "\x00"]
)
def test_a_description_that_is_no_plain_yaml_is_refused(pack, tmp_path, text):
    with pytest.raises(vr.ModelFileError, match="damaged"):
        import_package(pack(description=text), tmp_path / "out.safetensors")


def test_sizes_are_limited_whatever_the_archive_claims(pack, tmp_path):
    with pytest.raises(vr.ModelFileError, match="too long"):
        import_package(pack(description="#" * 2**21), tmp_path / "out.safetensors")
    with pytest.raises(vr.ModelFileError, match="larger than any model"):
        import_package(pack(), tmp_path / "out.safetensors", max_bytes=1000)
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_is_no_package_is_refused(tmp_path):
    output = tmp_path / "out.safetensors"
    text = tmp_path / "text.zip"
    text.write_text("no zip")
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as file:
        file.writestr("sub/rdf.yaml", "type: model")
    for source, message in (
        (text, "torn"),
        (empty, "no bioimage.io package"),
        (tmp_path / "none.zip", "does not exist"),
        (tmp_path, "holds no"),
    ):
        with pytest.raises(vr.ModelFileError, match=message):
            import_package(source, output)
    with pytest.raises(vr.InputError, match=r"\.safetensors"):
        import_package(text, tmp_path / "out.pt")


@pytest.mark.parametrize("keep", [10, 100, 1000, -30])
def test_a_torn_package_is_refused(pack, tmp_path, keep):
    path = pack()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(vr.ModelFileError, match="torn"):
        import_package(path, tmp_path / "out.safetensors")


def test_a_damaged_member_is_refused(pack, tmp_path):
    path = pack()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(vr.ModelFileError, match=r"torn|SHA-256"):
        import_package(path, tmp_path / "out.safetensors")


def test_an_encrypted_package_is_refused(pack, tmp_path):
    content = pack().read_bytes()
    buffer = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = buffer.find(signature)
        while start >= 0:
            buffer[start + offset] |= 1
            start = buffer.find(signature, start + 1)
    path = tmp_path / "encrypted.zip"
    path.write_bytes(io.BytesIO(buffer).getvalue())
    with pytest.raises(vr.ModelFileError, match="encrypted"):
        import_package(path, tmp_path / "out.safetensors")
