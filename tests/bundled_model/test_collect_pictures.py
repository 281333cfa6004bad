"""Collecting the training pictures: files inside archives, planes of volumes."""

from __future__ import annotations

import gzip
import io
import plistlib
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bundled_model.picture_table import Entry
from collect_pictures import collect
from napari_vae_restore.images.image_files import read_image


def entry(path: str) -> Entry:
    return Entry("data:mine", path, "CC0-1.0", "medicine", 1, 1.0)


def nifti(voxels: np.ndarray, order: str) -> bytes:
    """A NIfTI-1 file of 16-bit voxels (Z, Y, X)."""
    header = bytearray(352)
    header[0:4] = np.array(348, f"{order}i4").tobytes()
    header[40:48] = np.array([3, *reversed(voxels.shape)], f"{order}i2").tobytes()
    header[70:72] = np.array(4, f"{order}i2").tobytes()
    header[108:112] = np.array(352, f"{order}f4").tobytes()
    header[344:348] = b"n+1\0"
    return bytes(header) + voxels.astype(f"{order}i2").tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_volume_becomes_planes_that_show_something(tmp_path: Path, order: str) -> None:
    voxels = np.random.default_rng(0).integers(500, 1000, (10, 20, 30))
    voxels[:, :, :9] = 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "head.nii.gz").write_bytes(gzip.compress(nifti(voxels, order)))
    entries = [entry("head.nii.gz/z.tif"), entry("head.nii.gz/x.tif")]
    assert collect(entries, tmp_path / "out", tmp_path) == 0
    across_z, across_x = (read_image(tmp_path / "out" / e.location) for e in entries)
    assert across_z.axes == across_x.axes == "ZYX"
    assert np.array_equal(across_z.data, voxels[::3])
    assert np.array_equal(across_x.data, np.moveaxis(voxels, 2, 0)[9::3])


def test_a_project_of_computed_tomography_is_a_volume(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(500, 1000, (10, 20, 30), np.int16)
    matrix = {"dtype": "int16", "filename": "matrix.dat", "shape": list(voxels.shape)}
    contents = {
        "main.plist": plistlib.dumps({"matrix": matrix}),
        "matrix.dat": voxels.tobytes(),
    }
    (tmp_path / "mine").mkdir()
    with tarfile.open(tmp_path / "mine" / "head.inv3", "w") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"project/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (wanted,) = entries = [entry("head.inv3/y.tif")]
    assert collect(entries, tmp_path / "out", tmp_path) == 0
    across_y = read_image(tmp_path / "out" / wanted.location)
    assert np.array_equal(across_y.data, np.moveaxis(voxels, 1, 0)[::3])


def test_members_of_archives_and_files_are_collected_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(b"a")
    with zipfile.ZipFile(tmp_path / "mine" / "textures.pk3", "w") as archive:
        archive.writestr("wood/b.png", b"b")
    entries = [entry("a.png"), entry("textures.pk3/wood/b.png")]
    assert collect(entries, tmp_path / "out", tmp_path) == 0
    assert [(tmp_path / "out" / e.location).read_bytes() for e in entries] == [b"a", b"b"]
    assert collect(entries, tmp_path / "out", tmp_path) == 0
    assert "all there" in capsys.readouterr().out


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "head.nii.gz").write_bytes(b"no volume")
    entries = [entry("none.png"), entry("head.nii.gz/z.tif")]
    assert collect(entries, tmp_path / "out", tmp_path) == 2
