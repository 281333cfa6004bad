"""What is looked at is what a restoration gives there, and nothing else is computed."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.restoration.blocks import on_demand as looking
from napari_vae_restore.restoration.blocks import parts
from napari_vae_restore.restoration.blocks import windows as sampling
from napari_vae_restore.restoration.blocks.on_demand import (
    pyramid,
    reduced_mask,
    restore_levels,
)

TILE = 64
SIGMA = 10.0


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    """Two noisy planes, (2, 140, 150)."""
    clean = np.stack([data.camera()[100:240, 150:300], data.camera()[200:340, 150:300]])
    noisy = clean + np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that have levels, tiles and windows though they are small."""
    monkeypatch.setattr(looking, "_COARSEST", 80)
    monkeypatch.setattr(looking, "_AT_ONCE", 80)
    monkeypatch.setattr(sampling, "_RANGE_WINDOWS", 4)
    monkeypatch.setattr(sampling, "_RANGE_SIDE", 40)


@pytest.mark.parametrize("task", [vr.Denoise("gaussian:10"), vr.SuperResolve(2)])
def test_the_finest_level_is_the_restoration(image: NDArray[np.uint8], task: Any) -> None:
    looked = restore_levels(pyramid(image, "ZYX"), [task], axes="ZYX", tile=TILE)
    whole = vr.restore(image.astype(np.float32), task, axes="ZYX").mean
    fine = looked.levels[0].compute()
    assert fine.dtype == image.dtype
    assert fine.shape == whole.shape
    # Range from windows, tiles, and rounding to whole numbers.
    assert np.abs(fine - whole.clip(0, 255)).mean() < 0.1 * SIGMA
    assert looked.recipe.tasks == (task.to_dict(),)


def test_every_level_is_less_noisy_and_lies_where_it_should(image: NDArray[np.uint8]) -> None:
    levels = pyramid(image, "ZYX")
    looked = restore_levels(levels, [vr.Denoise("gaussian:10")], axes="ZYX", tile=TILE)
    assert [level.shape for level in looked.levels] == [(2, 140, 150), (2, 70, 75)]
    clean = data.camera()[100:240, 150:300].reshape(70, 2, 75, 2).mean(axis=(1, 3))
    before, after = (np.asarray(each[0], float) for each in (levels[1], looked.levels[1]))
    assert np.square(after - clean).mean() < 0.8 * np.square(before - clean).mean()


def test_only_what_is_looked_at_is_computed_and_once(
    image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    solved: list[int] = []
    solve = looking.solve_alone

    def counted(plan: Any, part: Any, block: Any, *rest: Any) -> Any:
        solved.append(part[0])
        return solve(plan, part, block, *rest)

    monkeypatch.setattr(looking, "solve_alone", counted)
    monkeypatch.setattr(parts, "measured_halo", lambda model: 16)
    levels = [da.from_array(image, chunks=(1, 50, 50))]
    fine = restore_levels(levels, [vr.Denoise("gaussian:10")], axes="ZYX", tile=TILE).levels[0]
    assert solved == []
    first = fine[1, 10:70, 5:60].compute()
    assert solved == [1, 1]
    np.testing.assert_array_equal(fine[1, 10:70, 5:60].compute(), first)
    assert solved == [1, 1]


def test_little_is_remembered_where_memory_is_short(
    image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_MOST_BYTES", 5000)  # one chunk
    monkeypatch.setattr(parts, "measured_halo", lambda model: 16)
    fine = restore_levels([image], [vr.Denoise("gaussian:10")], axes="ZYX", tile=TILE).levels[0]
    np.testing.assert_array_equal(fine[0].compute(), fine[0].compute())


def test_colours_stay_colours() -> None:
    picture = data.astronaut()[:100, :120]
    fine = restore_levels([picture], [vr.Denoise("auto")], axes="YXS", tile=TILE).levels[0]
    assert fine.shape == picture.shape
    assert np.asarray(fine[:10, :10]).shape == (10, 10, 3)


def test_holes_are_filled_on_every_level(image: NDArray[np.uint8]) -> None:
    missing = np.zeros(image.shape, bool)
    missing[0, 20:25, 30:90] = True
    holed = np.where(missing, 0, image)
    levels = pyramid(holed, "ZYX")
    looked = restore_levels(levels, [vr.Inpaint(missing)], axes="ZYX", tile=TILE)
    for level, source in zip(looked.levels, levels, strict=True):
        hole = reduced_mask(missing, source.shape)
        np.testing.assert_array_equal(level[1], source[1])
        result, before = np.asarray(level), np.asarray(source)
        np.testing.assert_array_equal(result[~hole], before[~hole])
        assert result[hole].min() > 0


def test_a_mask_of_another_shape_is_refused(image: NDArray[np.uint8]) -> None:
    task = vr.Inpaint(np.eye(140, 150, dtype=bool))
    with pytest.raises(vr.InputError, match="mask of the image's shape"):
        restore_levels(pyramid(image, "ZYX"), [task], axes="ZYX")
