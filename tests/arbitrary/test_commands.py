"""Every command that takes images, on files of arbitrary ones: a result, or one line of words.

`demo`, `doctor` and `models list` take none. What the functions behind the commands make of an
image is tested in `test_functions`; here it is files, exit status and messages.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import assume, given
from hypothesis import strategies as st

import napari_vae_restore as vr
from napari_vae_restore.cli import main
from napari_vae_restore.image_files import read_image, write_image
from napari_vae_restore.scale.ome_zarr import is_store, open_store
from strategies import Picture, assert_says, cases, pictures

SIZE, UNIT = 0.25, "micrometer"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with a file of an image and what else a command needs."""

    folder: Path
    image: Path
    axes: str
    model: Path

    @property
    def mask(self) -> Path:
        """Of the image's height and width."""
        path = self.folder / "mask.tif"
        sizes = dict(zip(self.axes, _read(self.image).shape, strict=True))
        tifffile.imwrite(path, np.eye(sizes["Y"], sizes["X"], dtype=np.uint8))
        return path

    @property
    def recipe(self) -> Path:
        """Two tasks."""
        path = self.folder / "recipe.json"
        tasks = [
            {"kind": "denoise", "noise": "gaussian:5"},
            {"kind": "super-resolve", "factor": 2},
        ]
        path.write_text(json.dumps({"tasks": tasks}))
        return path


def _read(path: Path) -> np.ndarray:
    return open_store(path).array if is_store(path) else read_image(path).data


Words = Callable[[Place], list[object]]
STEP = ["--steps", 1, "--noise", "gaussian:5"]

COMMANDS: dict[str, tuple[Words, str, int, int]] = {
    # Words behind the image, name of the output, factor (0 for no image), cases every day
    "denoise": (lambda p: ["--noise", "gaussian:5"], "out.tif", 1, 50),
    "denoise, measured": (lambda p: ["--samples", 2], "out.ome.tif", 1, 50),
    "inpaint": (lambda p: ["--mask", p.mask], "out.tif", 1, 50),
    "super-resolve": (lambda p: ["--factor", 2], "out.zarr", 2, 50),
    "restore": (lambda p: ["--recipe", p.recipe], "out.tif", 2, 50),
    "enhance": (lambda p: ["--detail", "2:1.5"], "enhanced.tif", 1, 50),
    "encode": (lambda p: [], "out.csv", 0, 50),
    "compress": (lambda p: ["--lossless"], "out.vaec", 0, 50),
    "noise": (lambda p: ["--json"], "", 0, 50),
    "evaluate": (lambda p: ["--samples", 2, "--json", "-"], "", 0, 50),
    "evaluate, reference": (lambda p: ["--reference", p.image], "", 0, 50),
    "generate": (lambda p: ["--n", 2], "out.tif", 0, 50),
    "train": (lambda p: ["--clean", p.image, *STEP], "out.safetensors", 0, 15),
    "adapt": (lambda p: STEP, "out.safetensors", 0, 15),
    "calibrate": (lambda p: ["--simulate", "denoise"], "out.safetensors", 0, 15),
    # Each trains for a second.
    "sweep": (
        lambda p: ["--budget", "1s", "--kind", "flat", "--latent", 2, "--size", 16],
        "sweep",
        0,
        5,
    ),
}
MODEL_OF = {"train": "--start", "sweep": "", "evaluate, reference": ""}


@pytest.fixture(scope="module")
def model_file(every_task: vr.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    every_task.save(path)
    return path


def stored(picture: Picture, folder: Path, kind: str) -> Path | None:
    """A file of the image with pixel sizes; None where there can be none of that kind."""
    path, array, letters = folder / f"in.{kind}", picture.array, picture.letters
    scale = [SIZE if a in "YX" else 1.0 for a in letters]
    units = [UNIT if a in "YX" else "pixel" for a in letters]
    try:
        if kind == "zarr":
            zarr.create_array(path, data=np.ascontiguousarray(array))
        elif kind == "raw.tif":  # as other programs write it
            tifffile.imwrite(path, array, photometric="minisblack")
        else:
            write_image(path, array, letters, scale=scale, units=units)
    except (vr.VAERestoreError, ValueError, TypeError):
        return None
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_or_one_line(name: str, model_file: Path) -> None:
    words, output, factor, everyday = COMMANDS[name]
    found = []

    @cases(everyday, 50 if name == "sweep" else 500)
    @given(pictures(), st.sampled_from(("tif", "ome.tif", "png", "raw.tif", "zarr")))
    def check(picture: Picture, kind: str) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            image = stored(picture, folder, kind)
            assume(image is not None and _is_read(image))
            command, axes = name.partition(",")[0], _axes_of(picture, image)
            at = Place(folder, image, axes, model_file)
            line = [command, *(["--like"] if command == "generate" else []), image]
            option = MODEL_OF.get(name, "--model")
            line += [*words(at), *([option, model_file] if option else [])]
            line += ["-o", folder / output] if output else []
            if axes and command not in ("generate",):
                line += ["--axes", axes]
            found.append(_answered(line, at, folder / output if output else None, factor))

    check()
    assert sum(found) >= len(found) // 20, "hardly anything was accepted"


def _is_read(image: Path) -> bool:
    try:
        _read(image)
    except vr.VAERestoreError:
        return False
    return True


def _axes_of(picture: Picture, image: Path) -> str:
    """What the file says, or, of a plain array, what is said of it."""
    return picture.letters if is_store(image) else read_image(image).axes


def _answered(line: list[object], at: Place, output: Path | None, factor: int) -> bool:
    before = {path: path.read_bytes() for path in at.folder.rglob("*") if path.is_file()}
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in line])
    said = err.getvalue()
    assert "Traceback" not in said
    assert "--debug" not in said, said
    for path, content in before.items():
        assert path.read_bytes() == content, f"{path.name} was changed"
    if status != 0:
        assert status == 2, said
        assert said.splitlines()[-1].startswith("error: "), said
        assert_says(said.splitlines()[-1])
        # What a store's restoration was broken off at stays, to go on from.
        assert {
            path
            for path in at.folder.rglob("*")
            if path.is_file() and not path.is_relative_to(at.folder / "out.zarr.partial")
        } == {*before}
        return False
    if output is None:
        assert out.getvalue()
    else:
        assert output.exists()
    if factor and output is not None:
        _assert_alike(at, output, factor)
    return True


def _assert_alike(at: Place, output: Path, factor: int) -> None:
    """Shape, dtype, axes and pixel sizes are those of the image, as the formats hold them."""
    if is_store(output):
        result = open_store(output).read()
        axes = result.axes
        assert set(axes) == set(at.axes.replace("S", "C"))
        grown = dict(zip(at.axes.replace("S", "C"), _read(at.image).shape, strict=True))
        assert all(
            size == grown[a] * (factor if a in "YX" else 1)
            for a, size in zip(axes, result.data.shape, strict=True)
            if a != "C"
        )
        return
    result = read_image(output)
    if output.suffix == ".tif":
        source = open_store(at.image).read() if is_store(at.image) else read_image(at.image)
        image, axes = source.data, at.axes
        grown = [
            n * (factor if a in "YX" else 1) for a, n in zip(axes, image.shape, strict=True)
        ]
        assert (result.axes, list(result.data.shape)) == (axes, grown)
        assert result.data.dtype == image.dtype
        for axis, (size, unit) in source.sizes.items() if not is_store(at.image) else ():
            step = factor if axis in "YX" and unit != "pixel" else 1
            assert result.sizes[axis][0] == pytest.approx(size / step, rel=1e-5)
            assert result.sizes[axis][1] == unit
