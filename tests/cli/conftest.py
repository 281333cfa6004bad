"""The command line run in this process, and files for it."""

import hashlib

import numpy as np
import pytest

from napari_vae_restore.cli import main
from napari_vae_restore.images.image_files import write_image


@pytest.fixture
def run(capsys):
    """Run the command line here: exit status, stdout and stderr."""

    def command(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory, noisy):
    folder = tmp_path_factory.mktemp("command_line")
    write_image(folder / "noisy.tif", noisy, "YX")
    return folder


@pytest.fixture(scope="module")
def model_file(folder):
    path = folder / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path, "--steps", 5, "--noise", "gaussian:25"]
    assert main([str(word) for word in words]) == 0
    return path


@pytest.fixture
def picture():
    """Make a picture of any shape and dtype: waves in noise."""

    def make(shape, dtype="uint8"):
        places = np.indices(shape).sum(axis=0)
        values = 120 + 60 * np.sin(places / 6) + np.random.default_rng(0).normal(0, 12, shape)
        return np.clip(values, 0, 255).astype(dtype)

    return make


@pytest.fixture
def recipe_of():
    """What a file tells of a restoration: Python's recipe, and the hash of its image."""

    def told(same, image):
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        return same.recipe.to_dict() | {"image_sha256": digest}

    return told
