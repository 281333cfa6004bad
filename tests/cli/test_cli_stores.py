"""Stores on the command line: in, out, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image, write_image
from napari_vae_restore.images.zarr_files import open_store

TILE = 64


@pytest.fixture
def slide(tmp_path: Path, picture: Any) -> Path:
    """An OME-Zarr store of two channels."""
    values = picture((2, 70, 80))
    write_image(
        tmp_path / "in.ome.tif",
        values,
        "CYX",
        scale=(1, 0.5, 0.5),
        units=("pixel", "micrometer", "micrometer"),
    )
    group = zarr.open_group(tmp_path / "in.ome.zarr", mode="w")
    group.create_array("0", data=values, chunks=(1, 50, 50))
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space"} for a in "yx")]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2]}]}
    image = {"axes": axes, "datasets": [level]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return tmp_path


def level(path: Path) -> Any:
    return zarr.open_array(path / "0", mode="r")[:]


def test_from_store_to_store_and_again(run: Any, slide: Path) -> None:
    source, out, std = (slide / f"{name}.ome.zarr" for name in ("in", "out", "std"))
    words = [
        "denoise", source, "-o", out, "--noise", "gaussian:30", "--uncertainty", std,
        "--samples", 2,
    ]  # fmt: skip
    status, told, _ = run(*words)
    assert status == 0
    assert f"{out}, {slide / 'out.sample-1.ome.zarr'}" not in told
    assert str(std) in told
    assert "Noise" in told
    values = np.asarray(zarr.open_array(source / "0", mode="r")[:])
    whole = vr.denoise(values, noise="gaussian:30", axes="CYX", n_samples=2)
    np.testing.assert_array_equal(level(out), whole.mean)
    np.testing.assert_allclose(level(std), whole.std, rtol=1e-3, atol=1e-3)  # of two samples
    assert (slide / "out.sample-2.ome.zarr").is_dir()
    status, told, _ = run(*words)
    assert status == 0
    assert "nothing to do" in told


def test_the_recipe_in_a_store_repeats_it(run: Any, slide: Path) -> None:
    first, again = slide / "first.ome.zarr", slide / "again.tif"
    assert run("super-resolve", slide / "in.ome.tif", "-o", first, "--factor", 2)[0] == 0
    assert open_store(first).scale == (1.0, 0.25, 0.25)
    status, _, said = run("restore", slide / "in.ome.zarr", "-o", again, "--recipe", first)
    assert status == 0, said
    image = read_image(again)
    np.testing.assert_array_equal(image.data, level(first))
    assert image.axes == "CYX"
    assert (
        json.loads(image.description)["tasks"]
        == json.loads(open_store(first).description)["tasks"]
    )


def test_a_mask_may_be_a_store(run: Any, slide: Path) -> None:
    missing = np.zeros((70, 80), np.uint8)
    missing[30:33, 10:60] = 255
    zarr.create_array(slide / "mask.zarr", data=missing, chunks=(40, 40))
    write_image(slide / "mask.tif", missing, "YX")
    outs = []
    for mask in ("mask.zarr", "mask.tif"):
        out = slide / f"{mask}.ome.zarr"
        status, _, said = run(
            "inpaint", slide / "in.ome.zarr", "-o", out, "--mask", slide / mask
        )
        assert status == 0, said
        outs.append(level(out))
    np.testing.assert_array_equal(outs[0], outs[1])
    source = zarr.open_array(slide / "in.ome.zarr" / "0", mode="r")[:]
    np.testing.assert_array_equal(outs[0][:, missing == 0], source[:, missing == 0])


@pytest.mark.parametrize(
    ("out", "words", "message"),
    [
        ("in.ome.zarr", ["--overwrite"], "beside the input"),
        ("out.tif", ["--shard"], "ends in .zarr for --shard"),
        ("out.tif", ["--scheduler", "tcp://127.0.0.1:9"], "for --scheduler"),
        ("out.ome.zarr", ["--uncertainty", "std.tif"], "ends in .zarr"),
    ],
)
def test_what_cannot_be_is_said(
    run: Any, slide: Path, out: str, words: list[str], message: str
) -> None:
    status, _, said = run("denoise", slide / "in.ome.zarr", "-o", slide / out, *words)
    assert status == 2
    assert message in said
