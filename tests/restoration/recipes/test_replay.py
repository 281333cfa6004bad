"""Recipes and masks from files: what was written is read, and what differs is told."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.restoration.recipes.replay import Request, read_mask, read_recipe
from napari_vae_restore.restoration.result import Recipe


@pytest.fixture
def mask(tmp_path):
    """A mask, in holes.png of the test's folder."""
    mask = np.zeros((16, 20), bool)
    mask[3:5, 4:9] = True
    iio.imwrite(tmp_path / "holes.png", mask.astype(np.uint8) * 255)
    return mask


def recipe_of(*tasks, **values):
    known = {
        "noise": (),
        "model": "mine",
        "model_sha256": "abc",
        "axes": "YX",
        "n_samples": 4,
        "tile": 64,
        "seed": 9,
        "package_version": "0.1.0",
    }
    return Recipe(tasks=tuple(task.to_dict() for task in tasks), **(known | values))


@pytest.mark.parametrize("name", ["recipe.json", "result.tif", "result.png"])
def test_a_recipe_is_read_from_text_and_from_results(tmp_path, mask, name):
    psf = np.outer([1, 2, 1], [1, 4, 1])
    tasks = [
        vr.Denoise("gaussian:5@0.5,0.4"),
        vr.Inpaint(mask, "holes.png"),
        vr.SuperResolve(3, "box"),
        vr.Deblur(psf),
    ]
    recipe = recipe_of(*tasks)
    if name.endswith("json"):
        (tmp_path / name).write_text(recipe.to_json())
    else:
        image = mask.astype(np.uint8)
        write_image(tmp_path / name, image, "YX", description=recipe.to_json())
    found = read_recipe(tmp_path / name)
    forms = json.loads(recipe.to_json())["tasks"]
    assert [t.to_dict() | {"mask": "holes.png"} for t in found.tasks[1:2]] == forms[1:2]
    assert [found.tasks[n].to_dict() for n in (0, 2, 3)] == [forms[n] for n in (0, 2, 3)]
    assert found.tasks[1].name == str(tmp_path / "holes.png")
    assert (found.model, found.axes) == ("mine", "YX")
    assert (found.n_samples, found.tile, found.seed) == (4, 64, 9)
    assert found.mask_sha256 == forms[1]["mask_sha256"]


def test_noise_of_each_channel_comes_back(tmp_path):
    noise = [vr.GaussianNoise(5), vr.PoissonGaussianNoise(2, 3, (0.5, 0.6))]
    (tmp_path / "recipe.json").write_text(recipe_of(vr.Denoise(noise)).to_json())
    assert read_recipe(tmp_path / "recipe.json").tasks == (vr.Denoise(noise),)


def test_all_but_the_tasks_may_be_absent(tmp_path):
    # Editors of Windows begin a file with a mark.
    (tmp_path / "recipe.json").write_text('{"tasks": [{"kind": "denoise"}]}', "utf-8-sig")
    assert read_recipe(tmp_path / "recipe.json") == Request((vr.Denoise(),))
    nulls = {"tasks": [{"kind": "denoise", "noise": None}], "axes": None, "model": None}
    (tmp_path / "recipe.json").write_text(json.dumps(nulls))
    assert read_recipe(tmp_path / "recipe.json") == Request((vr.Denoise(),))


def test_another_mask_takes_the_place_of_the_recipes(tmp_path, mask):
    (tmp_path / "recipe.json").write_text('{"tasks": [{"kind": "inpaint", "mask": "x.png"}]}')
    with pytest.raises(vr.InputError, match=r"recipe.json: .*x.png.*--mask FILE"):
        read_recipe(tmp_path / "recipe.json")
    found = read_recipe(tmp_path / "recipe.json", mask=tmp_path / "holes.png")
    np.testing.assert_array_equal(found.tasks[0].mask, mask)


def test_departures(model, mask):
    task = vr.Inpaint(mask)
    digest = task.to_dict()["mask_sha256"]
    same = Request((task,), model_sha256=model.sha256, mask_sha256=digest)
    assert same.departures(model) == []
    assert Request((task,)).departures(model) == []
    other = Request((vr.Inpaint(~mask),), model="x", model_sha256="abc", mask_sha256=digest)
    assert [found.partition(":")[0] for found in other.departures(model)] == [
        "the recipe was made with another model named 'x'",
        "the recipe was made with another mask",
    ]


def test_a_mask_in_colour(tmp_path):
    colours = np.zeros((8, 9, 4), np.uint8)
    colours[..., 3] = 255
    colours[1, 1, 2] = 1  # blue
    colours[2, 2] = (9, 9, 9, 0)  # grey, but transparent
    iio.imwrite(tmp_path / "mask.png", colours)
    task = read_mask(tmp_path / "mask.png")
    assert np.argwhere(task.mask).tolist() == [[1, 1]]
    assert task.name == str(tmp_path / "mask.png")
