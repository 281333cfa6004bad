"""Tasks and their composition."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.operators import Composition, Downsampling, Identity, Masking
from napari_vae_restore.restoration.problem import Problem

HOLE = np.zeros((12, 16), bool)
HOLE[2:4, 3:7] = True


def layout(shape: tuple[int, ...], axes: str, dtype: str = "float32") -> Layout:
    return Layout.of(np.zeros(shape, dtype), axes)


@pytest.mark.parametrize(
    ("shape", "axes", "mask_shape"),
    [
        ((12, 16), "YX", (12, 16)),
        ((3, 12, 16), "ZYX", (12, 16)),
        ((3, 12, 16), "ZYX", (3, 12, 16)),
        ((12, 16, 3), "YXS", (12, 16)),
        ((12, 16, 4), "YXS", (12, 16, 4)),
        ((5, 2, 12, 16), "TCYX", (5, 12, 16)),
        ((5, 2, 12, 16), "TCYX", (12, 16)),
    ],
)
def test_masks_of_every_fitting_shape_reach_all_planes(
    shape: tuple[int, ...], axes: str, mask_shape: tuple[int, ...]
) -> None:
    plane = HOLE[..., None] if mask_shape[-1] == 4 else HOLE
    mask = np.broadcast_to(plane, mask_shape)
    problem = Problem.of(vr.Inpaint(mask), layout(shape, axes))
    assert problem.missing is not None
    assert problem.missing.shape == layout(shape, axes).planes_shape
    assert (problem.missing == HOLE).all()


def test_a_mask_of_one_plane_of_a_stack_stays_there() -> None:
    mask = np.zeros((3, 12, 16), bool)
    mask[1] = HOLE
    problem = Problem.of(vr.Inpaint(mask), layout((3, 12, 16), "ZYX"))
    assert problem.missing is not None
    assert problem.missing.any(axis=(1, 2, 3)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "at least one"),
        ("denoise", "expected Denoise()"),
        ([vr.Denoise(), vr.Denoise("auto")], "denoise is there twice"),
        (vr.Inpaint(HOLE.T), "expected the shape (12, 16)"),
        (vr.Inpaint(np.ones((12, 16), bool)), "covers a whole plane"),
    ],
    ids=str,
)
def test_bad_tasks_are_explained(tasks: Any, message: str) -> None:
    with pytest.raises(vr.InputError, match=re.escape(message)):
        Problem.of(tasks, layout((12, 16), "YX"))


@pytest.mark.parametrize("factor", [1, 5, 2.0, True, "2"])
def test_other_factors_are_refused(factor: Any) -> None:
    with pytest.raises(vr.InputError, match="factor: expected 2, 3 or 4"):
        vr.SuperResolve(factor)


def test_other_kernels_and_masks_are_refused() -> None:
    with pytest.raises(vr.InputError, match="kernel: expected one of bicubic"):
        vr.SuperResolve(2, "sinc")
    with pytest.raises(vr.InputError, match=r"mask > 0\.5"):
        vr.Inpaint(np.zeros((4, 4)))
    with pytest.raises(vr.InputError, match="two axes"):
        vr.Deblur(np.ones(3))


def test_operators_follow_the_tasks() -> None:
    space = layout((12, 16), "YX")
    observed = ~HOLE[None]
    assert isinstance(Problem.of(vr.Denoise(), space).operator(None), Identity)
    assert isinstance(Problem.of(vr.Inpaint(HOLE), space).operator(observed), Masking)
    assert Problem.of(vr.SuperResolve(3), space).operator(None) == Downsampling(3)
    both = Problem.of([vr.Inpaint(HOLE), vr.SuperResolve(2)], space).operator(observed)
    assert isinstance(both, Composition)
    assert both.factor == 2
    np.testing.assert_allclose(both.apply(np.ones((1, 24, 32))), observed)


def test_tasks_tell_themselves_for_recipes() -> None:
    told = vr.Inpaint(HOLE, name="hole.tif").to_dict()
    assert told["kind"] == "inpaint"
    assert told["mask"] == "hole.tif"
    assert told["missing"] == int(HOLE.sum())
    assert told["mask_sha256"] != vr.Inpaint(~HOLE).to_dict()["mask_sha256"]
    assert vr.SuperResolve(2).to_dict() == {
        "kind": "super-resolve",
        "factor": 2,
        "kernel": "bicubic",
    }
    noise = [vr.GaussianNoise(2.0), vr.GaussianNoise(3.0)]
    assert vr.Denoise(noise).to_dict()["noise"] == ["gaussian:2.0", "gaussian:3.0"]
