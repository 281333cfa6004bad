"""How like images are: other kinds are far away, others of the kind and its parts are not."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.models.files import load, model_hash, save
from napari_vae_restore.models.ood_score import OODScore

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
def fitted() -> OODScore:
    return OODScore.fit(images(12, 0))


def test_other_images_of_the_kind_are_within_the_limit(fitted: OODScore) -> None:
    found = [fitted.of([image]) for image in images(200, 1)]
    assert np.mean(np.array(found) > 1) < 0.05
    assert min(found) >= 0


def test_what_leaves_the_usual_directions_is_far_away(fitted: OODScore) -> None:
    own, other = ([fitted.of([image]) for image in images(50, 2, shift)] for shift in (0, 0.8))
    assert min(other) > max(own)
    assert min(other) > 1


def test_one_image_is_doubted_more_than_many() -> None:
    (one,) = images(1, 3, side=8)
    alone, often = OODScore.fit([one]), OODScore.fit([one] * 8)
    assert alone.limit > often.limit
    assert alone.of([one]) < 1


def test_of_a_stack_the_middle_plane_counts(fitted: OODScore) -> None:
    (one,), (other,) = images(1, 4), images(1, 4, 5.0)
    few, most = fitted.of([one, one, other]), fitted.of([one, other, other])
    assert few < 1 < most


def test_too_few_blocks_are_refused() -> None:
    with pytest.raises(vr.InputError, match="16 blocks"):
        OODScore.fit(images(3, 0, side=2))
    assert OODScore.fit([np.ones((1, 20, D))]).of([np.ones((1, 1, D))]) == 0


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
def test_what_is_no_score_is_refused(fitted: OODScore, wrong: dict[str, object]) -> None:
    with pytest.raises(vr.InputError, match="out-of-distribution score"):
        replace(fitted, **wrong)


def test_a_model_file_keeps_it(model: vr.Model, fitted: OODScore, tmp_path) -> None:
    told = replace(model, ood_score=fitted)
    save(told, tmp_path / "a.safetensors")
    found = load(tmp_path / "a.safetensors")
    assert found.ood_score is not None
    assert asdict(found.ood_score) == asdict(fitted)
    # It decides on no pixel of a result.
    assert model_hash(told) == model_hash(replace(told, ood_score=None))


def test_the_old_name_warns(model: vr.Model, fitted: OODScore) -> None:
    with pytest.warns(DeprecationWarning, match="ood_score"):
        assert replace(model, ood_score=fitted).likeness is fitted
