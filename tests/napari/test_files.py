"""Layers saved by napari's menu with our writer: what a file keeps, and what comes back."""

import json

import numpy as np
import pytest
from napari.layers import Image
from npe2 import PluginManager

import napari_vae_restore as vr
from napari_vae_restore._napari import commands
from napari_vae_restore._napari.forms.recipe_places import file_of
from napari_vae_restore._napari.layers.files import open_file, write_layer
from napari_vae_restore.errors import InputError
from napari_vae_restore.images.image_files import read_image
from napari_vae_restore.restoration.recipes.replay import read_recipe

PLUGIN = "napari-vae-restore"


def save(layer, path):
    """Write a layer as its data tuple, as napari does."""
    data, attributes, _ = layer.as_layer_data_tuple()
    return write_layer(str(path), data, attributes)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.tif"])
@pytest.mark.parametrize(
    ("shape", "labels", "dtype"),
    [
        ((21, 34), ("y", "x"), np.uint16),
        ((3, 21, 34), ("z", "y", "x"), np.float32),
        ((2, 3, 21, 34), ("t", "c", "y", "x"), np.uint8),
        ((34, 21), ("x", "y"), np.int16),
    ],
)
def test_a_layer_comes_back_as_it_was(tmp_path, name, shape, labels, dtype):
    rng = np.random.default_rng(0)
    steps = {"z": (0.5, "um"), "t": (2.0, "s"), "c": (1.0, "pixel")}
    sizes = [steps.get(label, (0.108, "um")) for label in labels]
    layer = Image(
        rng.integers(0, 200, shape).astype(dtype),
        rgb=False,
        axis_labels=labels,
        scale=[size for size, _ in sizes],
        units=[unit for _, unit in sizes],
        metadata={"vae_restore": {"tasks": [], "package_version": "0", "seed": 7}},
    )
    assert save(layer, tmp_path / name) == [str(tmp_path / name)]
    opened = open_file(tmp_path / name)
    again = Image(opened.data, **opened.options)
    np.testing.assert_array_equal(again.data, layer.data)
    assert again.data.dtype == dtype
    np.testing.assert_allclose(again.scale, layer.scale, rtol=1e-6)
    assert again.units == layer.units
    assert tuple(again.axis_labels) == labels
    assert again.metadata["vae_restore"] == layer.metadata["vae_restore"]
    assert again.name == "out"


def test_colours_levels_and_missing_endings(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (16, 18, 3), np.uint8)
    layer = Image([colours, colours[::2, ::2]], multiscale=True, rgb=True, scale=(-2, 3))
    (path,) = save(layer, tmp_path / "colours")
    assert path.endswith("colours.ome.tif")
    image = read_image(path)
    np.testing.assert_array_equal(image.data, colours)
    assert image.axes == "YXS"
    assert image.scale == (2, 3, 1)
    assert open_file(tmp_path / "colours.ome.tif").options["rgb"]


def test_what_ome_cannot_hold_is_refused_in_words(tmp_path):
    layer = Image(np.zeros((4, 8, 8)), axis_labels=("p", "y", "x"))
    with pytest.raises(InputError, match=r"\.tif without \.ome"):
        save(layer, tmp_path / "out.ome.tif")
    assert list(tmp_path.iterdir()) == []
    save(layer, tmp_path / "out.tif")
    assert open_file(tmp_path / "out.tif").options["axis_labels"] == ("p", "y", "x")


def test_napari_finds_the_writer():
    manager = PluginManager.instance()
    manager.discover()
    for name, plugin in (("a.ome.tif", None), ("a.tif", PLUGIN), ("a", PLUGIN)):
        writer, path = manager.get_writer(name, ["image"], plugin)
        assert writer.command == f"{PLUGIN}.write", name
        assert path == (name if "." in name else "a.ome.tif")


@pytest.mark.gui
def test_a_result_is_saved_opened_and_repeated(
    viewer, tiny_model, tmp_path, make_image, monkeypatch
):
    layer = viewer.add_image(
        make_image(), name="cells", scale=(0.2, 0.2), units="um", axis_labels=("y", "x")
    )
    out = vr.denoise(layer, tiny_model, noise="gaussian:8")
    (result,) = vr.add_to_viewer(viewer, out, like=layer)
    viewer.layers.selection = {result}
    path = tmp_path / "cells.ome.tif"
    assert viewer.layers.save(str(path), selected=True) == [str(path)]
    request = read_recipe(path)
    again = vr.restore(layer, request.tasks, tiny_model, axes=request.axes, seed=request.seed)
    np.testing.assert_array_equal(again.mean, out.mean)

    answer = ([str(path)], "")
    monkeypatch.setattr(commands.QFileDialog, "getOpenFileNames", lambda *_, **__: answer)
    commands.open_files(viewer)
    opened = viewer.layers[-1]
    np.testing.assert_array_equal(opened.data, result.data)
    np.testing.assert_allclose(opened.scale, (0.2, 0.2))
    assert opened.units == layer.units
    assert opened.metadata["vae_restore"] == json.loads(out.recipe.to_json())
    assert file_of(opened) == path  # what a copied command line reads
