"""How like images are: other kinds are far away, others of the kind and its parts are not."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.models.files import load, model_hash, save
from napari_vae_restore.models.likeness import Likeness

D = 12
Image = NDArray[np.float64]


def images(n: int, seed: int, shift: float = 0.0, side: int = 6) -> list[Image]:
    """Blocks that vary most along one direction, and with it from image to image."""
    rng = np.random.default_rng(seed)
    main = np.linspace(-1, 1, D)
    return [
        main * (rng.normal() + rng.normal(size=(side, side, 1)))
        + 0.2 * rng.normal(size=(side, side, D))
        + shift
        for _ in range(n)
    ]


@pytest.fixture(scope="module")
def fitted() -> Likeness:
    return Likeness.fit(images(12, 0))


def test_other_images_of_the_kind_are_within_the_limit(fitted: Likeness) -> None:
    found = [fitted.unlikeness([image]) for image in images(200, 1)]
    assert np.mean(np.array(found) > 1) < 0.05
    assert min(found) >= 0


def test_what_leaves_the_usual_directions_is_far_away(fitted: Likeness) -> None:
    own, other = (
        [fitted.unlikeness([image]) for image in images(50, 2, shift)] for shift in (0, 0.8)
    )
    assert min(other) > max(own)
    assert min(other) > 1


def test_one_image_is_doubted_more_than_many() -> None:
    (one,) = images(1, 3, side=8)
    alone, often = Likeness.fit([one]), Likeness.fit([one] * 8)
    assert alone.limit > often.limit
    assert alone.unlikeness([one]) < 1


def test_of_a_stack_the_middle_plane_counts(fitted: Likeness) -> None:
    (one,), (other,) = images(1, 4), images(1, 4, 5.0)
    few, most = fitted.unlikeness([one, one, other]), fitted.unlikeness([one, other, other])
    assert few < 1 < most


def test_too_few_blocks_are_refused() -> None:
    with pytest.raises(vr.InputError, match="16 blocks"):
        Likeness.fit(images(3, 0, side=2))
    assert Likeness.fit([np.ones((1, 20, D))]).unlikeness([np.ones((1, 1, D))]) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"centre": ()},
        {"scale": (0.0,) * D},
        {"limit": math.inf},
        {"rest": -1.0},
        {"directions": ((1.0,),)},
        {"variances": ()},
    ],
)
def test_what_is_no_likeness_is_refused(fitted: Likeness, wrong: dict[str, object]) -> None:
    with pytest.raises(vr.InputError, match="likeness"):
        replace(fitted, **wrong)


def test_a_model_file_keeps_it(model: vr.Model, fitted: Likeness, tmp_path) -> None:
    told = replace(model, likeness=fitted)
    save(told, tmp_path / "a.safetensors")
    found = load(tmp_path / "a.safetensors")
    assert found.likeness is not None
    assert asdict(found.likeness) == asdict(fitted)
    # It decides on no pixel of a result.
    assert model_hash(told) == model_hash(replace(told, likeness=None))
