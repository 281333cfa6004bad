"""More images than memory holds: windows of them are read while training goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.training import windows
from napari_vae_restore.training.settings import TrainingSettings
from napari_vae_restore.training.sources import listed, matched
from napari_vae_restore.training.windows import (
    EVERY,
    FIRST,
    HELD_OUT,
    SIZE,
    WindowCache,
    WindowSampler,
)

TINY = vr.HVAEConfig(levels=2, width=8, latent=4)
SMALL = TrainingSettings(batch=2, patch=32)
NOISE = vr.GaussianNoise(20.0)
SOME = 48
"""Pixels a side of windows here."""


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is much is little here."""
    monkeypatch.setattr(windows, "MOST_AT_ONCE", 100)
    monkeypatch.setattr(windows, "SIDE", SOME)


def stack(n: int = 4, side: int = 200, seed: int = 0) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    return rng.normal(1000, 20, (n, side, side)).round().astype(np.uint16)


def cut(images: Any, **options: Any) -> WindowSampler:
    return WindowSampler([(item,) for item in listed(images)], None, 0, **options)


def test_windows_are_parts_of_the_images_and_repeat_by_their_number() -> None:
    image = stack()
    one, other = cut(image), cut(image)
    for number in range(5):
        (window,) = one.window(number)
        assert window.axes == "YX"
        assert window.data.shape == (SOME, SOME)
        views = np.lib.stride_tricks.sliding_window_view(image, (SOME, SOME), (1, 2))
        assert (views[..., 0, 0] == window.data[0, 0]).any()
        np.testing.assert_array_equal(window.data, other.window(number)[0].data)
    assert one.n_pixels == image.size
    assert not np.array_equal(one.window(0)[0].data, one.window(1)[0].data)


def test_what_is_held_out_is_never_learned_from() -> None:
    # Every pixel has a value of its own.
    image = np.arange(180 * 190, dtype=np.uint16).reshape(180, 190)
    drawn = cut(image)
    unseen = np.concatenate([window.data.ravel() for (window,) in drawn.held_out()])
    seen = np.unique([drawn.window(number)[0].data for number in range(60)])
    assert unseen.size == HELD_OUT * SOME**2
    assert not np.isin(unseen, seen).any()
    assert seen.size > 0.3 * image.size


def test_pictures_that_lie_in_what_is_held_out_are_refused() -> None:
    with pytest.raises(vr.InputError, match="give more images"):
        cut(stack(1, SOME)).window(0)


def test_a_clean_image_is_cut_where_its_measurement_is() -> None:
    measured = stack(3)
    clean = measured.repeat(2, axis=1).repeat(2, axis=2)
    drawn = WindowSampler(matched(measured, clean), None, 0)
    for number in range(4):
        small, large = drawn.window(number)
        np.testing.assert_array_equal(large.data[::2, ::2], small.data)
    with pytest.raises(vr.InputError, match="2, 3 or 4 times"):
        WindowSampler(matched(measured, clean[:, :-1]), None, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, image in enumerate(stack(6)):
        write_image(tmp_path / f"{number}.tif", image, "YX")
    return tmp_path


def test_unreadable_files_are_named_or_skipped(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        whole = (folder / f"{number}.tif").read_bytes()
        (folder / f"{number}.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(vr.ImageFileError, match=r"[0-3]\.tif.*--skip-unreadable"):
        cut(folder)
    drawn = cut(folder, skip_unreadable=True)
    assert {drawn.window(number)[0].name for number in range(8)} == {"4.tif", "5.tif"}
    assert "skipped" in caplog.text


def test_a_folder_may_change_while_it_is_read(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = cut(folder)
    for number in range(5):
        (folder / f"{number}.tif").unlink()
    names = {drawn.window(number)[0].name for number in range(10, 30)}
    assert "5.tif" in names
    assert len(names) <= 3  # two may have been read before
    assert "no such file" in caplog.text


def test_flat_windows_are_passed_over() -> None:
    image = np.zeros((400, 400), np.uint16)
    image[:200, :200] = stack(1)[0]
    drawn = cut(image)
    assert all(np.ptp(drawn.window(number)[0].data) > 0 for number in range(10))


def test_a_pool_holds_the_latest_by_the_step_alone() -> None:
    slow, quick = WindowCache(lambda number: number), WindowCache(lambda number: number)
    for step in range(0, EVERY * (SIZE + 3), 5):
        members = list(slow.at(step))
        assert members == list(range(max(0, members[-1] + 1 - SIZE), members[-1] + 1))
    assert list(quick.at(step)) == members
    assert list(WindowCache(lambda number: number).at(0)) == list(range(FIRST))


def test_a_pool_makes_do_with_what_can_be_prepared(caplog: pytest.LogCaptureFixture) -> None:
    def make(number: int) -> int:
        if number % 2 or number > FIRST:
            raise vr.InputError(f"no {number}")
        return number

    partial = WindowCache(make)
    assert list(partial.at(0)) == list(range(0, FIRST, 2))
    assert set(partial.at(EVERY * 3 * SIZE)) <= set(range(0, FIRST + 1, 2))
    assert partial.at(EVERY * 3 * SIZE)
    assert caplog.text.count("without a part") == 1
    with pytest.raises(vr.InputError, match="no 1"):
        WindowCache(lambda number: make(1)).at(0)


def sources(image: NDArray[np.float32]) -> dict[str, Any]:
    again = vr.GaussianNoise(20.0).sample(image, np.random.default_rng(5)).astype(np.float32)
    return {
        "noisy images": image,
        "two shots": vr.Shots(image, again),
        "pairs": vr.Pairs(again, image),
        "clean images": vr.Clean(image),
    }


@pytest.mark.parametrize("supervision", ["noisy images", "two shots", "pairs", "clean images"])
def test_every_supervision_can_be_streamed(
    clean: NDArray[np.float32], supervision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "SIDE", 64)
    monkeypatch.setattr(windows, "FIRST", 2)
    image = np.stack([clean, clean[::-1], clean[:, ::-1], clean[::-1, ::-1]])
    noisy = NOISE.sample(image, np.random.default_rng(0)).astype(np.float32)
    model = vr.train(
        sources(noisy)[supervision],
        start="default",
        noise=NOISE,
        steps=2,
        settings=TrainingSettings(batch=2, patch=48),
        device="cpu",
    )
    assert model.record.supervision == supervision
    assert model.record.n_pixels == noisy.size
    assert model.record.is_held_out
    assert np.isfinite(model.record.held_out or np.nan)


def test_a_resumed_run_sees_what_the_unbroken_one_does(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "EVERY", 2)

    def training() -> vr.Training:
        return vr.Training(folder, config=TINY, settings=SMALL, steps=12, device="cpu")

    unbroken, broken = training(), training()
    losses = [p.loss for p in unbroken.run()]
    run = broken.run()
    for _ in range(5):
        next(run)
    run.close()
    broken.save_checkpoint(tmp_path / "c.safetensors")
    resumed = vr.Training.resume(tmp_path / "c.safetensors", folder, device="cpu")
    assert [p.loss for p in resumed.run()] == losses[5:]


def test_the_noise_of_one_stack_is_measured_once() -> None:
    image = stack(8, 256)
    training = vr.Training(image, config=TINY, settings=SMALL, steps=1, device="cpu")
    assert training.data_noise is not None
    level = float(training.data_noise.variance(np.array([1000.0]))[0] ** 0.5)
    assert level == pytest.approx(20, rel=0.05)


LARGE = """
import re
from pathlib import Path
import numpy as np
import napari_vae_restore as vr

GIB = 2**30

class Camera:
    shape, dtype = (24, 50_000, 40_000), np.dtype("uint16")

    def __getitem__(self, where):
        sides = [span.stop - span.start for span in where[1:]]
        rng = np.random.default_rng([where[0], where[1].start, where[2].start])
        return rng.normal(1000, 20, sides).astype(self.dtype)

camera = Camera()
assert np.prod(camera.shape) * camera.dtype.itemsize > 89 * GIB
config = vr.HVAEConfig(levels=2, width=8, latent=4)
training = vr.Training(camera, config=config, steps=40, device="cpu")
for _ in training.run():
    pass
# Not ru_maxrss, which begins with that of the process that started this one.
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(f"{peak / GIB:.2f} GiB")
assert peak < 2 * GIB
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told differently")
def test_a_hundred_gigabytes_train_in_less_than_two() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_global_random_state_is_untouched() -> None:
    before = torch.random.get_rng_state()
    cut(stack()).window(0)
    assert torch.equal(before, torch.random.get_rng_state())
