"""Batches in the window: the steps without Qt, and the widget that shows them."""

import time

import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore._napari.jobs.batch_steps import (
    BatchPlanned,
    BatchRequest,
    BatchTask,
    batch_steps,
    paths_of,
    plan_steps,
    proposed_output,
    recipe_steps,
    text_of,
)
from napari_vae_restore._napari.messages import Update
from napari_vae_restore.batch import run as batches
from napari_vae_restore.images.image_files import read_image, write_image

DENOISE = BatchTask("Denoise", {"tasks": [{"kind": "denoise"}]})


@pytest.fixture
def data(tmp_path, make_image):
    """A folder with three images and one that is torn."""
    (tmp_path / "data" / "day2").mkdir(parents=True)
    for seed, name in enumerate(("a.tif", "b.tif", "day2/c.tif")):
        image = make_image(seed=seed)
        write_image(
            tmp_path / "data" / name, image, "YX", scale=[0.2] * 2, units=["micrometer"] * 2
        )
    (tmp_path / "data" / "torn.tif").write_text("torn")
    return tmp_path / "data"


@pytest.fixture
def contents():
    def read(folder):
        return {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    return read


def test_the_window_writes_what_python_writes(data, tiny_model, drained, contents):
    wanted = BatchRequest(str(data), str(data.parent / "window"), DENOISE)
    messages, jobs = drained(batch_steps(wanted, tiny_model))
    same = vr.restore_files(data, data.parent / "python", vr.Denoise(), tiny_model)
    assert contents(data.parent / "window") == contents(data.parent / "python")
    assert [job.state for job in jobs] == [job.state for job in same]
    planned = next(m for m in messages if m and not isinstance(m, Update))
    assert isinstance(planned, BatchPlanned)
    assert jobs[2].reason


def test_a_dry_run_does_nothing(data, tiny_model, drained):
    wanted = BatchRequest(f"{data}/*.tif; {data}/day2/c.tif", str(data.parent / "out"), DENOISE)
    messages, jobs = drained(plan_steps(wanted, tiny_model))
    assert [job.files.mean.name for job in jobs] == ["a.tif", "b.tif", "torn.tif", "c.tif"]
    assert not (data.parent / "out").exists()
    assert messages[-1] == BatchPlanned(jobs)


def test_a_recipe_is_that_of_a_result(data, tiny_model, drained, tmp_path):
    first = BatchRequest(str(data / "a.tif"), str(tmp_path / "one"), DENOISE)
    drained(batch_steps(first, tiny_model))
    _, what = drained(recipe_steps(tmp_path / "one" / "a.tif"))
    assert (what.title, what.only_denoises, what.fills) == ("a.tif", True, False)
    again = BatchRequest(str(data / "day2"), str(tmp_path / "again"), what)
    _, jobs = drained(batch_steps(again, tiny_model))
    assert jobs[0].state.value == "restored"
    (tmp_path / "bad.json").write_text('{"tasks": 3}')
    with pytest.raises(vr.InputError, match="list of tasks"):
        drained(recipe_steps(tmp_path / "bad.json"))


def test_one_mask_for_all_and_none_where_one_is_needed(data, drained, tmp_path):
    fill = BatchTask("Fill holes", {"tasks": [{"kind": "inpaint"}]})
    mask = np.zeros((64, 72), np.uint8)
    mask[10:20, 10:20] = 1
    write_image(tmp_path / "mask.png", mask, "YX")
    wanted = BatchRequest(str(data / "a.tif"), str(tmp_path / "out"), fill)
    with pytest.raises(vr.InputError, match="mask"):
        drained(plan_steps(wanted, "default"))
    wanted = BatchRequest(
        str(data / "a.tif"), str(tmp_path / "out"), fill, str(tmp_path / "mask.png")
    )
    drained(batch_steps(wanted, "default"))
    same = vr.inpaint(read_image(data / "a.tif").data, mask)
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.tif").data, same.mean)


def test_paths_in_a_field(tmp_path):
    assert [str(path) for path in paths_of("a b/c.tif; ;d*.png")] == ["a b/c.tif", "d*.png"]
    assert paths_of(text_of(["one.tif", "two.tif"])) == paths_of("one.tif;two.tif")
    (tmp_path / "day1").mkdir()
    proposed = str(tmp_path / "day1-restored")
    assert proposed_output(f"{tmp_path}/day1") == proposed
    assert proposed_output(f"{tmp_path}/day1/**/*.tif") == proposed
    assert proposed_output("") == ""


@pytest.fixture
def widget(open_widget, data, tiny_model):
    """The widget with the folder and a quick model chosen."""
    from napari_vae_restore._napari.forms.model_store import model_store

    widget = open_widget("Batch")
    widget.header.images.text = str(data)
    model_store().add(tiny_model, "tiny")
    return widget


@pytest.mark.gui
def test_a_batch_in_the_window(widget, viewer, data, finish):
    assert widget.header.output.text == str(data.parent / "data-restored")
    widget.dry_run()
    finish(widget)
    assert widget.table.statuses() == ["waiting"] * 4
    assert "4 to restore, of 4 images. Nothing was done." in widget.status
    widget.run_button.click()
    finish(widget)
    statuses = widget.table.statuses()
    assert statuses[:2] + statuses[3:] == ["restored"] * 3
    assert statuses[2].startswith("failed: ")
    assert "3 restored, 1 failed, of 4 images" in widget.status
    widget.run()
    finish(widget)
    assert "3 there already, 1 failed" in widget.status
    widget.table.doubleClicked.emit(widget.table.model().index(3, 0))
    finish(widget)
    names = [layer.name for layer in viewer.layers]
    assert names == ["c", "c restored"]
    result = viewer.layers["c restored"]
    np.testing.assert_allclose(result.scale, 0.2)
    assert result.metadata["vae_restore"]["tasks"] == [{"kind": "denoise", "noise": None}]
    # What was done for a layer is now a task for many.
    widget.header.what.choose("as for “c restored”")
    assert widget.header.what.value.recipe == result.metadata["vae_restore"]
    viewer.layers.remove(result)
    assert widget.header.what.value.title == "Denoise"


@pytest.mark.gui
def test_cancelling_keeps_what_is_done(widget, data, finish, monkeypatch, qtbot):
    real = batches.iter_restore_file

    def slow(files, *args, **options):
        steps = real(files, *args, **options)
        if files.image.name == "b.tif":
            step = next(steps)
            for _ in range(2000):
                time.sleep(0.01)
                yield step
        return (yield from steps)

    monkeypatch.setattr(batches, "iter_restore_file", slow)
    widget.run()
    qtbot.waitUntil(
        lambda: any("running" in each for each in widget.table.statuses()[1:2]), timeout=60_000
    )
    started = time.monotonic()
    widget.cancel_button.click()
    finish(widget)
    assert time.monotonic() - started < 1
    assert widget.table.statuses()[:2] == ["restored", "waiting"]
    assert "1 restored, 3 waiting" in widget.status
    assert [path.name for path in (data.parent / "data-restored").iterdir()] == ["a.tif"]


@pytest.mark.gui
def test_what_is_missing_is_said(widget, data, finish, shown_errors, tmp_path):
    header = widget.header
    header.what.choose("Fill holes")
    assert "masks" in widget.status
    header.masks.text = str(tmp_path / "masks")
    assert "removes noise only" in widget.status
    assert not widget.run_button.isEnabled()
    header.what.choose("Denoise")
    header.images.text = str(data / "nothing")
    widget.run()
    finish(widget)
    assert "no file or folder" in shown_errors[0]
    header.images.text = ""
    assert "Choose a folder of images" in widget.status
    (tmp_path / "recipe.json").write_text('{"tasks": [{"kind": "super-resolve", "factor": 2}]}')
    widget.open_recipe(str(tmp_path / "recipe.json"))
    finish(widget)
    assert header.what.value.title == "recipe.json"
    widget.open_recipe(str(data / "torn.tif"))
    finish(widget)
    assert len(shown_errors) == 2
