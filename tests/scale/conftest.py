"""Folders of small images, and a model that takes milliseconds."""

import numpy as np
import pytest

from napari_vae_restore import HVAEConfig, Training
from napari_vae_restore.image_files import write_image

SHAPE = 40, 32


@pytest.fixture
def make_picture():
    """Make a noisy picture, another one for each seed."""

    def make(seed=0, dtype="uint16"):
        noise = np.random.default_rng(seed).normal(0, 8, SHAPE)
        rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
        return (100 + 40 * np.sin(rows / 5) * np.cos(columns / 7) + noise).astype(dtype)

    return make


@pytest.fixture
def images(tmp_path, make_picture):
    """A folder with images, a folder in it, and what is no image."""
    folder = tmp_path / "data"
    (folder / "day2" / ".hidden").mkdir(parents=True)
    names = ["t10.tif", "t2.tif", "day2/t1.ome.tif", ".hidden.tif", "day2/.hidden/a.tif"]
    for seed, name in enumerate(names):
        scale = (0.2, 0.2)
        write_image(
            folder / name, make_picture(seed), "YX", scale=scale, units=["micrometer"] * 2
        )
    write_image(folder / "b.png", make_picture(9, "uint8"), "YX")
    (folder / "readme.txt").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def quick_model():
    """A model that was trained for a moment."""
    rng = np.random.default_rng(0)
    picture = 100 + rng.normal(0, 8, (64, 64))
    tiny = HVAEConfig(levels=2, width=8, latent=4)
    training = Training(picture, steps=3, config=tiny, noise="gaussian:8", device="cpu")
    for _ in training.run():
        pass
    return training.model
