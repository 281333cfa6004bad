"""From store to store: the numbers of the whole, whatever interrupts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pytest
import zarr
from distributed import Client, LocalCluster
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.images.zarr_files import folder_of, open_store
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.devices import choose_device
from napari_vae_restore.stores import cluster, work
from napari_vae_restore.stores.ome_zarr import level_shapes, reduced
from napari_vae_restore.stores.restore import iter_restore_store, restore_store
from napari_vae_restore.stores.target import finished_request

TILE = 64

Store = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("large")


def level(path: Path, number: int = 0) -> NDArray[Any]:
    values: NDArray[Any] = zarr.open_array(path / str(number), mode="r")[:]
    return values


def tasks(kind: str, mask: Any) -> list[Any]:
    return {
        "denoise": [vr.Denoise("gaussian")],
        "inpaint": [vr.Inpaint(mask)],
        "super-resolve": [vr.SuperResolve(2)],
    }[kind]


@pytest.fixture
def mask(slide: NDArray[np.uint8]) -> NDArray[np.bool_]:
    missing = np.zeros(slide.shape[1:], bool)
    missing[20:24, 10:55] = True
    return missing


@pytest.fixture
def client() -> Iterator[Client]:
    """Two workers that are threads of this process."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as local,
        Client(local) as found,
    ):
        yield found


@pytest.mark.parametrize("kind", ["denoise", "inpaint", "super-resolve"])
def test_the_store_holds_what_the_whole_gives(
    slide: NDArray[np.uint8], mask: NDArray[np.bool_], store: Store, tmp_path: Path, kind: str
) -> None:
    source = store("in.zarr", slide, "0.5")
    hidden = zarr.open_array(store("mask.zarr", mask), mode="r")
    std, sample = tmp_path / "std.ome.zarr", tmp_path / "out.sample-1.ome.zarr"
    stored = restore_store(
        source,
        tmp_path / "out.ome.zarr",
        tasks(kind, hidden),
        n_samples=2,
        uncertainty=std,
        sample_paths=[sample],
        tile=TILE,
    )
    whole = vr.restore(
        slide, tasks(kind, mask), axes="CYX", n_samples=2, keep_samples=True, tile=TILE
    )
    np.testing.assert_array_equal(level(tmp_path / "out.ome.zarr"), whole.mean)
    np.testing.assert_array_equal(level(std), whole.std)
    assert whole.samples is not None
    np.testing.assert_array_equal(level(sample), whole.samples[0])
    assert stored.recipe == whole.recipe
    assert stored.diagnostics is not None
    assert stored.diagnostics.residual_std == pytest.approx(whole.diagnostics.residual_std)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["in.zarr", "mask.zarr", "out.ome.zarr", "out.sample-1.ome.zarr", "std.ome.zarr"]
    )


def test_the_key_of_a_store_is_that_of_earlier_versions(tmp_path: Path) -> None:
    image = (np.arange(2 * 16 * 24) % 251).astype(np.uint8).reshape(2, 16, 24)
    out = tmp_path / "out.zarr"
    options = {"axes": "CYX", "n_samples": 0, "tile": 64, "seed": 3, "shard": False}
    restore_store(image, out, vr.SuperResolve(2), **options)
    request = options | {
        "tasks": [{"kind": "super-resolve", "factor": 2, "kernel": "bicubic"}],
        "model": find_model("default").sha256,
        "uncertainty": False,
        "n_kept": 0,
    }
    digest = hashlib.sha256(b"((1, 2, 16, 24), dtype('uint8'))" + image.tobytes())
    digest.update(json.dumps(request, sort_keys=True).encode())
    assert finished_request(out) == digest.hexdigest()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_sizes_units_and_names_are_kept(
    slide: NDArray[np.uint8], store: Store, tmp_path: Path, version: str
) -> None:
    source = store("in.zarr", slide, version)
    restore_store(source, tmp_path / "out.zarr", vr.SuperResolve(2), tile=TILE, shard=True)
    out = open_store(tmp_path / "out.zarr")
    assert (out.axes, out.scale) == ("CYX", (1.0, 0.25, 0.25))
    assert out.units == ("pixel", "micrometer", "micrometer")
    assert out.channel_names == ("DAPI", "GFP")
    assert out.array.shards == (1, TILE, TILE)
    assert '"super-resolve"' in out.description


def test_levels_are_local_means(
    slide: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_vae_restore.stores.ome_zarr._COARSEST", 40)
    out = tmp_path / "out.zarr"
    restore_store(slide, out, vr.Denoise("gaussian:10"), axes="CYX", tile=TILE)
    shapes = level_shapes((2, 131, 150))
    assert shapes == [(2, 131, 150), (2, 66, 75), (2, 33, 38)]
    for number, shape in enumerate(shapes[1:], start=1):
        expected = np.rint(reduced(level(out, number - 1)))
        assert expected.shape == shape
        np.testing.assert_array_equal(level(out, number), expected)
    assert reduced(np.array([[1.0, 3.0, 5.0]])).tolist() == [[2.0, 5.0]]
    (image,) = dict(zarr.open_group(out).attrs)["ome"]["multiscales"]
    last = image["datasets"][-1]["coordinateTransformations"]
    assert last[0]["scale"] == [1, 4, 4]
    assert last[1]["translation"] == [0, 1.5, 1.5]


def test_a_stopped_restoration_goes_on_where_it_was(
    slide: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved: list[tuple[int, ...]] = []
    original = work._restore

    def counted(job: work.Work, p: int, b: int) -> Any:
        solved.append((p, b))
        return original(job, p, b)

    monkeypatch.setattr(work, "_restore", counted)
    order: dict[str, Any] = {"axes": "CYX", "tile": TILE}
    out = tmp_path / "out.zarr"
    steps = iter_restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
    for _ in range(5):
        next(steps)
    steps.close()
    assert not out.exists()
    assert (tmp_path / "out.zarr.partial").is_dir()
    assert 4 <= len(solved) < 18
    restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
    assert sorted(solved) == sorted(set(solved))
    assert len(solved) == 18
    assert restore_store(slide, out, vr.Denoise("gaussian:10"), **order).recipe is None
    assert len(solved) == 18
    whole = vr.denoise(slide, noise="gaussian:10", axes="CYX", tile=TILE)
    np.testing.assert_array_equal(level(out), whole.mean)
    assert [p.name for p in tmp_path.iterdir()] == ["out.zarr"]


def test_what_was_begun_for_something_else_is_refused(
    slide: NDArray[np.uint8], tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    order: dict[str, Any] = {"axes": "CYX", "tile": TILE}
    steps = iter_restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
    next(steps)
    next(steps)
    with pytest.raises(vr.InputError, match="Another process is writing"):
        restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
    steps.close()
    for image, sigma in ((slide, 11), (slide + 1, 10)):
        with pytest.raises(vr.InputError, match="unfinished result of another restoration"):
            restore_store(image, out, vr.Denoise(f"gaussian:{sigma}"), **order)
    restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
    with pytest.raises(vr.InputError, match="exists: choose another name"):
        restore_store(slide, out, vr.Denoise("gaussian:11"), **order)
    before = level(out)
    restore_store(slide, out, vr.Denoise("gaussian:11"), **order, overwrite=True)
    assert (level(out) != before).any()
    assert [p.name for p in tmp_path.iterdir()] == ["out.zarr"]


def test_a_death_between_two_names_is_mended(
    slide: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, std = tmp_path / "out.zarr", tmp_path / "std.zarr"
    order: dict[str, Any] = {"axes": "CYX", "tile": TILE, "n_samples": 2, "uncertainty": std}
    rename = Path.rename

    def die(path: Path, name: Path) -> Path:
        if path.name == "mean":
            raise KeyboardInterrupt
        return rename(path, name)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
    assert std.exists()
    assert not out.exists()
    restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.zarr", "std.zarr"]


def test_a_death_after_the_last_name_is_mended(
    slide: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.zarr"
    order: dict[str, Any] = {"axes": "CYX", "tile": TILE}
    unlink = Path.unlink

    def die(path: Path, missing_ok: bool = False) -> None:
        if path.name == "orders.json":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    for is_removed in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", die)
            with pytest.raises(KeyboardInterrupt):
                restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
        whole = level(out)
        assert (tmp_path / "out.zarr.partial").exists()
        if is_removed:
            shutil.rmtree(out)
        restore_store(slide, out, vr.Denoise("gaussian:10"), **order)
        np.testing.assert_array_equal(level(out), whole)
        assert [p.name for p in tmp_path.iterdir()] == ["out.zarr"]
        shutil.rmtree(out)


def test_colours_become_channels(slide: NDArray[np.uint8], tmp_path: Path) -> None:
    picture = np.stack([slide[0], slide[1], slide[0]], axis=-1)
    restore_store(picture, tmp_path / "out.zarr", vr.Denoise("gaussian:10"), tile=TILE)
    whole = vr.denoise(picture, noise="gaussian:10", tile=TILE)
    np.testing.assert_array_equal(level(tmp_path / "out.zarr"), np.moveaxis(whole.mean, -1, 0))


@pytest.mark.parametrize(
    ("name", "axes", "message"),
    [
        ("out.tif", "CYX", "ends in .zarr"),
        ("no/out.zarr", "CYX", "existing folder"),
        ("out.zarr", "QYX", "axes out of T, C, Z, Y, X"),
    ],
)
def test_bad_outputs_are_refused(
    slide: NDArray[np.uint8], tmp_path: Path, name: str, axes: str, message: str
) -> None:
    with pytest.raises(vr.InputError, match=message):
        restore_store(slide, tmp_path / name, vr.Denoise("gaussian:10"), axes=axes)
    assert list(tmp_path.iterdir()) == []


def test_things_that_are_no_store_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    for name in ("empty.zarr", "none.zarr"):
        with pytest.raises(vr.ImageFileError, match=name):
            open_store(tmp_path / name)


def test_two_workers_equal_one_though_one_dies(
    slide: NDArray[np.uint8], store: Store, tmp_path: Path
) -> None:
    source, out = store("in.zarr", slide, "0.5"), tmp_path / "out.zarr"
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as local,
        Client(local) as client,
    ):
        steps = iter_restore_store(
            source, out, vr.Denoise("gaussian:10"), tile=TILE, client=client
        )
        for count, _ in enumerate(steps):
            if count == 3:
                psutil.Process(local.workers[0].pid).kill()
    whole = vr.denoise(slide, noise="gaussian:10", axes="CYX", tile=TILE)
    np.testing.assert_array_equal(level(out), whole.mean)


@pytest.mark.parametrize("kind", ["denoise", "inpaint", "super-resolve"])
def test_a_cluster_gives_what_one_process_gives(
    slide: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    store: Store,
    tmp_path: Path,
    client: Client,
    kind: str,
) -> None:
    source = store("in.zarr", slide[:, :80, :90], "0.5")
    paths = [tmp_path / f"{name}.zarr" for name in ("cluster", "std-cluster", "one", "std-one")]
    for (out, std), by in ((paths[:2], client), (paths[2:], None)):
        asked = tasks(kind, mask[:80, :90])
        restore_store(source, out, asked, tile=TILE, n_samples=2, uncertainty=std, client=by)
    np.testing.assert_array_equal(level(paths[0]), level(paths[2]))
    np.testing.assert_array_equal(level(paths[1]), level(paths[3]))


DYING = """
import os
from napari_vae_restore.stores import work
def do(job, step, do=work.do):
    do(job, step)
    os._exit(1)
work.do = do
"""


@pytest.mark.parametrize("allowed", [3, 0])
def test_a_worker_may_die_before_it_has_told(
    slide: NDArray[np.uint8], store: Store, tmp_path: Path, allowed: int
) -> None:
    source, out = store("in.zarr", slide[:, :80, :90], "0.5"), tmp_path / "out.zarr"
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": allowed}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as local,
        Client(local) as client,
        contextlib.nullcontext()
        if allowed
        else pytest.raises(vr.RestorationError, match="died of the same blocks"),
    ):
        client.run(exec, DYING, {})  # not by the one that takes its place
        restore_store(source, out, vr.Denoise("gaussian:10"), tile=TILE, client=client)
    if allowed:
        whole = vr.denoise(slide[:, :80, :90], noise="gaussian:10", axes="CYX", tile=TILE)
        np.testing.assert_array_equal(level(out), whole.mean)


def test_an_error_on_a_worker_is_told(
    slide: NDArray[np.uint8], store: Store, tmp_path: Path, client: Client
) -> None:
    broken = slide.astype(np.float32)
    broken[0, 120, 140] = np.nan
    source, out = store("in.zarr", broken, "0.5"), tmp_path / "out.zarr"
    with pytest.raises(vr.InputError, match="1 NaN or infinite"):
        restore_store(source, out, vr.SuperResolve(2), tile=TILE, client=client)


def test_no_scheduler_no_hang(
    slide: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", "1s")
    with pytest.raises(vr.InputError, match=r"No scheduler answers at tcp://127.0.0.1:9"):
        restore_store(
            slide,
            tmp_path / "out.zarr",
            vr.Denoise("gaussian:10"),
            axes="CYX",
            client="tcp://127.0.0.1:9",
        )


def test_a_store_that_goes_while_it_is_read(store: Store, slide: NDArray[np.uint8]) -> None:
    for name, ngff in (("a.zarr", ""), ("b.zarr", "0.4"), ("c.zarr", "0.5")):
        opened = open_store(store(name, slide, ngff))
        np.testing.assert_array_equal(opened.read().data, slide)
        shutil.rmtree(folder_of(opened.array))
        with pytest.raises(vr.ImageFileError, match="it has vanished; bring it back"):
            opened.read()


def test_a_store_is_warned_of_by_a_spot(
    slide: NDArray[np.uint8], store: Store, tmp_path: Path
) -> None:
    bright = np.where(slide > np.quantile(slide, 0.9), 255, slide).astype(np.uint8)
    stored = restore_store(
        store("in.zarr", bright), tmp_path / "out.zarr", vr.Denoise("gaussian:10")
    )
    assert stored.diagnostics is not None
    assert any("saturated" in text for text in stored.diagnostics.warnings)
    assert stored.diagnostics.ood_score is not None
    assert stored.diagnostics.device == str(choose_device("auto"))


def test_an_empty_spot_is_no_reason_to_warn(store: Store, tmp_path: Path) -> None:
    empty = np.random.default_rng(0).normal(100, 10, (1, 300, 300)).round().astype(np.uint8)
    stored = restore_store(
        store("in.zarr", empty), tmp_path / "out.zarr", vr.Denoise("gaussian:10")
    )
    assert stored.diagnostics is not None
    assert stored.diagnostics.warnings == ()
