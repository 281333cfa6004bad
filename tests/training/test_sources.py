"""Images that are read, matched, and refused by name."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.training.sources import load, load_images, matched


def picture(seed: int = 0, shape: tuple[int, ...] = (32, 40)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        write_image(folder / name, picture(seed), "YX")
    return folder


def test_files_arrays_and_mixtures_are_listed_with_names(tmp_path: Path) -> None:
    write(tmp_path, "b10.tif", "b2.png")
    found = load_images([tmp_path, picture(7)])
    assert [image.name for image in found] == ["b2.png", "b10.tif", "image 2"]
    assert all(image.axes == "YX" for image in found)


def test_unreadable_files_are_named_or_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "good.tif", "fine.png")
    (tmp_path / "bad.tif").write_bytes(b"II*\0 and no more")
    with pytest.raises(vr.ImageFileError, match=r"1 of 3 files.*bad\.tif"):
        load_images(tmp_path)
    found = load_images(tmp_path, skip_unreadable=True)
    assert [image.name for image in found] == ["fine.png", "good.tif"]
    assert "bad.tif" in caplog.text


def test_a_folder_of_bad_files_alone_is_refused(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(vr.ImageFileError, match="2 of 2"):
        load_images(tmp_path, skip_unreadable=True)


def test_folders_are_matched_by_name_whatever_the_ending(tmp_path: Path) -> None:
    one = write(tmp_path / "noisy", "x.tif", "y.png")
    other = write(tmp_path / "clean", "y.tif", "x.tif")
    names = [(a.name, b.name) for a, b in load(matched(one, other))]
    assert names == [("x.tif", "x.tif"), ("y.png", "y.tif")]


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    one = write(tmp_path / "noisy", "x.tif", "lonely.tif")
    other = write(tmp_path / "clean", "x.tif", "single.tif")
    with pytest.raises(vr.InputError, match="lonely, single"):
        matched(one, other)


def test_arrays_are_matched_by_their_number() -> None:
    with pytest.raises(vr.InputError, match="got 2 and 1"):
        matched([picture(), picture(1)], picture(2))


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(vr.InputError, match="denoise, inpaint, super-resolve"):
        vr.Clean(picture(), ("sharpen",))


@pytest.mark.parametrize("kind", ["npy", "zarr", "ome"])
def test_arrays_on_disk(kind: str, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(100, 10, (2, 20, 24)).astype(np.float32)
    if kind == "npy":
        np.save(tmp_path / "stack.npy", stack)
    else:
        zarr = pytest.importorskip("zarr")
        where = {"path": "0"} if kind == "ome" else {}
        array = zarr.open_array(
            str(tmp_path / "stack.zarr"), mode="w", shape=stack.shape, dtype="float32", **where
        )
        array[:] = stack
        if kind == "ome":
            axes = [{"name": name} for name in "tyx"]
            image = {"axes": axes, "datasets": [{"path": "0"}]}
            group = zarr.open_group(str(tmp_path / "stack.zarr"), mode="a")
            group.attrs["ome"] = {"multiscales": [image]}
    path = tmp_path / ("stack.npy" if kind == "npy" else "stack.zarr")
    (loaded,) = load_images(path)
    np.testing.assert_array_equal(loaded.data, stack)
    assert loaded.axes == ("TYX" if kind == "ome" else "ZYX")


def test_arrays_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(vr.ImageFileError, match="no array of numbers"):
        load_images(tmp_path / "a.npy")
    with pytest.raises(vr.ImageFileError, match="no such file"):
        load_images(tmp_path / "b.zarr")
    (tmp_path / "c.zarr").mkdir()
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(vr.InputError, match="pip install"):
        load_images(tmp_path / "c.zarr")
