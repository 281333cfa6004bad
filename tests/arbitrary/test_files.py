"""Damaged and hostile files of every kind that is read: used, or refused with words."""

from __future__ import annotations

import json
import shutil
import struct
import sys
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numcodecs
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.codecs import GzipCodec

import napari_vae_restore as vr
from mutations import mutated, mutated_values, nothing_else_happens, wanted_memory
from napari_vae_restore.generation.compression import container
from napari_vae_restore.images.array_files import open_array
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.images.zarr_files import open_store
from napari_vae_restore.models.files import load_checkpoint
from napari_vae_restore.restoration.recipes.replay import read_mask, read_recipe
from napari_vae_restore.training.sources import load_images
from strategies import TINY, assert_says, is_nightly

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: how one is made and read, and where in it JSON is.

    `unpack` gives the JSON values in a file's bytes, `pack` the bytes with others.
    """

    name: str
    make: Callable[[Path, vr.Model, NDArray[Any]], None]
    read: Callable[[Path, vr.Model, NDArray[Any]], Any]
    unpack: Callable[[bytes], Values] | None = None
    pack: Callable[[bytes, Values], bytes] | None = None


def _load(path: Path, *_: Any) -> Any:
    return vr.load(path).sha256


def _header_of_model(content: bytes) -> Values:
    table = _table(content)
    return json.loads(table["__metadata__"]["napari_vae_restore"]) | {"tensors": table}


def _table(content: bytes) -> Values:
    return json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])


def _model_with(content: bytes, values: Values) -> bytes:
    rest = content[8 + struct.unpack("<Q", content[:8])[0] :]
    table = values.pop("tensors", None)
    if isinstance(table, dict) and isinstance(table.get("__metadata__"), dict):
        table["__metadata__"]["napari_vae_restore"] = json.dumps(values)
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + rest


def _train(path: Path, model: vr.Model, image: NDArray[Any]) -> None:
    settings = vr.TrainingSettings(batch=1, patch=16)
    training = vr.Training(
        image, config=TINY, steps=2, noise="gaussian:5", settings=settings, device="cpu"
    )
    next(training.run())
    training.save_checkpoint(path)


def _resume(path: Path, model: vr.Model, image: NDArray[Any]) -> Any:
    load_checkpoint(path)
    training = vr.Training.resume(path, image, device="cpu")
    return training.model


def _header_of_vaec(content: bytes) -> Values:
    length = container.HEAD.unpack_from(content)[2]
    return json.loads(zlib.decompress(content[container.HEAD.size :][:length]))


def _vaec_with(content: bytes, values: Values) -> bytes:
    old = container.HEAD.unpack_from(content)[2]
    text = zlib.compress(json.dumps(values).encode())
    head = container.HEAD.pack(container.MAGIC, container.VERSION, len(text), zlib.crc32(text))
    return head + text + content[container.HEAD.size + old :]


def _write(axes: str, **options: Any) -> Callable[..., None]:
    def make(path: Path, model: vr.Model, image: NDArray[Any]) -> None:
        write_image(
            path, image[..., None].repeat(3, 2) if "S" in axes else image, axes, **options
        )

    return make


def _json(content: bytes) -> Values:
    return json.loads(content)


def _json_with(content: bytes, values: Values) -> bytes:
    return json.dumps(values).encode()


def _recipe(path: Path, model: vr.Model, image: NDArray[Any]) -> None:
    out = vr.denoise(image, model, noise="gaussian:5")
    mask = path.with_name("mask.png")
    iio.imwrite(mask, np.eye(len(image), image.shape[1], dtype=np.uint8))
    tasks = [{"kind": "inpaint", "mask": mask.name}, {"kind": "super-resolve", "factor": 2}]
    psf = {"kind": "deblur", "psf": [[0.0, 1.0], [1.0, 2.0]]}
    values = out.recipe.to_dict()
    path.write_text(json.dumps(values | {"tasks": [*values["tasks"], *tasks, psf]}))


FORMATS = [
    Format(
        "model.safetensors",
        lambda path, model, _: model.save(path),
        _load,
        _header_of_model,
        _model_with,
    ),
    Format("checkpoint.safetensors", _train, _resume, _header_of_model, _model_with),
    Format(
        "image.vaec",
        lambda path, model, image: _save(path, vr.compress(image, model, levels=1)),
        lambda path, model, _: vr.decompress(path.read_bytes(), model),
        _header_of_vaec,
        _vaec_with,
    ),
    Format("recipe.json", _recipe, lambda path, *_: read_recipe(path), _json, _json_with),
    Format("plain.tif", _write("YX"), lambda path, *_: vr.read_image(path)),
    Format("stack.ome.tif", _write("YX"), lambda path, *_: vr.read_image(path, mapped=True)),
    Format("colour.tif", _write("YXS"), lambda path, *_: read_mask(path)),
    Format("image.png", _write("YX"), lambda path, *_: vr.read_image(path)),
    Format("mask.png", _write("YXS"), lambda path, *_: read_mask(path)),
    Format(
        "image.jpg",
        lambda path, _, image: iio.imwrite(path, image),
        lambda path, *_: vr.read_image(path),
    ),
    Format(
        "image.bmp",
        lambda path, _, image: iio.imwrite(path, image),
        lambda path, *_: vr.read_image(path),
    ),
    Format(
        "array.npy",
        lambda path, _, image: np.save(path, image),
        lambda path, *_: np.asarray(open_array(path)[0]),
    ),
]


def _save(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.fixture(scope="module")
def eight_bits(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return picture.astype(np.uint8)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_damaged_file_is_used_or_refused(
    form: Format, tmp_path: Path, every_task: vr.Model, eight_bits: NDArray[np.uint8]
) -> None:
    path = tmp_path / form.name
    form.make(path, every_task, eight_bits)
    content, form_read = path.read_bytes(), lambda: form.read(path, every_task, eight_bits)
    form_read()  # what is whole is read; and all that is imported for it is there
    for seed in range(n_cases()):
        rng = np.random.default_rng([seed, len(form.name)])
        if form.unpack is not None and form.pack is not None and seed % 2:
            path.write_bytes(form.pack(content, mutated_values(form.unpack(content), rng)))
        else:
            path.write_bytes(mutated(content, rng))
        tried(form_read, tmp_path, f"{form.name}, seed {seed}")


STORES: dict[str, dict[str, Any]] = {
    "0.4": {"zarr_format": 2},
    "0.4, zlib": {"zarr_format": 2, "compressors": numcodecs.Zlib()},
    "0.5": {},
    "0.5, gzip": {"compressors": GzipCodec()},
    "0.5, shards": {"shards": (32, 32)},
}


def _ome_zarr(path: Path, image: NDArray[Any], name: str) -> None:
    options = dict(STORES[name])
    group = zarr.open_group(path, mode="w", zarr_format=options.pop("zarr_format", 3))
    group.create_array("0", data=image, chunks=(16, 16), **options)
    scale = {"type": "scale", "scale": [0.5, 0.5]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    level = {"path": "0", "coordinateTransformations": [scale]}
    ome = {"multiscales": [{"axes": axes, "datasets": [level], "version": "0.4"}]}
    ome["omero"] = {"channels": [{"label": "DAPI"}]}
    group.attrs.update(ome if group.metadata.zarr_format == 2 else {"ome": ome})


def _ways_to_read(path: Path, model: vr.Model, out: Path) -> dict[str, Callable[[], Any]]:
    """One does not shield the other from what it would refuse."""
    return {
        "read": lambda: open_store(path).read(),
        "opened to train": lambda: load_images([path]),
        "restored": lambda: vr.restore_store(path, out, vr.Denoise("gaussian:5"), model),
    }


@pytest.mark.parametrize("name", STORES)
def test_a_damaged_store_is_used_or_refused(
    name: str, tmp_path: Path, every_task: vr.Model, eight_bits: NDArray[np.uint8]
) -> None:
    whole, path, out = (tmp_path / name for name in ("whole.zarr", "in.zarr", "out.zarr"))
    _ome_zarr(whole, eight_bits, name)
    files = sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file())
    for seed in range(n_cases(50)):
        rng = np.random.default_rng(seed)
        shutil.copytree(whole, path)
        if seed:  # the first is whole
            _damage(path / files[rng.integers(len(files))], rng)
        for way, read in _ways_to_read(path, every_task, out).items():
            tried(read, tmp_path, f"{name}, seed {seed}, {way}", {out})
        for made in (path, out, out.with_name("out.zarr.partial")):
            shutil.rmtree(made, ignore_errors=True)


def test_a_damaged_unfinished_store_is_finished_or_refused(
    tmp_path: Path, every_task: vr.Model, eight_bits: NDArray[np.uint8]
) -> None:
    out = tmp_path / "out.zarr"
    partial, kept = out.with_name("out.zarr.partial"), tmp_path / "kept"
    options = {"axes": "ZYX", "tile": 16}
    stack = np.stack([eight_bits, eight_bits[::-1]])

    def go_on() -> Any:
        return vr.restore_store(stack, out, vr.Denoise("gaussian:5"), every_task, **options)

    steps = vr.iter_restore_store(stack, out, vr.Denoise("gaussian:5"), every_task, **options)
    next(steps), next(steps)
    steps.close()
    shutil.copytree(partial, kept)
    files = sorted(file.relative_to(kept) for file in kept.rglob("*") if file.is_file())
    for seed in range(n_cases(50)):
        rng = np.random.default_rng(seed)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(kept, partial)
        if seed:
            _damage(partial / files[rng.integers(len(files))], rng)
        tried(go_on, tmp_path, f"seed {seed}", {out, partial})


def _damage(file: Path, rng: np.random.Generator) -> None:
    content = file.read_bytes()
    if content[:1] == b"{" and rng.random() < 0.7:
        file.write_text(json.dumps(mutated_values(json.loads(content), rng)))
    else:
        file.write_bytes(mutated(content or b"0", rng))


def n_cases(everyday: int = 100) -> int:
    """Damaged files of each format."""
    return 2000 if is_nightly() else everyday


def tried(
    read: Callable[[], Any], folder: Path, case: str, outputs: Collection[Path] = ()
) -> None:
    """Read what may be anything; fails unless it is used, or refused with words."""
    before, refused = sorted(folder.rglob("*")), None
    try:
        with nothing_else_happens(folder):
            read()
    except vr.VAERestoreError as error:
        refused = error
    except Exception as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error
    if refused is not None:
        assert_says(str(refused))
        assert not wanted_memory(refused), f"{case}: allocates what the file claims"
    after = [path for path in folder.rglob("*") if not {path, *path.parents} & {*outputs}]
    assert sorted(after) == [path for path in before if path in after], case
