"""Every public function that takes images, on arbitrary ones: a result, or words.

`FUNCTIONS` is the table of what is called and what its results must be like; the contract is
that of `strategies`.
"""

from __future__ import annotations

import ast
import inspect
import json
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_vae_restore as vr
from napari_vae_restore.batch.plan import State
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.images.zarr_files import open_store
from napari_vae_restore.stores.ome_zarr import output_axes
from strategies import TINY, Picture, answer, assert_alike, assert_says, cases, pictures

STEP = {
    "noise": "gaussian:5",
    "steps": 1,
    "settings": vr.TrainingSettings(batch=1, patch=16),
}


@dataclass(frozen=True, slots=True)
class Models:
    """Tiny ones of each kind."""

    of_noise: vr.Model
    every_task: vr.Model


@pytest.fixture(scope="module")
def models(of_noise: vr.Model, every_task: vr.Model) -> Models:
    return Models(of_noise, every_task)


def denoise(p: Picture, models: Models) -> Any:
    out = vr.denoise(p.array, models.of_noise, axes=p.axes, n_samples=2, keep_samples=True)
    return _checked(out, p, margin=np.inf)


def denoise_measured(p: Picture, models: Models) -> Any:
    return _checked(vr.denoise(p.array, models.every_task, noise="auto", axes=p.axes), p)


def inpaint(p: Picture, models: Models) -> Any:
    mask = p.mask()
    out = vr.inpaint(p.array, mask, models.every_task, axes=p.axes)
    np.testing.assert_array_equal(out.mean[~mask], p.array[~mask])
    return _checked(out, p)


def super_resolve(p: Picture, models: Models) -> Any:
    out = vr.super_resolve(p.array, 2, models.every_task, axes=p.axes)
    return _checked(out, p, factor=2)


def restore(p: Picture, models: Models) -> Any:
    tasks = [vr.Denoise("gaussian:5"), vr.Inpaint(p.mask()), vr.SuperResolve(3)]
    out = vr.restore(p.array, tasks, models.every_task, axes=p.axes, n_samples=2)
    return _checked(out, p, factor=3, margin=100)  # in parts of 1, the noise is 5


def iter_restore(p: Picture, models: Models) -> Any:
    steps = vr.iter_restore(p.array, vr.Denoise(), models.of_noise, axes=p.axes, tile=16)
    return _checked(_drained(steps), p, margin=np.inf)


def _drained(steps: Generator[Any, None, Any]) -> Any:
    """What a generator returns whose progress never goes back."""
    done = -1
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            return stop.value
        assert done < progress.done <= progress.total
        done = progress.done


def restore_lazily(p: Picture, models: Models) -> Any:
    lazy = da.from_array(p.array, chunks=max(1, *p.array.shape) // 2 + 1)
    out = vr.denoise(lazy, models.of_noise, axes=p.axes, n_samples=2)
    held = [None if values is None else values.compute() for values in (out.mean, out.std)]
    return _checked(replace(out, mean=held[0], std=held[1]), p, margin=np.inf)


def feathered(p: Picture, models: Models) -> Any:
    mask = p.mask()
    out = vr.inpaint(p.array, mask, models.every_task, axes=p.axes, n_samples=2)
    return _checked(vr.feathered(out, p.array, mask, 2), p)


def estimate_noise(p: Picture, models: Models) -> Any:
    report = vr.estimate_noise(p.array, axes=p.axes, model=models.every_task)
    colours = Layout.of(p.array, p.letters).planes_shape[1]
    assert len(report.noise) == colours
    assert np.isfinite([each.level for each in report.channels]).all()
    assert vr.parse_noise(str(report.noise[0])) == report.noise[0]
    json.dumps(report.to_dict(), allow_nan=False)
    return report


def check_residual(p: Picture, models: Models) -> Any:
    noise = [vr.GaussianNoise(5.0)] * Layout.of(p.array, p.letters).planes_shape[1]
    restored = p.array[::-1].copy() if p.letters[0] in "YX" else p.array
    check = vr.check_residual(p.array, restored, vr.Denoise(), noise, axes=p.letters)
    assert np.isfinite(check.residual).all()
    assert check.ratio is not None
    assert np.isfinite([check.ratio, *check.correlation]).all()
    assert_says(check.verdict)
    return check


def encode_and_decode(p: Picture, models: Models) -> Any:
    latents = vr.encode(p.array, models.every_task, axes=p.axes)
    assert_alike(vr.decode(latents, models.every_task), p, margin=np.inf, alpha=False)
    table = vr.features(latents)
    assert len({len(column) for column in table.values()}) == 1
    assert all(np.isfinite(column).all() for column in table.values())
    return latents


def vary(p: Picture, models: Models) -> Any:
    latents = vr.encode(p.array, models.of_noise, axes=p.axes)
    varied = vr.vary(latents, models.of_noise, 2, seed=p.seed)
    assert_alike(varied, p, lead=1, margin=np.inf, alpha=False)
    return varied


def interpolate(p: Picture, models: Models) -> Any:
    between = vr.interpolate(p.array, p.array, models.every_task, 2, axes=p.axes)
    assert_alike(between, p, lead=1, margin=np.inf, alpha=False)
    return between


def enhance(p: Picture, models: Models) -> Any:
    tones = {"contrast": 1.3, "gamma": 0.8, "local_contrast": 0.5}
    out = vr.enhance(p.array, models.every_task, detail={2: 1.5}, tones=tones, axes=p.axes)
    assert_alike(out.enhanced, p)
    plain = vr.enhance(p.array, models.every_task, axes=p.axes)
    np.testing.assert_array_equal(plain.enhanced, p.array)
    return out


def compress(p: Picture, models: Models) -> Any:
    lossless = p.array.dtype.kind in "iu" and p.seed % 2 == 0
    data = vr.compress(p.array, models.every_task, axes=p.axes, lossless=lossless)
    back = vr.decompress(data, models.every_task)
    assert back.axes == p.letters
    assert_alike(back.data.astype(p.array.dtype, copy=False), p)
    if lossless:
        np.testing.assert_array_equal(back.data, p.array)
    return back


def evaluate(p: Picture, models: Models) -> Any:
    out = vr.evaluate(models.of_noise, p.array, p.array, axes=p.axes, n_samples=2)
    json.dumps(out.to_dict(), allow_nan=False)
    return out


def train(p: Picture, models: Models) -> Any:
    return _finite(vr.train(p.array, config=TINY, axes=p.axes, **STEP))


def train_by_pairs(p: Picture, models: Models) -> Any:
    pairs = vr.Pairs(p.array, p.array.copy())
    return _finite(vr.train(pairs, start=models.every_task, axes=p.axes, **STEP))


def adapt(p: Picture, models: Models) -> Any:
    return _finite(vr.adapt(p.array, models.every_task, axes=p.axes, **STEP))


def calibrate(p: Picture, models: Models) -> Any:
    source = vr.Clean(p.array, ("denoise", "super-resolve"))
    model = vr.calibrate(source, models.every_task, axes=p.axes, seed=p.seed)
    assert all(np.isfinite(spread.factor(0.9)) for spread in model.spreads.values())
    return model


def sweep(p: Picture, models: Models) -> Any:
    kind = {"kind": "flat", "latent": (2,), "size": 16, "budget": 0.01}
    with tempfile.TemporaryDirectory() as name:
        found = vr.sweep(
            [p.array] * 5, Path(name) / "out", **kind, noise="gaussian:5", axes=p.axes
        )
        json.dumps(found.to_dict(), allow_nan=False)
        return _finite(vr.load(Path(name) / "out" / "recommended.safetensors"))


def _finite(model: vr.Model) -> vr.Model:
    assert all(values.isfinite().all() for values in model.network.state_dict().values())
    assert model.sha256
    return model


def files(p: Picture, models: Models) -> Any:
    """Written, read, restored in a folder: pixels, axes, sizes and units come back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        path = folder / "in" / "image.tif"
        scale = [0.5 if axis in "YX" else 1.0 for axis in p.letters]
        units = ["um" if axis in "YX" else "pixel" for axis in p.letters]
        write_image(path, p.array, p.letters, scale=scale, units=units)
        read = vr.read_image(path)
        assert read.axes == p.letters
        np.testing.assert_array_equal(read.data, p.array)
        batch = path, folder / "out", vr.Denoise("gaussian:5"), models.of_noise
        if p.seed % 2:
            (job,) = vr.restore_files(*batch, samples=2)
        else:
            *_, last = vr.iter_restore_files(*batch, samples=2)
            job = last.job
        if job.state is State.FAILED:
            assert_says(job.reason)
            assert not [*(folder / "out").glob("*")]
            raise vr.ImageFileError(job.reason)
        result = vr.read_image(job.files.mean)
        assert (result.axes, result.scale, result.units) == (read.axes, read.scale, read.units)
        assert_alike(result.data.astype(p.array.dtype), p, margin=np.inf)
        return result


def store(p: Picture, models: Models) -> Any:
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out.zarr"
        order = p.array, out, vr.Denoise("gaussian:5"), models.of_noise
        if p.seed % 2:
            stored = vr.restore_store(*order, axes=p.axes)
        else:
            stored = _drained(vr.iter_restore_store(*order, axes=p.axes))
        back = open_store(stored.paths[0]).read()
        own = p.letters.replace("S", "C")
        image = np.moveaxis(back.data, range(back.data.ndim), [own.index(a) for a in back.axes])
        assert back.axes == output_axes(p.letters)
        assert_alike(image.astype(p.array.dtype), p, margin=np.inf, alpha=False)
        return back


def _checked(out: vr.Restoration, p: Picture, **like: Any) -> vr.Restoration:
    assert_alike(out.mean, p, **like)
    if out.samples is not None:
        assert_alike(out.samples, p, lead=1, **like)
    for std in (out.std, None if out.std is None else out.expected_error()):
        if std is not None:
            assert np.isfinite(std).all()
            assert std.min() >= 0
    assert out.recipe.to_json()
    return out


NOTHING_OWED = 1000

FUNCTIONS: dict[str, tuple[Callable[[Picture, Models], Any], int]] = {
    # What is called, and the least side of an image from which on it must not refuse
    "denoise": (denoise, 32),
    "denoise, noise measured": (denoise_measured, 64),
    "inpaint": (inpaint, 32),
    "super_resolve": (super_resolve, 32),
    "restore": (restore, 32),
    "iter_restore": (iter_restore, 32),
    "denoise lazily": (restore_lazily, 32),
    "feathered": (feathered, 32),
    "estimate_noise": (estimate_noise, 64),
    "check_residual": (check_residual, 32),
    "encode, decode, features": (encode_and_decode, 32),
    "vary": (vary, 32),
    "interpolate": (interpolate, 32),
    "enhance": (enhance, 32),
    "compress, decompress": (compress, NOTHING_OWED),
    "evaluate": (evaluate, 32),
    "train": (train, 32),
    "train by pairs": (train_by_pairs, NOTHING_OWED),
    "adapt": (adapt, 32),
    "calibrate": (calibrate, 64),
    "sweep": (sweep, 64),
    "write_image, read_image, restore_files": (files, 32),
    "restore_store": (store, 32),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_result_or_words(name: str, models: Models) -> None:
    function, least = FUNCTIONS[name]
    found = []

    @cases()
    @given(pictures())
    def check(picture: Picture) -> None:
        found.append(answer(lambda p: function(p, models), picture, least) is not None)

    check()
    assert sum(found) > len(found) / 20, "hardly anything was accepted"


SIDES = st.integers(-1, 70)
ENDLESS = st.sampled_from((10**6, 10**9, 2**63))


@pytest.mark.parametrize("kind", ["of_noise", "every_task"])
def test_samples_of_any_size_or_words(kind: str, models: Models) -> None:
    model = getattr(models, kind)

    @cases()
    @given(
        st.integers(-1, 3),
        st.one_of(SIDES, st.tuples(SIDES, SIDES), ENDLESS),
        st.one_of(st.floats(), st.floats(0, 2), st.lists(st.floats(0, 2), max_size=3)),
        st.one_of(st.integers(), st.integers(0, 2**70)),
    )
    def check(n: int, size: Any, temperature: Any, seed: int) -> None:
        try:
            drawn = vr.sample(model, n, size, temperature=temperature, seed=seed)
        except vr.VAERestoreError as error:
            assert_says(str(error))
            return
        assert drawn.shape == (n, *(size if isinstance(size, tuple) else (size, size)))
        assert np.isfinite(drawn).all()

    check()


NUMBERS = st.from_regex(r"-?[0-9]{0,400}(\.[0-9]{0,3})?(e-?[0-9]{1,4})?", fullmatch=True)
WORDS = (
    "",
    "s",
    " min",
    "h",
    "gaussian:",
    "poisson-gaussian:",
    "mixture:",
    ":",
    ",",
    "nan",
    "inf",
)


@cases(200)
@given(st.one_of(st.text(), st.lists(st.one_of(NUMBERS, st.sampled_from(WORDS))).map("".join)))
def test_texts_are_understood_or_refused(text: str) -> None:
    for parse in (vr.parse_budget, vr.parse_noise):
        try:
            found = parse(text)
        except vr.VAERestoreError as error:
            assert_says(str(error)[:999])
        else:
            assert (
                0 < found < np.inf if isinstance(found, float) else parse(str(found)) == found
            )


def test_every_public_function_is_tried() -> None:
    functions = {name for name in vr.__all__ if inspect.isfunction(getattr(vr, name))}
    called = set()
    for file in ("test_functions.py", "test_layers.py", "test_files.py"):
        nodes = ast.walk(ast.parse(Path(__file__).with_name(file).read_text()))
        called |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert functions <= called, functions - called
