"""Every command, on files of arbitrary images or on damaged files: a result, or one line.

What the functions behind the commands make of an image is tested in `test_functions`, what
they make of a damaged file in `test_files`; here it is files, exit status and messages.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import typer
import zarr
from hypothesis import assume, given
from hypothesis import strategies as st

import napari_vae_restore as vr
from command_lines import is_done
from mutations import mutated
from napari_vae_restore.cli.app import app
from napari_vae_restore.images.image_files import read_image, write_image
from napari_vae_restore.images.zarr_files import is_store, open_store
from napari_vae_restore.zoo import archive, package
from strategies import Picture, cases, is_nightly, pictures

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
        _write(path, np.eye(sizes["Y"], sizes["X"], dtype=np.uint8))
        return path

    @property
    def five(self) -> Path:
        """A folder of five times the image, unless it is a store."""
        folder = self.folder / "five"
        folder.mkdir()
        if self.image.is_file():
            for number in range(5):
                shutil.copyfile(self.image, folder / f"{number}{self.image.name}")
        return folder

    @property
    def large(self) -> Path:
        """The image with pixels as large as it takes for sides of 64 at least; no store."""
        if is_store(self.image):
            return self.image
        path = self.folder / "large.tif"
        try:
            image = read_image(self.image)
        except vr.ImageFileError:  # for the command to refuse
            return self.image
        large = image.data
        for axis in (image.axes.index("Y"), image.axes.index("X")):
            large = large.repeat(-(-64 // max(large.shape[axis], 1)), axis)
        write_image(path, large, image.axes)
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


def _write(path: Path, array: Any, **options: Any) -> None:
    with warnings.catch_warnings(action="ignore"):  # of images without pixels
        tifffile.imwrite(path, array, **options)


def _read(path: Path) -> np.ndarray:
    return open_store(path).array if is_store(path) else read_image(path).data


Words = Callable[[Place], list[Any]]
TOLD = ["--noise", "gaussian:5"]
STEP = ["--steps", 1, *TOLD]

COMMANDS: dict[str, tuple[Words, str, int]] = {
    # Words behind the image, name of the output, factor (0 for no image)
    "denoise": (lambda p: ["--noise", "gaussian:5"], "out.tif", 1),
    "denoise, measured": (lambda p: ["--samples", 2], "out.ome.tif", 1),
    "inpaint": (lambda p: ["--mask", p.mask], "out.tif", 1),
    "super-resolve": (lambda p: ["--factor", 2], "out.zarr", 2),
    "restore": (lambda p: ["--recipe", p.recipe], "out.tif", 2),
    "enhance": (lambda p: ["--detail", "2:1.5"], "enhanced.tif", 1),
    "encode": (lambda p: [], "out.csv", 0),
    "compress": (lambda p: ["--lossless"], "out.vaec", 0),
    "noise": (lambda p: ["--json"], "", 0),
    "evaluate": (lambda p: ["--samples", 2, "--json", "-"], "", 0),
    "evaluate, reference": (lambda p: ["--reference", p.image], "", 0),
    "generate": (lambda p: ["--n", 2], "out.tif", 0),
    "train": (lambda p: ["--clean", p.image, *STEP], "out.safetensors", 0),
    "adapt": (lambda p: STEP, "out.safetensors", 0),
    "calibrate": (lambda p: ["--simulate", "denoise"], "out.safetensors", 0),
    "sweep": (
        lambda p: [
            *["--budget", "0.01s", "--kind", "flat", "--latent", "2", "--size", "16"],
            *STEP[2:],
        ],
        "sweep",
        0,
    ),
    "models export": (
        lambda p: [p.model, "--author", "A", "--licence", "MIT"],
        "out.zip",
        0,
    ),
}
TAKES: dict[str, Words] = {
    "generate": lambda p: ["--like", p.image],
    "models export": lambda p: ["--test-image", p.large],
    "sweep": lambda p: [p.five],
}
MODEL_OF = {"train": "--start", "sweep": "", "evaluate, reference": "", "models export": ""}
WITHOUT_AXES = ("generate", "models export")


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
            _write(path, array, photometric="minisblack")
        else:
            write_image(path, array, letters, scale=scale, units=units)
    except (vr.VAERestoreError, ValueError, TypeError):
        return None
    return path


@pytest.fixture
def not_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports without the tools of bioimage.io, whose seconds are not ours."""

    def packed(core: Any, content: Any, folder: Path, path: Path) -> package.Validation:
        json.dumps(content, allow_nan=False)
        path.write_bytes(b"zip")
        return package.Validation("passed", (), (), "none")

    monkeypatch.setattr(package, "validator", lambda licence: None)
    monkeypatch.setattr(package, "validated", packed)


@pytest.mark.usefixtures("not_validated")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_or_one_line(name: str, model_file: Path) -> None:
    words, output, factor = COMMANDS[name]
    found = []

    @cases()
    @given(pictures(), st.sampled_from(("tif", "ome.tif", "png", "raw.tif", "zarr")))
    def check(picture: Picture, kind: str) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            image = stored(picture, folder, kind)
            assume(image is not None and _is_read(image))
            command, axes = name.partition(",")[0], _axes_of(picture, image)
            at = Place(folder, image, axes, model_file)
            line = [*command.split(), *TAKES.get(command, lambda p: [p.image])(at)]
            option = MODEL_OF.get(name, "--model")
            line += [*words(at), *([option, model_file] if option else [])]
            line += ["-o", folder / output] if output else []
            if axes and command not in WITHOUT_AXES:
                line += ["--axes", axes]
            found.append(_answered(line, at, folder / output if output else None, factor))

    check()
    assert sum(found) > len(found) / 20, "hardly anything was accepted"


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
    # What a store's restoration or a sweep was broken off at stays, to go on from.
    if not is_done(line, at.folder, [at.folder / "out.zarr.partial", at.folder / "sweep"]):
        return False
    if output is not None:
        assert output.exists()
        if factor:
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


def _packed(path: Path, model: vr.Model, image: np.ndarray) -> None:
    yaml = pytest.importorskip("yaml")
    weights = path.with_name("model.safetensors")
    model.save(weights)
    digest = sha256(weights.read_bytes()).hexdigest()
    form = asdict(archive.Attachment(weights.name, digest, model.sha256))
    with zipfile.ZipFile(path, "w") as file:
        said = {"type": "model", "config": {archive.CONFIG_KEY: form}}
        file.writestr("rdf.yaml", yaml.safe_dump(said))
        file.write(weights, weights.name)
    weights.unlink()


Make = Callable[[Path, vr.Model, np.ndarray], Any]

FILE_COMMANDS: dict[str, tuple[str, Make, Callable[[Path, Path], list[Any]]]] = {
    # Name of the file, how it is made, words behind the command
    "decompress": (
        "image.vaec",
        lambda path, model, image: path.write_bytes(vr.compress(image, model, levels=1)),
        lambda path, model: [path, "-o", path.with_name("out.tif"), "--model", model],
    ),
    "models show": (
        "tiny.safetensors",
        lambda path, model, _: model.save(path),
        lambda path, _: [path, "--json"],
    ),
    "models list": (
        "tiny.safetensors",
        lambda path, model, _: model.save(path),
        lambda path, _: [path.parent],
    ),
    "models import": (
        "package.zip",
        _packed,
        lambda path, _: [path, "-o", path.with_name("out.safetensors")],
    ),
}


@pytest.mark.parametrize("name", FILE_COMMANDS)
def test_a_damaged_file_is_used_or_one_line(
    name: str, model_file: Path, every_task: vr.Model, tmp_path: Path
) -> None:
    file, make, words = FILE_COMMANDS[name]
    path = tmp_path / file
    image = np.random.default_rng(0).integers(0, 200, (24, 20), dtype=np.uint8)
    make(path, every_task, image)
    content = path.read_bytes()
    line = [*name.split(), *words(path, model_file)]
    for seed in range(500 if is_nightly() else 50):
        if seed:  # the first is whole
            path.write_bytes(mutated(content, np.random.default_rng([seed, len(name)])))
        done = is_done(line, tmp_path)
        assert done or seed, "what is whole is refused"
        for made in tmp_path.glob("out.*"):
            made.unlink()


def test_every_command_is_tried() -> None:
    program: Any = typer.main.get_command(app)
    names = set()
    for name, command in program.commands.items():
        parts = getattr(command, "commands", None)
        names |= {name} if parts is None else {f"{name} {part}" for part in parts}
    tried = {name.partition(",")[0] for name in (*COMMANDS, *FILE_COMMANDS)}
    assert tried == names - {"demo", "doctor"}  # which take nothing
