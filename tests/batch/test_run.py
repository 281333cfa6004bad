"""Many files: planned, restored, taken up again; a bad one does not stop the others."""

import hashlib
import json
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.batch import run as batches
from napari_vae_restore.batch.plan import Batch, State, iter_plan
from napari_vae_restore.batch.run import iter_batch
from napari_vae_restore.images.image_files import read_image, write_image
from napari_vae_restore.restoration.recipes.replay import Request

SHAPE = 40, 32
NAMES = ["b.png", "t2.tif", "t10.tif", "day2/t1.ome.tif"]


@pytest.fixture
def make_picture():
    """Make a noisy picture, another one for each seed."""

    def make(seed=0, dtype="uint16"):
        noise = np.random.default_rng(seed).normal(0, 8, SHAPE)
        rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
        return (100 + 40 * np.sin(rows / 5) * np.cos(columns / 7) + noise).astype(dtype)

    return make


@pytest.fixture
def images(tmp_path, make_picture):
    """A folder with images, a folder in it, and what is no image."""
    folder = tmp_path / "data"
    (folder / "day2" / ".hidden").mkdir(parents=True)
    names = ["t10.tif", "t2.tif", "day2/t1.ome.tif", ".hidden.tif", "day2/.hidden/a.tif"]
    for seed, name in enumerate(names):
        scale = (0.2, 0.2)
        write_image(
            folder / name, make_picture(seed), "YX", scale=scale, units=["micrometer"] * 2
        )
    write_image(folder / "b.png", make_picture(9, "uint8"), "YX")
    (folder / "readme.txt").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def quick_model():
    """A model that was trained for a moment."""
    rng = np.random.default_rng(0)
    picture = 100 + rng.normal(0, 8, (64, 64))
    tiny = vr.HVAEConfig(levels=2, width=8, latent=4)
    training = vr.Training(picture, steps=3, config=tiny, noise="gaussian:8", device="cpu")
    for _ in training.run():
        pass
    return training.model


@pytest.fixture
def batch(images, quick_model):
    """The folder of images, denoised into a folder beside it."""
    request = Request((vr.Denoise(),))
    return Batch([images], images.parent / "out", lambda mask: request, quick_model)


@pytest.fixture
def plan(drained):
    def planned(batch):
        return drained(iter_plan(batch))[1]

    return planned


@pytest.fixture
def drained():
    def run(steps):
        messages = []
        while True:
            try:
                messages.append(next(steps))
            except StopIteration as stop:
                return messages, stop.value

    return run


def states(jobs):
    return [job.state for job in jobs]


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_results_are_those_of_python_under_the_same_names(
    batch, plan, drained, images, quick_model
):
    messages, jobs = drained(iter_batch(batch, plan(batch)))
    assert states(jobs) == [State.RESTORED] * 4
    assert sorted(contents(batch.output)) == sorted(NAMES)
    for name in NAMES:
        source, result = read_image(images / name), read_image(batch.output / name)
        same = vr.denoise(source.data, quick_model, axes=source.axes)
        np.testing.assert_array_equal(result.data, same.mean)
        assert (result.scale, result.units) == (source.scale, source.units)
        digest = hashlib.sha256((images / name).read_bytes()).hexdigest()
        assert json.loads(result.description)["image_sha256"] == digest
    fractions = [message.fraction for message in messages]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, pytest.approx(1))
    assert messages[-1].seconds_left == pytest.approx(0, abs=1e-6)
    assert [m.restored is not None for m in messages].count(True) == 4


def test_a_second_run_does_nothing_and_a_broken_one_goes_on(batch, plan, drained):
    drained(iter_batch(batch, plan(batch)))
    before = contents(batch.output)
    assert states(plan(batch)) == [State.KEPT] * 4
    messages, jobs = drained(iter_batch(batch, plan(batch)))
    assert (messages, states(jobs)) == ([], [State.KEPT] * 4)
    (batch.output / "t2.tif").unlink()
    jobs = plan(batch)
    assert [job.files.mean.name for job in jobs if job.state is State.WAITING] == ["t2.tif"]
    drained(iter_batch(batch, jobs))
    assert contents(batch.output) == before


def test_what_was_left_behind_by_a_killed_run_is_replaced(batch, plan, drained, images):
    request = Request((vr.Denoise(),), n_samples=2)
    batch = replace(
        batch,
        request_of=lambda mask: request,
        n_kept=2,
        uncertainty=images.parent / "spread",
    )
    drained(iter_batch(batch, plan(batch)))
    before = contents(images.parent)
    assert "out/day2/t1.sample-2.ome.tif" in before
    assert "spread/b.tif" in before
    # The mean is written last: without it, the rest is unfinished work.
    (batch.output / "t2.tif").unlink()
    (batch.output / "t10.sample-1.tif").unlink()
    jobs = plan(batch)
    waiting = [job.files.mean.name for job in jobs if job.state is State.WAITING]
    assert waiting == ["t2.tif", "t10.tif"]
    drained(iter_batch(batch, jobs))
    assert contents(images.parent) == before


@pytest.mark.parametrize("change", ["seed", "image", "foreign"])
def test_what_was_made_otherwise_is_never_touched(
    batch, plan, drained, images, make_picture, change
):
    drained(iter_batch(batch, plan(batch)))
    if change == "seed":
        other = Request((vr.Denoise(),), seed=1)
        batch = replace(batch, request_of=lambda mask: other)
    elif change == "image":
        write_image(images / "t2.tif", make_picture(77), "YX", overwrite=True)
    else:
        (batch.output / "t2.tif").write_text("mine")
    before = contents(images.parent)
    with pytest.raises(vr.InputError, match=r"t2\.tif.*--overwrite missing"):
        plan(batch)
    assert states(plan(replace(batch, overwrite="missing"))) == [State.KEPT] * 4
    assert contents(images.parent) == before
    jobs = plan(replace(batch, overwrite="always"))
    assert states(jobs) == [State.WAITING] * 4
    drained(iter_batch(batch, jobs))
    assert contents(batch.output) != before


def test_a_bad_file_is_told_and_passed_over(batch, plan, drained, images):
    (images / "t2.tif").write_bytes(b"II*\0 torn")
    messages, jobs = drained(iter_batch(batch, plan(batch)))
    assert states(jobs) == [State.RESTORED, State.FAILED, *[State.RESTORED] * 2]
    assert "t2.tif" in jobs[1].reason
    assert not (batch.output / "t2.tif").exists()
    assert [m.job.state for m in messages if m.number == 1][-1] is State.FAILED


def test_errors_of_any_type_are_passed_over(batch, plan, drained, monkeypatch):
    real = batches.iter_restore_file

    def broken(files, *args, **options):
        if files.image.name == "t10.tif":
            raise RuntimeError("the\ndevice is gone")
        return (yield from real(files, *args, **options))

    monkeypatch.setattr(batches, "iter_restore_file", broken)
    _, jobs = drained(iter_batch(batch, plan(batch)))
    assert [job.reason for job in jobs if job.reason] == ["RuntimeError: the device is gone"]


def test_closing_leaves_complete_files_only(batch, plan):
    steps = iter_batch(batch, plan(batch))
    for progress in steps:
        if progress.number == 2 and progress.share > 0:
            break
    steps.close()
    assert sorted(contents(batch.output)) == ["b.png", "t2.tif"]


def test_suffix_and_results_beside_the_images(batch, plan, drained, images):
    batch = replace(batch, output=images, suffix="-denoised")
    drained(iter_batch(batch, plan(batch)))
    assert (images / "day2" / "t1-denoised.ome.tif").exists()
    # Results are no images of the batch that made them.
    assert states(plan(batch)) == [State.KEPT] * 4


def test_jpeg_becomes_png_and_collisions_are_found(batch, plan, images, make_picture):
    iio.imwrite(images / "c.jpg", make_picture(3, "uint8"))
    assert batch.output / "c.png" in [job.files.mean for job in plan(batch)]
    iio.imwrite(images / "b.jpg", make_picture(3, "uint8"))
    with pytest.raises(vr.InputError, match=r"b\.png would be made of .* and of"):
        plan(batch)
    (images / "b.jpg").unlink()
    with pytest.raises(vr.InputError, match=r"b\.png would replace one: choose another"):
        plan(replace(batch, output=images))
    with pytest.raises(vr.InputError, match="would be made of"):
        plan(replace(batch, uncertainty=batch.output))


def test_what_makes_no_sense_is_refused_before_anything_is_computed(batch, plan, images):
    (images.parent / "file").write_text("")
    for output in ("file", "out.tif", "out.zarr"):
        with pytest.raises(vr.InputError, match="Expected a folder"):
            plan(replace(batch, output=images.parent / output))
    with pytest.raises(vr.InputError, match="overwrite: expected one of"):
        replace(batch, overwrite="sometimes")
    with pytest.raises(vr.InputError, match="suffix"):
        replace(batch, suffix="/a")
    request = Request((vr.Denoise("gausian:3"),))
    with pytest.raises(vr.InputError, match="gausian"):
        plan(replace(batch, request_of=lambda mask: request))
    assert not batch.output.exists()


def test_masks_by_name(images, make_picture):
    masks = images.parent / "masks"
    masks.mkdir()
    hole = np.zeros((40, 32), np.uint8)
    hole[5:9, 6:12] = 255
    for name in ("t2.png", "t10_mask.png", "t1-mask.tif"):
        write_image(masks / name, hole, "YX")
    jobs = vr.restore_files(images, images.parent / "out", masks=masks)
    assert states(jobs) == [State.FAILED, *[State.RESTORED] * 3]
    assert "no mask b or b_mask or b-mask" in jobs[0].reason
    for name in NAMES[1:]:
        before, after = read_image(images / name).data, read_image(images.parent / "out" / name)
        same = vr.inpaint(before, hole)
        np.testing.assert_array_equal(after.data, same.mean)
    for name in ("t2.png", "t10_mask.png", "t1-mask.tif"):
        (masks / name).unlink()
    write_image(masks / "other.png", hole, "YX")
    with pytest.raises(vr.InputError, match="rename them"):
        vr.restore_files(images, images.parent / "new", masks=masks)


def test_masks_may_lie_beside_the_images(images):
    hole = np.zeros((40, 32), np.uint8)
    hole[5:9, 6:12] = 255
    write_image(images / "t2_mask.png", hole, "YX")
    jobs = vr.restore_files(images / "t*", images.parent / "out", masks=images)
    told = {job.files.image.name: job.state for job in jobs}
    assert told == {"t2.tif": State.RESTORED, "t10.tif": State.FAILED}


def test_in_python(images, quick_model):
    output = images.parent / "out"
    jobs = vr.restore_files(
        [images / "t2.tif", images / "b.png"], output, vr.Denoise(), quick_model
    )
    assert [job.files.mean for job in jobs] == [output / "t2.tif", output / "b.png"]
    again = list(vr.iter_restore_files(str(images), output, vr.Denoise(), quick_model))
    assert {progress.job.files.image.name for progress in again} == {"t10.tif", "t1.ome.tif"}
    spread, noise = images.parent / "spread", "gaussian:8"
    more = {"samples": 2, "uncertainty": spread}
    vr.restore_files(images / "t2.tif", images.parent / "more", vr.Denoise(noise), **more)
    image = read_image(images / "t2.tif").data
    same = vr.denoise(image, noise=noise, n_samples=2, keep_samples=True)
    np.testing.assert_array_equal(read_image(spread / "t2.tif").data, same.std)
    second = read_image(images.parent / "more" / "t2.sample-2.tif")
    np.testing.assert_array_equal(second.data, same.samples[1])
    with pytest.raises(vr.InputError, match="tasks: expected"):
        vr.restore_files(images, output)
    with pytest.raises(vr.InputError, match="at least 2 samples"):
        vr.restore_files(images, output, vr.Denoise(), samples=1, uncertainty=spread)


@pytest.mark.parametrize("end", ["replaced", "gone"])
def test_the_hash_is_of_what_was_read(batch, plan, images, end):
    job = plan(batch)[0]
    image, before = job.files.image, hashlib.sha256(job.files.image.read_bytes()).hexdigest()
    steps = iter_batch(batch, [job])
    next(steps)
    assert next(steps).share == 0  # it was read
    image.unlink()
    if end == "replaced":
        image.write_bytes((images / "t2.tif").read_bytes())
    assert list(steps)[-1].job.state is State.RESTORED
    assert json.loads(read_image(job.files.mean).description)["image_sha256"] == before
