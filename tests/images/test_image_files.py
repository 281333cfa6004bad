"""Files come back as they were written, and a failure leaves no trace."""

import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.images import image_files
from napari_vae_restore.images.image_files import (
    ImageFile,
    check_output,
    list_images,
    read_image,
    write_image,
)

RECIPE = json.dumps(
    {"µm": "日本 🔬", "xml": "<&>\"'{}", "lines": 1}, ensure_ascii=False, indent=1
)
DTYPES = ["bool", "u1", "<u2", ">u2", "i1", "i2", "u4", "i4", "i8", "u8", "f2", ">f4", "f8"]


def picture(shape, dtype="u1"):
    return np.random.default_rng(0).integers(0, 255, shape).astype(dtype)


def assert_same(found, data, axes):
    assert found.axes == axes
    assert found.data.dtype == data.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found.data, data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from([".tif", ".ome.tif", "like"]))
def test_tiff_returns_everything(folder, data, dtype, kind):
    stack = data.draw(st.sets(st.sampled_from("TZCSP" if kind != ".ome.tif" else "TZC")))
    stack -= {"S"} if dtype == "bool" else set()
    axes = "".join(data.draw(st.permutations(sorted(stack | {"Y", "X"}))))
    sizes = st.integers(1, 4)
    image = picture([5 if a in "YX" else data.draw(sizes) for a in axes], dtype)
    lengths = st.sampled_from(["micrometer", "nanometer", "millimeter", "inch", "pixel"])
    units = [
        data.draw(st.sampled_from(["second", "millisecond", "hour"]))
        if axis == "T"
        else data.draw(lengths)
        if axis in "ZYX"
        else "pixel"
        for axis in axes
    ]
    positive = st.floats(1e-12, 1e12)
    scale = [1.0 if axis in "CSP" else data.draw(positive) for axis in axes]
    names = tuple(
        f"dye {i} µ" for i in range(image.shape[axes.index("C")] if "C" in axes else 0)
    )
    like = ImageFile(
        image, axes, tuple(scale), tuple(units), "ome-tiff" if kind == "like" else "tiff", names
    )
    path = folder / f"image{'.tif' if kind == 'like' else kind}"
    if kind == ".ome.tif" and dtype in ("bool", "i8", "u8", "f2"):
        with pytest.raises(InputError, match="without"):
            write_image(path, image, axes, like=like, overwrite=True)
        return
    write_image(path, image, axes, like=like, description=RECIPE, overwrite=True)
    found = read_image(path)
    assert_same(found, image, axes)
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert found.units == tuple(units)
    assert found.channel_names == names
    assert found.description == RECIPE


@pytest.mark.parametrize(
    ("name", "dtype", "axes", "shape", "expected"),
    [
        ("a.tif", "u1", "ZYX", (3, 9, 8), "imagej"),
        ("a.tif", "f4", "CZYX", (2, 3, 9, 8), "imagej"),
        ("a.tif", "u1", "YXS", (9, 8, 3), "imagej"),
        ("a.tif", "u2", "YXS", (9, 8, 3), "tiff"),
        ("a.tiff", "i2", "ZYX", (3, 9, 8), "tiff"),
        ("a.tif", "u1", "PYX", (3, 9, 8), "tiff"),
        ("a.OME.TIF", "i2", "ZYX", (3, 9, 8), "ome-tiff"),
        ("a.ome.tiff", "u1", "YXS", (9, 8, 4), "ome-tiff"),
    ],
)
def test_the_name_and_the_image_decide_the_format(tmp_path, name, dtype, axes, shape, expected):
    write_image(tmp_path / name, picture(shape, dtype), axes)
    found = read_image(tmp_path / name)
    assert found.format == expected
    assert found.scale == (1.0,) * len(axes)
    assert found.units == ("pixel",) * len(axes)


def test_other_programs_see_a_hyperstack(tmp_path):
    data = picture((2, 3, 4, 9, 8), "u2")  # C, T, Z, Y, X
    write_image(
        tmp_path / "a.tif",
        data,
        "CTZYX",
        scale=(1, 2.5, 0.5, 0.1, 0.1),
        units=("pixel", "s", "um", "µm", "micron"),
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(tif.asarray(), data.transpose(1, 2, 0, 3, 4))
        assert tif.imagej_metadata["unit"] == "micron"
        assert tif.imagej_metadata["spacing"] == 0.5
        assert tif.imagej_metadata["finterval"] == 2.5
        assert tif.pages[0].tags["XResolution"].value[0] == 10


def test_imagej_units_and_labels_are_understood(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        picture((2, 3, 9, 8), "u2"),
        imagej=True,
        resolution=(4, 5),
        metadata={"axes": "ZCYX", "unit": "\\u00B5m", "spacing": 0.3, "Labels": list("abcabc")},
    )
    found = read_image(tmp_path / "a.tif")
    assert found.units == ("micrometer", "pixel", "micrometer", "micrometer")
    assert found.scale == (0.3, 1.0, 0.2, 0.25)
    assert found.channel_names == ("a", "b", "c")


def test_resolution_per_centimetre_is_a_pixel_size_and_per_inch_a_printers(tmp_path):
    for unit, scale, name in (("CENTIMETER", 2.0, "micrometer"), ("INCH", 1.0, "pixel")):
        path = tmp_path / f"{unit}.tif"
        tifffile.imwrite(path, picture((9, 8)), resolution=(5000, 5000), resolutionunit=unit)
        assert read_image(path).scale == (scale, scale)
        assert read_image(path).units == (name, name)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((9, 8), "YX"), ((5, 9, 8), "ZYX"), ((2, 5, 9, 8), "TZYX"), ((2, 2, 5, 9, 8), "TCZYX")],
)
def test_stacks_without_names_get_them(tmp_path, shape, axes):
    tifffile.imwrite(tmp_path / "a.tif", picture(shape))
    assert read_image(tmp_path / "a.tif").axes == axes


def test_foreign_byte_order_is_made_native(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", picture((9, 8), "u2"), byteorder=">")
    assert_same(read_image(tmp_path / "a.tif"), picture((9, 8), "u2"), "YX")


def test_of_several_images_the_first_is_read(tmp_path, caplog):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(picture((9, 8)))
        writer.write(picture((20, 30)))
    with caplog.at_level(logging.WARNING):
        assert read_image(tmp_path / "a.tif").data.shape == (9, 8)
    assert "holds 2 images; the first is read" in caplog.text


def test_metadata_follow_the_axes_and_can_be_replaced(tmp_path):
    like = ImageFile(
        picture((3, 9, 8)), "ZYX", (2.0, 0.5, 0.25), ("um",) * 3, "tiff", (), "old"
    )
    write_image(tmp_path / "a.tif", picture((8, 9)), "XY", like=like)
    found = read_image(tmp_path / "a.tif")
    assert (found.scale, found.description) == ((0.25, 0.5), "old")
    write_image(tmp_path / "b.tif", picture((18, 16)), "YX", like=like, scale=(0.25, 0.125))
    assert read_image(tmp_path / "b.tif").scale == (0.25, 0.125)


def test_units_that_make_no_sense_are_left_out(tmp_path, caplog):
    data = picture((3, 9, 8))
    write_image(tmp_path / "a.tif", data, "TYX", units=("micrometer", "second", "furlong"))
    assert read_image(tmp_path / "a.tif").units == ("pixel",) * 3
    assert caplog.text.count("WARNING") == 3
    write_image(tmp_path / "b.tif", data, "TYX", scale=(5, 1, 1))
    assert read_image(tmp_path / "b.tif").units == ("second", "pixel", "pixel")


@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("YX", (9, 8), "u1"),
        ("YX", (9, 8), ">u2"),
        ("YXS", (9, 8, 3), "u1"),
        ("YXS", (9, 8, 4), "u1"),
        ("YXS", (9, 8, 2), "u1"),
    ],
)
def test_png_returns_pixels_and_description(tmp_path, axes, shape, dtype):
    data = picture(shape, dtype)
    write_image(tmp_path / "a.png", data, axes, description=RECIPE)
    found = read_image(tmp_path / "a.png")
    assert_same(found, data, axes)
    assert (found.format, found.description) == ("png", RECIPE)


def test_png_takes_planes_in_any_order(tmp_path):
    data = picture((1, 3, 8, 9, 1))
    write_image(tmp_path / "a.png", data, "TSXYC")
    assert_same(read_image(tmp_path / "a.png"), data[0, ..., 0].transpose(2, 1, 0), "YXS")


@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("YX", (9, 8), "f4"),
        ("YX", (9, 8), "bool"),
        ("YX", (9, 8), "i2"),
        ("YXS", (9, 8, 3), "u2"),
        ("ZYX", (3, 9, 8), "u1"),
        ("CYX", (3, 9, 8), "u1"),
    ],
)
def test_png_points_to_tiff_for_the_rest(tmp_path, axes, shape, dtype):
    with pytest.raises(InputError, match=r"PNG.*ends in .tif"):
        write_image(tmp_path / "a.png", picture(shape, dtype), axes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".bmp"])
def test_pictures_are_read(tmp_path, suffix):
    iio.imwrite(tmp_path / f"a{suffix}", picture((20, 30, 3)), extension=suffix.lower())
    found = read_image(tmp_path / f"a{suffix}")
    assert (found.axes, found.data.shape) == ("YXS", (20, 30, 3))
    assert found.format in ("jpeg", "bmp")


def test_printers_colours_are_converted(tmp_path):
    iio.imwrite(tmp_path / "a.jpg", picture((20, 30, 4)), plugin="pillow", mode="CMYK")
    assert read_image(tmp_path / "a.jpg").data.shape == (20, 30, 3)


def test_deep_colour_png_is_refused_and_not_cut_to_eight_bits(tmp_path):
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x09\0\0\0\x09\x10\x02"
    (tmp_path / "a.png").write_bytes(header)
    with pytest.raises(ImageFileError, match="16 bits is not supported"):
        read_image(tmp_path / "a.png")


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"x")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "text.png").write_text("no image")
    for name, message in [
        ("missing.tif", "there is no such file"),
        ("", "it is a folder"),
        ("a.czi", "end in .tif, .tiff, .png, .jpg, .jpeg, .bmp"),
        ("empty.tif", "Cannot read"),
        ("text.tif", "not a TIFF file"),
        ("text.png", "Cannot read"),
    ]:
        with pytest.raises(ImageFileError, match=message) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"compression": "zlib"}])
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.999])
def test_truncated_tiffs_are_refused(tmp_path, options, contiguous, kept):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, imagej=options.get("imagej", False)) as writer:
        data = picture((6, 60, 50), "u2")
        compression = options.get("compression")
        for part in [data] if contiguous or "imagej" in options else data:
            writer.write(part, compression=compression, contiguous=False, metadata=None)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImageFileError, match="Cannot read"):
        read_image(path)


def test_truncated_pictures_are_refused(tmp_path):
    for suffix in (".png", ".jpg"):
        path = tmp_path / f"a{suffix}"
        iio.imwrite(path, picture((60, 50)))
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(ImageFileError, match="Cannot read"):
            read_image(path)


def test_a_missing_codec_is_named(tmp_path, monkeypatch):
    def no_codec(path, *, mapped):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(image_files, "read_tiff", no_codec)
    (tmp_path / "a.tif").touch()
    with pytest.raises(ImageFileError, match="pip install imagecodecs"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axes": "ZYX"}, "Expected 2 axes"),
        ({"scale": (1.0,)}, "one pixel size and one unit for each of the axes YX"),
        ({"scale": (1.0, 0.0)}, "above zero, but 0.0 came for X"),
        ({"scale": (float("nan"), 1.0)}, "above zero, but nan came for Y"),
        ({"units": ("um",)}, "one pixel size and one unit"),
        ({"description": "a\0b"}, "printable text, but .* position 1"),
        ({"data": np.zeros((9, 8), complex)}, "but complex128"),
        ({"data": np.zeros((9, 8), "U3")}, "but <U3"),
        ({"data": np.zeros((9, 8, 3), bool), "axes": "YXS"}, "bool pixels without colour"),
        ({"data": np.zeros((0, 8))}, r"shape \(0, 8\)"),
        ({"path": "a.jpg"}, "ends in .tif, .tiff or .png"),
        ({"path": "nowhere/a.tif"}, "Expected an existing folder"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, arguments, message):
    wanted = {"path": "a.tif", "data": picture((9, 8)), "axes": "YX"} | arguments
    path, data, axes = (wanted.pop(name) for name in ("path", "data", "axes"))
    with pytest.raises(InputError, match=message):
        write_image(tmp_path / path, data, axes, **wanted)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, MemoryError, PermissionError(13, "denied")]
)
def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, error):
    path = tmp_path / "a.tif"
    write_image(path, picture((9, 8)), "YX")
    old = path.read_bytes()

    def half(temporary, image):
        temporary.write_bytes(b"half")
        raise error

    monkeypatch.setattr(image_files, "write_tiff", half)
    expected = KeyboardInterrupt if error is KeyboardInterrupt else ImageFileError
    with pytest.raises(expected):
        write_image(path, picture((9, 8)), "YX", overwrite=True)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


FULL_DISK = """
    import resource, sys
    import numpy as np
    from napari_vae_restore.errors import ImageFileError
    from napari_vae_restore.images.image_files import write_image

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    noise = np.random.default_rng(0).integers(0, 255, (4, 500, 500)).astype("u1")
    for name, data in [
        ("a.tif", noise), ("a.ome.tif", noise), ("b.tif", noise.astype("i8")),
        ("a.png", noise[:1]),
    ]:
        try:
            write_image(f"{sys.argv[1]}/{name}", data, "ZYX")
        except ImageFileError as error:
            print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file sizes are POSIX")
def test_a_full_disk_leaves_no_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("Cannot write") == 4, done.stdout + done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())


def test_outputs_are_checked_before_the_work(tmp_path, monkeypatch):
    source, other = tmp_path / "in.tif", tmp_path / "other.tif"
    source.write_bytes(b"x")
    other.write_bytes(b"y")
    monkeypatch.chdir(tmp_path)
    check_output(tmp_path / "new.tif", [source, tmp_path / "gone.tif"], overwrite=False)
    check_output("other.tif", [source], overwrite=True)
    spellings = [source, Path("in.tif"), tmp_path / ".." / tmp_path.name / "in.tif"]
    for name, link in (("soft.tif", os.symlink), ("hard.tif", os.link)):
        link(source, tmp_path / name)
        spellings.append(tmp_path / name)
    for path in spellings:
        with pytest.raises(InputError, match="is the input"):
            check_output(path, [other, source], overwrite=True)
    with pytest.raises(InputError, match=r"exists: .*--overwrite"):
        check_output(other, [source], overwrite=False)
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, [], overwrite=True)
    with pytest.raises(InputError, match="missing is none"):
        check_output(tmp_path / "missing" / "a.tif", [], overwrite=True)


def test_existing_files_need_permission_to_be_overwritten(tmp_path):
    write_image(tmp_path / "a.tif", picture((9, 8)), "YX")
    with pytest.raises(InputError, match="overwrite"):
        write_image(tmp_path / "a.tif", picture((9, 8)), "YX")


def test_images_are_listed_as_people_count(tmp_path):
    for name in [
        "t10.tif",
        "t2.TIF",
        "t1.ome.tif",
        "b.png",
        ".hidden.tif",
        "notes.txt",
        "1.bmp",
    ]:
        (tmp_path / name).touch()
    (tmp_path / "folder.tif").mkdir()
    names = [path.name for path in list_images(tmp_path)]
    assert names == ["1.bmp", "b.png", "t1.ome.tif", "t2.TIF", "t10.tif"]


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ImageFileError, match="No image in the folder"):
        list_images(tmp_path)
    with pytest.raises(ImageFileError, match=r"Cannot list the folder.*No such file"):
        list_images(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(ImageFileError, match="Cannot list the folder"):
        list_images(tmp_path / "file")
