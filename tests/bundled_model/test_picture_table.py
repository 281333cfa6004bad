"""The table of training pictures, reading them, and synthetic ones."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from skimage import data

import napari_vae_restore as vr
from bundled_model.picture_table import KINDS, MANIFEST, Entry, read_pictures, read_table
from bundled_model.synthetic import synthetic_pictures
from napari_vae_restore.errors import ImageFileError

HEADER = "source,path,licence,author,kind,reduce,weight\n"


def write_table(folder: Path, *lines: str, header: str = HEADER) -> Path:
    table = folder / "table.csv"
    table.write_text(header + "".join(f"{line}\n" for line in lines))
    return table


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    folder = tmp_path / "mine" / "photos"
    folder.mkdir(parents=True)
    iio.imwrite(folder / "cat.png", data.chelsea())
    stack = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    tifffile.imwrite(folder / "stack.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    return tmp_path


def test_the_table_lists_where_pictures_lie(tmp_path: Path) -> None:
    table = write_table(tmp_path, 'pypi:some,a/b.png,"CC, zero",,medicine,2,0.5')
    (entry,) = read_table(table)
    assert entry == Entry("pypi:some", "a/b.png", "CC, zero", "medicine", 2, 0.5, "")
    assert entry.location == Path("some/a/b.png")


@pytest.mark.parametrize(
    "line",
    [
        "data:x,a.png,CC0,,medicine,two,1",
        "data:x,a.png,CC0,,medicine,1,",
        "data:x,a.png,CC0,,cartoon,1,1",
        "data:x,a.png,CC0,,medicine,1,0",
        "data:x",
    ],
)
def test_a_bad_line_is_told(tmp_path: Path, line: str) -> None:
    with pytest.raises(vr.InputError, match="line 2: expected source"):
        read_table(write_table(tmp_path, line))


def test_a_table_without_author_is_read_and_other_columns_are_refused(tmp_path: Path) -> None:
    header = "source,path,licence,kind,reduce,weight\n"
    assert read_table(write_table(tmp_path, "data:x,a.png,CC0,medicine,1,1", header=header))
    table = write_table(tmp_path, "1,data:x,a.png,CC0,medicine,1,1", header="number," + header)
    with pytest.raises(vr.InputError):
        read_table(table)


def test_every_picture_of_the_bundled_table_tells_its_licence() -> None:
    entries = read_table(MANIFEST)
    assert len({entry.location for entry in entries}) == len(entries) > 1000
    kinds = {entry.source.partition(":")[0] for entry in entries}
    assert kinds == {"debian", "pypi", "data"}
    assert {entry.kind for entry in entries} == set(KINDS)
    assert all(entry.licence and entry.weight > 0 and entry.reduce >= 1 for entry in entries)
    benchmark = ("camera", "natural", "fmd", "w2s", "lena", "DepartmentStore")
    assert not [e for e in entries if any(word in f"{e.source}/{e.path}" for word in benchmark)]


def test_pictures_are_shrunk_and_scaled(collected: Path) -> None:
    table = write_table(
        collected,
        "data:mine,photos/cat.png,CC0,,photograph,2,3",
        "data:mine,photos/stack.tif,CC0,,medicine,1,1",
    )
    cat, stack = read_pictures(collected, table)
    assert cat.planes.shape == (1, 3, 150, 225)
    assert cat.is_colour
    assert stack.planes.shape == (3, 1, 40, 50)
    assert not stack.is_colour
    for picture in (cat, stack):
        assert picture.planes.dtype == np.float16
        assert -0.1 <= picture.planes.min() < 0.05
        assert 0.95 < picture.planes.max() <= 1.1


def test_kinds_weigh_the_same_and_large_pictures_more(collected: Path) -> None:
    cat, stack = "data:mine,photos/cat.png,CC0,", "data:mine,photos/stack.tif,CC0,"
    table = write_table(
        collected,
        f"{cat},photograph,1,1",
        f"{cat},photograph,3,3",
        f"{stack},medicine,1,5",
        f"{stack},microscopy,1,0.5",
    )
    large, small, *others = (picture.weight for picture in read_pictures(collected, table))
    assert others == [1, 1]
    assert large + small == pytest.approx(1)
    assert small == pytest.approx(
        large, rel=0.01
    )  # a third of the side, three times the weight


def test_a_missing_picture_is_told(collected: Path) -> None:
    with pytest.raises(ImageFileError, match="does not exist: collect"):
        read_pictures(
            collected, write_table(collected, "data:mine,dog.png,CC0,,photograph,1,1")
        )


def test_synthetic_pictures_are_in_range_and_repeatable() -> None:
    pictures = synthetic_pictures(6, 96, 3.0, seed=1)
    again = synthetic_pictures(6, 96, 3.0, seed=1)
    other = synthetic_pictures(6, 96, 3.0, seed=2)
    assert sum(picture.weight for picture in pictures) == pytest.approx(3)
    for picture, same, different in zip(pictures, again, other, strict=True):
        planes = picture.planes.astype(np.float32)
        assert planes.shape == (1, 1, 96, 96)
        assert planes.min() >= 0
        assert planes.max() <= 1.101
        assert planes.std() > 0.02
        assert np.array_equal(picture.planes, same.planes)
        assert not np.array_equal(picture.planes, different.planes)
