"""Whatever is wrong with the input: one line that says how to mend it, nothing written."""

import contextlib
import json
import os
import struct
import tempfile

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from safetensors.numpy import save_file

import napari_vae_restore as vr
from napari_vae_restore.cli import main
from napari_vae_restore.images.image_files import write_image

NOISE = "gaussian:25"


def spoilt(value, count=None):
    image = np.random.default_rng(0).normal(100, 10, (64, 64)).astype(np.float32)
    image.flat[:count] = value
    return image


BAD_IMAGES = {
    "empty": (np.empty((0, 64)), "empty"),
    "no dimensions": (np.float32(3), "dimensions"),
    "one dimension": (np.arange(64.0), "2 dimensions"),
    "six dimensions": (np.ones((1, 1, 1, 1, 64, 64)), "axes="),
    "all NaN": (spoilt(np.nan), "all values are NaN"),
    "some NaN": (spoilt(np.nan, 5), "5 NaN"),
    "some infinite": (spoilt(np.inf, 3), "3 infinite"),
    "constant": (np.full((64, 64), 7, np.uint8), "every pixel has the value 7"),
    "complex": (np.ones((64, 64), complex), "numpy.abs"),
    "objects": (np.full((64, 64), None), "Python objects"),
    "mask": (np.eye(64, dtype=bool), "mask"),
    "text": (np.full((64, 64), "a"), "pass numbers"),
    "masked": (np.ma.masked_less(spoilt(0, 1), 50), "masked"),
    "no array": (object(), "object"),
}


NARROW_IMAGES = {
    "one pixel": (np.ones((1, 1)), "at least 8 pixels"),
    "narrow": (np.random.default_rng(0).random((64, 4)), "at least 8 pixels"),
}
"""Of which nothing is learned, though all but the first can be restored."""


@pytest.fixture(scope="module")
def model(noisy):
    """A model to be used in vain, hence hardly trained."""
    return vr.train(noisy, steps=1, noise=NOISE)


def assert_one_line(error):
    message = str(error.value)
    assert message.strip()
    assert "\n" not in message


NOT_DENOISED = {name: case for name, case in BAD_IMAGES.items() if name != "some NaN"}
"""Pixels that are not a number were not measured, and stay."""


@pytest.mark.parametrize(
    ("image", "message"),
    (NOT_DENOISED | NARROW_IMAGES).values(),
    ids=list(NOT_DENOISED | NARROW_IMAGES),
)
def test_train_refuses(image, message):
    with pytest.raises(vr.InputError, match=message) as error:
        vr.train(image, steps=1, noise=NOISE)
    assert_one_line(error)


@pytest.mark.parametrize(("image", "message"), NOT_DENOISED.values(), ids=list(NOT_DENOISED))
def test_denoise_refuses(model, image, message):
    with pytest.raises(vr.InputError, match=message) as error:
        vr.denoise(image, model)
    assert_one_line(error)


@pytest.mark.parametrize(
    "options",
    [
        {"budget": -1},
        {"budget": "0s"},
        {"budget": "soon"},
        {"steps": 0},
        {"noise": "gaussian:-1"},
        {"noise": "salt"},
        {"axes": "ZYX"},
        {"axes": "YY"},
        {"device": "abacus"},
    ],
    ids=str,
)
def test_train_refuses_options(noisy, options):
    with pytest.raises(vr.InputError) as error:
        vr.train(noisy, **({"steps": 1, "noise": NOISE} | options))
    assert_one_line(error)


@pytest.mark.parametrize(
    "options",
    [
        {"n_samples": -1},
        {"tile": 0},
        {"seed": -1},
        {"seed": 1.5},
        {"noise": "gaussian:nan"},
        {"axes": "CYX"},
        {"device": "abacus"},
    ],
    ids=str,
)
def test_denoise_refuses_options(model, noisy, options):
    with pytest.raises(vr.InputError) as error:
        vr.denoise(noisy, model, **options)
    assert_one_line(error)


@pytest.fixture
def folder(tmp_path, noisy, model):
    """A good image and a good model, which must be left as they are."""
    write_image(tmp_path / "noisy.tif", noisy, "YX")
    model.save(tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def refused(folder, capsys):
    """Run a command that must be refused: status 2, one line, all files as before."""

    def command(*words):
        before = contents(folder)
        capsys.readouterr()
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert status == 2, err
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert contents(folder) == before
        return err

    return command


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def denoise(folder, **options):
    files = {"image": "noisy.tif", "output": "out.tif", "model": "model.safetensors"} | options
    words = ["denoise", folder / files.pop("image"), "-o", folder / files.pop("output")]
    model = files.pop("model")
    model = model if model == "default" else folder / model
    return [*words, "--model", model, *files.pop("more", [])]


def inpaint(folder, mask="mask.png", more=(), **options):
    iio.imwrite(folder / "mask.png", np.eye(192, 160, dtype=np.uint8))
    words = denoise(folder, model="default", more=["--mask", folder / mask, *more], **options)
    return ["inpaint", *words[1:]]


def super_resolve(folder, factor=2, more=(), **options):
    words = denoise(folder, model="default", more=["--factor", factor, *more], **options)
    return ["super-resolve", *words[1:]]


def restore(folder, recipe, more=(), model="default", **options):
    if not isinstance(recipe, str):
        recipe = json.dumps(recipe)
    (folder / "recipe.json").write_text(recipe)
    more = ["--recipe", folder / "recipe.json", *more]
    return ["restore", *denoise(folder, model=model, more=more, **options)[1:]]


def train(folder, image="noisy.tif", output="new.safetensors", more=()):
    words = ["train", folder / image, "-o", folder / output, "--noise", NOISE]
    return [*words, *(more or ["--steps", 1])]


COMMANDS = [train, denoise, inpaint, super_resolve]
FILES_WITH_BAD_IMAGES = {
    name: (np.asarray(BAD_IMAGES[name][0]), BAD_IMAGES[name][1])
    for name in ("all NaN", "some infinite", "constant", "complex")
}


@pytest.mark.parametrize(
    ("image", "message"), FILES_WITH_BAD_IMAGES.values(), ids=list(FILES_WITH_BAD_IMAGES)
)
@pytest.mark.parametrize("command", [train, denoise, super_resolve])
def test_images_in_files(folder, refused, command, image, message):
    tifffile.imwrite(folder / "bad.tif", image)
    assert message in refused(*command(folder, image="bad.tif"))


def test_holes_that_the_mask_leaves_out(folder, refused):
    image = tifffile.imread(folder / "noisy.tif").astype(np.float32)
    image[3, 2] = np.nan  # the mask has the diagonal
    tifffile.imwrite(folder / "bad.tif", image)
    assert "1 NaN and 0 infinite or above 1e+30 came there" in refused(
        *inpaint(folder, image="bad.tif")
    )


def test_mask_in_a_file(folder, refused):
    tifffile.imwrite(folder / "mask.tif", np.eye(64, dtype=bool))
    assert "mask" in refused(*denoise(folder, image="mask.tif"))


@pytest.mark.parametrize("command", COMMANDS)
def test_inputs_that_are_no_images(folder, refused, command):
    assert "no such file" in refused(*command(folder, image="absent.tif"))
    (folder / "notes.txt").write_text("not an image")
    assert "files that can be read" in refused(*command(folder, image="notes.txt"))
    (folder / "torn.tif").write_bytes((folder / "noisy.tif").read_bytes()[:200])
    assert "Cannot read" in refused(*command(folder, image="torn.tif"))
    (folder / "empty.png").write_bytes(b"")
    assert "Cannot read" in refused(*command(folder, image="empty.png"))


def test_folders(folder, refused):
    (folder / "bare").mkdir()
    assert "No image in the folder" in refused(*train(folder, image="bare"))
    assert "the name of one image" in refused(*denoise(folder, image="bare"))
    assert "there is none in the folder" in refused(
        *denoise(folder, image="bare", output="results")
    )
    words = ["evaluate", folder / "bare", "--reference", folder / "noisy.tif"]
    assert "there is none in the folder" in refused(*words)


@pytest.mark.parametrize("command", [train, denoise])
def test_permission_denied(folder, refused, command, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "noisy.tif")

    monkeypatch.setattr("napari_vae_restore.images.image_files.read_tiff", denied)
    assert "Permission denied" in refused(*command(folder))


def test_folder_that_cannot_be_written_to(folder, refused, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    for command in (train, denoise):
        assert "Permission denied" in refused(*command(folder))


@contextlib.contextmanager
def full_disk(n_bytes):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", [train, denoise, super_resolve])
def test_full_disk(folder, refused, command):
    with full_disk(10_000):
        assert "cannot write" in refused(*command(folder)).lower()


def test_output_is_the_input(folder, refused):
    write_image(folder / "in.png", np.arange(4096, dtype=np.uint16).reshape(64, 64), "YX")
    os.link(folder / "noisy.tif", folder / "link.tif")
    for name in ("noisy.tif", "../" + folder.name + "/noisy.tif", "link.tif"):
        words = denoise(folder, output=name, more=["--overwrite"])
        assert "input" in refused(*words)
        words = denoise(folder, more=["--overwrite", "--uncertainty", folder / name])
        assert "input" in refused(*words)
    assert "out.tif came twice" in refused(
        *denoise(folder, more=["--uncertainty", folder / "out.tif"])
    )


def test_existing_output_needs_overwrite(folder, refused):
    for name in ("out.tif", "new.safetensors", "std.tif"):
        (folder / name).write_text("precious")
    assert "--overwrite" in refused(*denoise(folder))
    assert "--overwrite" in refused(*train(folder))
    more = ["--uncertainty", folder / "std.tif"]
    assert "std.tif exists" in refused(*denoise(folder, output="other.tif", more=more))
    assert main([str(word) for word in denoise(folder, more=["--overwrite"])]) == 0
    assert main([str(word) for word in [*train(folder), "--overwrite"]]) == 0


def test_output_names(folder, refused):
    assert ".tif" in refused(*denoise(folder, output="out.jpg"))
    assert ".tif" in refused(*denoise(folder, output="out"))
    assert ".safetensors" in refused(*train(folder, output="model.pt"))
    assert "small letters" in refused(*train(folder, output="m.SAFETENSORS"))
    assert "existing folder" in refused(*denoise(folder, output="absent/out.tif"))
    assert "existing folder" in refused(*train(folder, output="absent/m.safetensors"))
    # The image is float32, which PNG cannot hold, and so is every uncertainty.
    assert ".tif" in refused(*denoise(folder, output="out.png"))
    assert ".tif" in refused(*denoise(folder, more=["--uncertainty", folder / "std.png"]))


def test_samples_replace_nothing(folder, refused):
    (folder / "out.sample-2.tif").write_text("precious")
    for command in (denoise, inpaint, super_resolve):
        words = command(folder, more=["--samples", 2])
        assert "out.sample-2.tif exists" in refused(*words)
    more = ["--samples", 1, "--uncertainty", folder / "out.sample-1.tif"]
    assert "at least 2 samples" in refused(*denoise(folder, more=more))
    more = ["--samples", 3, "--uncertainty", folder / "new.sample-3.tif"]
    words = denoise(folder, output="new.tif", more=more)
    assert "new.sample-3.tif came twice" in refused(*words)
    assert "n_samples" in refused(*denoise(folder, more=["--samples=-1"]))


def test_masks_that_do_not_fit(folder, refused):
    noise = np.random.default_rng(0).integers(0, 255, (192, 160, 3), np.uint8)
    masks = {
        "small.png": (np.eye(64, dtype=np.uint8), "expected the shape (192, 160)"),
        "stack.tif": (np.ones((2, 192, 160), np.uint8), "expected the shape (192, 160)"),
        "full.png": (np.ones((192, 160), np.uint8), "covers a whole plane"),
        "floats.tif": (np.ones((192, 160), np.float32), "threshold it first"),
        "lossy.jpg": (noise, "JPEG changes values"),
    }
    inpaint(folder)
    for name, (mask, message) in masks.items():
        iio.imwrite(folder / name, mask)
        assert message in refused(*inpaint(folder, mask=name))
    assert "no such file" in refused(*inpaint(folder, mask="absent.png"))
    more = ["--overwrite"]
    assert "is the input" in refused(*inpaint(folder, output="mask.png", more=more))


def test_tasks_that_do_not_fit(folder, refused):
    for factor in (1, 5, 0):
        assert "expected 2, 3 or 4" in refused(*super_resolve(folder, factor=factor))
    assert "bicubic, box" in refused(*super_resolve(folder, more=["--kernel", "sinc"]))
    assert "noise" in refused(*super_resolve(folder, more=["--noise", "pepper"]))
    inpaint(folder)
    for words in (super_resolve(folder), inpaint(folder)):
        words[words.index("default")] = folder / "model.safetensors"
        assert "only removes noise" in refused(*words)


BAD_RECIPES = {
    "text": ("denoise it", "not JSON"),
    "list": ([1], "one JSON object"),
    "no tasks": ({}, "tasks: expected a list"),
    "empty": ({"tasks": []}, "tasks: expected a list"),
    "task by name": ({"tasks": ["denoise"]}, '"kind" out of denoise'),
    "unknown kind": ({"tasks": [{"kind": "dream"}]}, '"kind" out of denoise'),
    "unknown key": ({"tasks": [{"kind": "denoise"}], "speed": 3}, "unknown 'speed'"),
    "from the future": (
        {"tasks": [{"kind": "denoise"}], "speed": 3, "package_version": "9.0"},
        "version 9.0",
    ),
    "unknown key of a task": (
        {"tasks": [{"kind": "denoise", "sigma": 3}]},
        "task denoise: unknown 'sigma'",
    ),
    "twice": ({"tasks": [{"kind": "denoise"}] * 2}, "denoise is there twice"),
    "noise": ({"tasks": [{"kind": "denoise", "noise": 3}]}, "noise: expected text"),
    "noises": ({"tasks": [{"kind": "denoise", "noise": ["salt"]}]}, "Cannot read the noise"),
    "factor": ({"tasks": [{"kind": "super-resolve", "factor": "2"}]}, "expected 2, 3 or 4"),
    "no factor": ({"tasks": [{"kind": "super-resolve"}]}, "expected 2, 3 or 4"),
    "kernel": (
        {"tasks": [{"kind": "super-resolve", "factor": 2, "kernel": [1]}]},
        "kernel: expected text",
    ),
    "psf": ({"tasks": [{"kind": "deblur", "psf": [[1], [1, 2]]}]}, "psf: expected rows"),
    "no mask": ({"tasks": [{"kind": "inpaint"}]}, "--mask FILE"),
    "lost mask": ({"tasks": [{"kind": "inpaint", "mask": "lost.png"}]}, "lost.png"),
    "seed": ({"tasks": [{"kind": "denoise"}], "seed": True}, "seed: expected an integer"),
    "negative": ({"tasks": [{"kind": "denoise"}], "seed": -1}, "seed: expected an integer"),
    "tile": ({"tasks": [{"kind": "denoise"}], "tile": "big"}, "tile: expected an integer"),
    "axes": ({"tasks": [{"kind": "denoise"}], "axes": "ZYX"}, "axes"),
}


@pytest.mark.parametrize(("recipe", "message"), BAD_RECIPES.values(), ids=list(BAD_RECIPES))
def test_recipes_that_are_none(folder, refused, recipe, message):
    assert message in refused(*restore(folder, recipe))


def test_recipes_in_files_that_hold_none(folder, refused):
    words = ["restore", folder / "noisy.tif", "-o", folder / "out.tif", "--recipe"]
    assert "its description holds none" in refused(*words, folder / "noisy.tif")
    assert "No such file" in refused(*words, folder / "absent.json")
    assert "not JSON" in refused(*words, folder / "model.safetensors")
    restore(folder, {"tasks": [{"kind": "denoise"}]})
    words += [folder / "recipe.json"]
    inpaint(folder)
    assert "no task of the recipe fills" in refused(*words, "--mask", folder / "mask.png")
    (folder / "recipe.json").write_text('{"tasks": [{"kind": "denoise"}], "model": "mine"}')
    assert "--model FILE" in refused(*words)


def test_options_that_do_not_fit(folder, refused):
    assert "time budget" in refused(*train(folder, more=["--budget=-1min"]))
    assert "time budget" in refused(*train(folder, more=["--budget", "soon"]))
    assert "steps" in refused(*train(folder, more=["--steps", 0]))
    assert "leave one out" in refused(*train(folder, more=["--steps", 1, "--budget", "1s"]))
    resume = ["--resume", folder / "model.safetensors"]
    assert "leave --steps out" in refused(*train(folder, more=[*resume, "--steps", 3]))
    assert "not a checkpoint" in refused(*train(folder, more=resume))
    more = ["--uncertainty", folder / "std.tif", "--samples", 1]
    assert "at least 2 samples" in refused(*denoise(folder, more=more))
    assert "noise" in refused(*denoise(folder, more=["--noise", "pepper"]))
    assert "axes" in refused(*denoise(folder, more=["--axes", "ZYX"]))
    assert "device" in refused(*denoise(folder, more=["--device", "abacus"]))
    assert "device" in refused(*train(folder, more=["--device", "abacus", "--steps", 1]))


def test_models_that_are_none(folder, refused):
    assert "does not exist" in refused(*denoise(folder, model="absent.safetensors"))
    good = (folder / "model.safetensors").read_bytes()
    wrong = {
        "empty": b"",
        "text": b"not a model at all",
        "truncated": good[: len(good) // 2],
        "hostile": struct.pack("<Q", 2**60) + good[8:],
        "image": (folder / "noisy.tif").read_bytes(),
    }
    for name, content in wrong.items():
        (folder / name).write_bytes(content)
        assert str(folder / name) in refused(*denoise(folder, model=name))
    assert "is a folder" in refused(*denoise(folder, model="."))


def test_models_of_others_and_of_the_future(folder, refused):
    save_file({"weight": np.zeros(3)}, folder / "other.safetensors")
    assert "another program" in refused(*denoise(folder, model="other.safetensors"))
    good = (folder / "model.safetensors").read_bytes()
    future = good.replace(rb"\"version\": 1", rb"\"version\": 9")
    assert future != good
    (folder / "future.safetensors").write_bytes(future)
    assert "version 9" in refused(*denoise(folder, model="future.safetensors"))


def test_demo_spares_files_of_others(folder, refused):
    assert "noisy.tif is there" in refused("demo", "-o", folder)
    assert "time budget" in refused("demo", "-o", folder / "demo", "--budget", "soon")


def test_evaluate_refuses(folder, refused):
    tifffile.imwrite(folder / "other.tif", np.zeros((10, 12), np.uint8))
    words = ["evaluate", folder / "noisy.tif", "--reference"]
    assert "one shape" in refused(*words, folder / "other.tif", "--range", 255)
    assert "same value" in refused(*words, folder / "other.tif")
    assert "no such file" in refused(*words, folder / "absent.tif")
    assert "--range" in refused(*words, folder / "noisy.tif", "--range", "wide")
    assert "positive range" in refused(*words, folder / "noisy.tif", "--range", 0)
