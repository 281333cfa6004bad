"""Paths, folders and globs become images, each once and with its place."""

from pathlib import Path

import pytest

from napari_vae_restore import InputError
from napari_vae_restore.batch.inputs import find_images, is_several


@pytest.fixture
def images(tmp_path):
    """A folder with files of images' names, a folder in it, and what is no image."""
    folder = tmp_path / "data"
    (folder / "day2" / ".hidden").mkdir(parents=True)
    names = ["t10.tif", "t2.tif", "b.png", "day2/t1.ome.tif", "readme.txt"]
    for name in (*names, ".hidden.tif", "day2/.hidden/a.tif"):
        (folder / name).touch()
    return folder


def places(*images, **options):
    return [found.relative.as_posix() for found in find_images(images, **options)]


def test_a_folder_is_taken_with_its_folders_in_the_order_of_people(images):
    assert places(images) == ["b.png", "t2.tif", "t10.tif", "day2/t1.ome.tif"]


def test_a_glob_keeps_the_folders_below_its_fixed_part(images, monkeypatch):
    assert places(images / "**" / "*.tif") == ["t2.tif", "t10.tif", "day2/t1.ome.tif"]
    assert places(images / "*" / "*.tif") == ["day2/t1.ome.tif"]
    monkeypatch.chdir(images)
    assert places("*.png", "day*/*") == ["b.png", "day2/t1.ome.tif"]


def test_several_folders_keep_their_names(images, monkeypatch):
    assert places(images / "day2", images / "b.png") == ["t1.ome.tif", "b.png"]
    other = images.parent / "other"
    other.mkdir()
    (other / "t2.tif").write_bytes((images / "t2.tif").read_bytes())
    assert places(images / "day2", other) == ["day2/t1.ome.tif", "other/t2.tif"]


def test_each_image_comes_once(images):
    assert places(images / "t2.tif", images, images / "*.tif") == [
        "t2.tif",
        "b.png",
        "t10.tif",
        "day2/t1.ome.tif",
    ]


def test_a_folder_of_results_is_passed_over_unless_it_is_given(images):
    assert places(images, without=[images / "day2"]) == ["b.png", "t2.tif", "t10.tif"]
    assert places(images / "**/*.tif", without=[images / "day2"]) == ["t2.tif", "t10.tif"]
    assert places(images / "day2", without=[images / "day2"]) == ["t1.ome.tif"]


@pytest.mark.parametrize("name", ["cells.zarr", "cells.ome.zarr"])
def test_a_store_is_one_image(images, name):
    inside = images / "day2" / name / "0"
    inside.mkdir(parents=True)
    (inside / "a.tif").write_bytes((images / "t2.tif").read_bytes())
    assert places(images)[-2:] == [f"day2/{name}", "day2/t1.ome.tif"]
    assert f"day2/{name}" in places(images / "**" / "*")
    assert f"day2/{name}/0/a.tif" not in places(images / "**" / "*")
    assert places(images / "day2" / name) == [name]
    assert not is_several([images / "day2" / name])


def test_a_name_with_brackets_is_a_name_where_it_exists(images):
    strange = images / "t[1].tif"
    (images / "t2.tif").rename(strange)
    assert places(strange) == ["t[1].tif"]
    assert not is_several([strange])


def test_several_or_one(images):
    assert is_several([images])
    assert is_several([images / "*.tif"])
    assert is_several([images / "t2.tif", images / "b.png"])
    assert not is_several([images / "t2.tif"])
    assert not is_several([images / "missing.tif"])


@pytest.mark.parametrize("name", ["missing.tif", "*.jpg", "empty"])
def test_nothing_there_is_said(images, name):
    (images / "empty").mkdir()
    with pytest.raises(InputError, match=r"no file|none matches|none in the folder"):
        find_images([Path(images) / name])
