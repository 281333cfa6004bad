"""Window, copied Python and copied command line give the same numbers."""

import shlex

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_vae_restore import InputError
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore.cli import main
from napari_vae_restore.images.image_files import read_image, write_image
from napari_vae_restore.restoration.recipes.code import Places, as_command, as_python


@pytest.mark.gui
def test_a_feathered_fill_of_one_plane_is_repeated_by_the_copied_python(
    viewer, open_widget, finish, make_image, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "napari_vae_restore._napari.forms.recipe_places.kept_folder", lambda: tmp_path / "kept"
    )
    layer = viewer.add_image(make_image((2, 48, 56)), name="stack")
    square = np.array([[1, 10, 10], [1, 10, 20], [1, 20, 20], [1, 20, 10]])
    viewer.add_shapes([square], shape_type="polygon", name="hole")
    inpaint, check = open_widget("Inpaint"), open_widget("Check & Compare")
    inpaint.header.layers.value = layer
    inpaint.header.feather.value = 3
    inpaint.header.samples.value = 2
    inpaint.run()
    finish(inpaint)
    result, spread = viewer.layers["stack inpainted"], viewer.layers["stack uncertainty"]
    check.header.layers.value = result
    check.recipe.python_button.click()
    names = {"viewer": viewer}
    exec(QApplication.clipboard().text(), names)
    np.testing.assert_array_equal(names["out"].mean, result.data)
    np.testing.assert_array_equal(names["out"].expected_error(), spread.data)
    assert (result.data[1] != layer.data[1]).sum() > 100
    check.run_again(layer)
    finish(check)
    np.testing.assert_array_equal(viewer.layers["stack inpainted [1]"].data, result.data)
    with pytest.raises(InputError, match="fades into the image"):
        as_command(result.metadata["vae_restore"], Places("a.tif", mask="m.tif"), "b.tif")


@pytest.mark.gui
def test_three_ways_one_result(
    viewer, open_widget, finish, tiny_model, make_image, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "napari_vae_restore._napari.forms.recipe_places.kept_folder", lambda: tmp_path / "kept"
    )
    path = tmp_path / "my cells.tif"
    write_image(path, make_image((2, 48, 56)), "ZYX")
    (layer,) = viewer.open(path, plugin="napari")
    layer.axis_labels = ("z", "y", "x")
    viewer.add_shapes(
        [np.array([[1, 10, 10], [1, 10, 20], [1, 20, 20], [1, 20, 10]])],
        shape_type="polygon",
        name="hole",
    )
    denoise, inpaint = open_widget("Denoise"), open_widget("Inpaint")
    enlarge, check = open_widget("Super-resolve"), open_widget("Check & Compare")
    inpaint.header.grow.value = 2
    inpaint.header.noisy.value = True
    enlarge.header.kernel.value = "box"
    for widget, model in ((denoise, tiny_model), (inpaint, None), (enlarge, None)):
        if model is not None:
            model_store().add(model, "tiny")
            widget.header.seed.value = 3
        widget.header.layers.value = layer
        widget.run()
        finish(widget)
        result = viewer.layers[-1]
        check.header.layers.value = result
        check.recipe.python_button.click()
        names = {}
        exec(QApplication.clipboard().text(), names)
        np.testing.assert_array_equal(names["out"].mean, result.data)
        check.recipe.command_button.click()
        program, *words = shlex.split(QApplication.clipboard().text())
        assert program == "vae-restore"
        output = tmp_path / "my cells.restored.tif"
        assert main([*words, "--overwrite"]) == 0
        np.testing.assert_array_equal(read_image(output).data, result.data)


def recipe(*tasks, **values):
    """A recipe with these tasks."""
    other = {"axes": "YX", "n_samples": 0, "tile": 2304, "seed": 0, "model": "default"}
    return {"tasks": list(tasks), "noise": [], **other, **values}


DENOISE = {"kind": "denoise", "noise": None}
FILL = {"kind": "inpaint", "mask": "mask"}
ENLARGE = {"kind": "super-resolve", "factor": 2, "kernel": "box"}


def test_what_is_not_usual_is_written_and_nothing_else():
    places = Places("a.tif")
    assert as_command(recipe(DENOISE), places, "b.tif") == (
        "vae-restore denoise a.tif -o b.tif --axes YX --seed 0"
    )
    command = as_command(recipe(ENLARGE, DENOISE, n_samples=4, tile=64), places, "b.tif")
    assert "--factor 2 --kernel box --noise auto" in command
    assert "--samples 4 --tile 64" in command
    python = as_python(recipe(DENOISE, n_samples=4, tile=64), places)
    assert "n_samples=4" in python
    assert "tile=64" in python
    layer = as_python(recipe(DENOISE), Places('my "cells"', is_layer=True))
    assert "viewer.layers['my \"cells\"']" in layer
    assert "add_to_viewer" in layer


def test_what_no_command_can_do_is_said():
    places = Places("a.tif", mask="m.tif")
    each = {"kind": "denoise", "noise": ["gaussian:1", "gaussian:2"]}
    assert 'vr.parse_noise("gaussian:2")' in as_python(recipe(each), places)
    for unusual, reason in ((recipe(each), "one noise"), (recipe(FILL, ENLARGE), "at once")):
        with pytest.raises(InputError, match=reason):
            as_command(unusual, places, "b.tif")
    with pytest.raises(InputError, match="not there any more"):
        as_python(recipe(FILL), Places("a.tif"))
    assert "vr.Deblur([[1.0]])" in as_python(recipe({"kind": "deblur", "psf": [[1.0]]}), places)
    with pytest.raises(InputError, match="known task"):
        as_python(recipe({"kind": "dream"}), places)
